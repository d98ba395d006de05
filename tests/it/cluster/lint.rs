//! Reading the application's migrations and saying what is wrong with them.

use super::*;

#[test]
fn the_lint_names_file_line_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let column = "tenant_id uuid NOT NULL DEFAULT (current_tenant())";
    let cases = [
        ("CREATE TABLE x (id bigint)".to_owned(), "no tenant_id"),
        ("CREATE TABLE x (tenant_id text NOT NULL DEFAULT (current_tenant()))".to_owned(), "not uuid"),
        ("CREATE TABLE x (tenant_id uuid DEFAULT (current_tenant()))".to_owned(), "may be null"),
        ("CREATE TABLE x (tenant_id uuid NOT NULL)".to_owned(), "not filled in"),
        ("CREATE TABLE x (tenant_id uuid NOT NULL DEFAULT (gen_random_uuid()))".to_owned(), "not filled in"),
        (format!("CREATE TABLE x ({column}, id bigint PRIMARY KEY)"), "on this column alone"),
        (
            format!("CREATE TABLE x ({column}, id bigint, UNIQUE (id, tenant_id))"),
            "does not start with tenant_id",
        ),
        (format!("CREATE TABLE x ({column}, id bigint REFERENCES y (id))"), "does not carry tenant_id"),
        (
            format!("CREATE TABLE x ({column}, id bigint, FOREIGN KEY (id) REFERENCES y (id))"),
            "on both sides",
        ),
        (
            format!(
                "CREATE TABLE x ({column}, id bigint, FOREIGN KEY (tenant_id, id) REFERENCES y (tenant_id, id) ON DELETE SET NULL)"
            ),
            "SET NULL",
        ),
        (format!("CREATE TABLE s.x ({column})"), "names a schema"),
        (format!("CREATE TEMP TABLE x ({column})"), "temporary"),
        (format!("CREATE UNLOGGED TABLE x ({column})"), "unlogged"),
        (format!("CREATE TABLE x ({column}) PARTITION BY LIST (tenant_id)"), "partitioned"),
        (format!("CREATE TABLE tenantry_x ({column})"), "reserved"),
        ("CREATE TABLE x AS SELECT 1".to_owned(), "copied"),
        ("SELECT 1 INTO x".to_owned(), "SELECT INTO"),
        ("CREATE UNIQUE INDEX i ON x (id)".to_owned(), "does not start with tenant_id"),
        ("CREATE INDEX CONCURRENTLY i ON x (id)".to_owned(), "CONCURRENTLY"),
        ("CREATE VIEW v AS SELECT 1".to_owned(), "owner's rights"),
        ("CREATE VIEW v WITH (security_invoker = false) AS SELECT 1".to_owned(), "owner's rights"),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1".to_owned(), "materialized"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'".to_owned(),
            "SECURITY DEFINER",
        ),
        (
            "CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql AS 'SELECT NULL'".to_owned(),
            "control plane's",
        ),
        ("GRANT SELECT ON x TO y".to_owned(), "rights are"),
        ("REVOKE SELECT ON x FROM y".to_owned(), "rights are"),
        ("CREATE ROLE r".to_owned(), "roles are"),
        ("ALTER ROLE r SUPERUSER".to_owned(), "roles are"),
        ("CREATE POLICY p ON x USING (true)".to_owned(), "policies are"),
        ("DROP POLICY tenantry_tenant ON x".to_owned(), "policies are"),
        ("ALTER TABLE x DISABLE ROW LEVEL SECURITY".to_owned(), "row-level security"),
        ("ALTER TABLE x NO FORCE ROW LEVEL SECURITY".to_owned(), "row-level security"),
        ("ALTER TABLE x OWNER TO r".to_owned(), "owner"),
        ("ALTER TABLE x DROP COLUMN tenant_id".to_owned(), "belong to nobody"),
        ("ALTER TABLE x RENAME COLUMN tenant_id TO t".to_owned(), "calls this column"),
        ("ALTER TABLE x ALTER COLUMN tenant_id DROP NOT NULL".to_owned(), "must stay"),
        ("ALTER TABLE x ADD PRIMARY KEY (id)".to_owned(), "does not start with tenant_id"),
        ("DO $$ BEGIN END $$".to_owned(), "cannot be read"),
        ("CREATE EXTENSION pg_trgm".to_owned(), "extension"),
        ("BEGIN".to_owned(), "transaction"),
        ("COMMIT".to_owned(), "transaction"),
        ("COPY x TO '/tmp/x'".to_owned(), "COPY"),
        ("SET search_path = public".to_owned(), "setting"),
        ("SELECT set_config('search_path', 'public', true)".to_owned(), "set_config"),
        ("TRUNCATE x".to_owned(), "TRUNCATE"),
        ("INSERT INTO x (id) VALUES (1)".to_owned(), "whose row"),
        ("UPDATE public.x SET a = 1".to_owned(), "names a schema"),
        ("DROP SCHEMA app".to_owned(), "does not drop"),
        ("CREATE SCHEMA s".to_owned(), "isolation model"),
        ("VACUUM x".to_owned(), "maintenance"),
        ("ALTER TABLE x ENABLE TRIGGER ALL".to_owned(), "no place"),
    ];
    for (sql, words) in cases {
        let app = folder(&dir, &[("0001_x", &format!("-- a comment\n\n{sql};\n"))]);
        let findings = app.lint(Engine::Postgres);
        let hit = findings.iter().find(|one| one.problem.contains(words));
        let Some(hit) = hit else { panic!("{sql}: {findings:?}") };
        assert_eq!((hit.file.as_str(), hit.line), ("0001_x/up.sql", 3), "{sql}");
        assert!(!hit.remedy.is_empty());
        assert_eq!(code(&app.refuse_unsafe(Engine::Postgres).unwrap_err()), "migration_unsafe");
    }
    let fine = [
        format!("CREATE TABLE x ({column}, id bigint NOT NULL, PRIMARY KEY (tenant_id, id))"),
        "CREATE TABLE x (tenant_id uuid DEFAULT current_tenant() NOT NULL, n bigint GENERATED ALWAYS AS IDENTITY)".to_owned(),
        "CREATE VIEW v WITH (security_invoker = on) AS SELECT x.id FROM x".to_owned(),
        "CREATE INDEX i ON x (id)".to_owned(),
        "CREATE TYPE mood AS ENUM ('good', 'bad')".to_owned(),
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$".to_owned(),
        "UPDATE x SET a = lower(x.b) WHERE x.a IS NULL".to_owned(),
        "INSERT INTO y (tenant_id, id) SELECT tenant_id, id FROM x".to_owned(),
        "ALTER TABLE x ADD COLUMN a text, ALTER COLUMN b SET NOT NULL, ADD CONSTRAINT c CHECK (a <> '')".to_owned(),
        "ALTER TABLE x ADD FOREIGN KEY (b, tenant_id) REFERENCES y (c, tenant_id)".to_owned(),
        "DROP INDEX i".to_owned(),
        "COMMENT ON TABLE x IS 'y'".to_owned(),
    ];
    for sql in fine {
        let findings = folder(&dir, &[("0001_x", &sql)]).lint(Engine::Postgres);
        assert!(findings.is_empty(), "{sql}: {findings:?}");
    }
    for (sql, words) in [
        ("CREATE TABLE x (tenant_id uuid NOT NULL DEFAULT current_tenant())", "parentheses"),
        ("ALTER TABLE x ADD COLUMN a text, ADD COLUMN b text", "one column at a time"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "no stored functions"),
    ] {
        let findings = folder(&dir, &[("0001_x", sql)]).lint(Engine::Sqlite);
        assert!(findings.iter().any(|one| one.problem.contains(words)), "{sql}: {findings:?}");
    }
    for engine in [Engine::Postgres, Engine::Sqlite] {
        assert_eq!(notes().lint(engine), []);
    }
}

#[test]
fn a_folder_that_is_wrong_is_told_whole() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["first", "0001_a", "0001_b", "0002_", "0003_c"] {
        std::fs::create_dir_all(dir.path().join(name)).unwrap();
        if name != "0003_c" {
            std::fs::write(dir.path().join(name).join("up.sql"), "SELECT 1").unwrap();
        }
    }
    let error = AppSchema::load(dir.path()).unwrap_err();
    assert_eq!(code(&error), "migrations_unreadable");
    for words in [
        "first: a migration's folder",
        "0002_: a migration's",
        "0003_c: up.sql is missing",
        "0001_a and 0001_b",
    ] {
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    assert_eq!(code(&AppSchema::load(&dir.path().join("none")).unwrap_err()), "migrations_unreadable");
    let app = notes();
    assert_eq!((app.latest(), app.up_to(1).latest()), (2, 1));
    assert_ne!(app.version(), app.up_to(1).version());
}
