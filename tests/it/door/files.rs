//! The door to a tenant's SQLite file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tenantry::kernel::error::Error;
use tenantry::kernel::id::TenantId;
use tenantry::placement::connections::{Settings, TenantConnections};
use tenantry::placement::door::{Access, Answer, Caps, Place, Target};

use super::world::{CAPS, SETTINGS, counts, statement, until, word};

struct File {
    door: Arc<TenantConnections>,
    target: Target,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

const SCHEMA: &str = "
    CREATE TABLE notes (tenant_id text NOT NULL DEFAULT (current_tenant()), id integer NOT NULL, body text NOT NULL,
        key text DEFAULT (gen_random_uuid()), done boolean NOT NULL DEFAULT 0, extra jsonb,
        at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP, size real, raw blob,
        PRIMARY KEY (tenant_id, id), CHECK (tenant_id = current_tenant()));
    CREATE TABLE replies (id integer PRIMARY KEY, note integer UNIQUE, tenant_id text DEFAULT (current_tenant()),
        FOREIGN KEY (tenant_id, note) REFERENCES notes (tenant_id, id), CHECK (id < 100));
    CREATE TABLE log (what text);
    CREATE TRIGGER logged AFTER DELETE ON notes BEGIN INSERT INTO log VALUES (old.body); END;
    CREATE VIRTUAL TABLE search USING fts5(body);
    CREATE TABLE tenantry_migrations (name text);";

impl File {
    fn new() -> Self {
        Self::with(SETTINGS)
    }

    fn with(settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tenant.db");
        let tenant = TenantId::mint();
        let db = rusqlite::Connection::open(&path).unwrap();
        let flags = rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
        db.create_scalar_function("current_tenant", 0, flags, |_| Ok(String::new())).unwrap();
        db.create_scalar_function("gen_random_uuid", 0, flags, |_| Ok(String::new())).unwrap();
        db.execute_batch(&format!("PRAGMA journal_mode = WAL; {SCHEMA}")).unwrap();
        let place = Place::Sqlite { cluster: "embedded".to_owned(), path: path.clone() };
        let door = Arc::new(TenantConnections::new(settings));
        Self { door, target: Target { tenant, generation: 1, place }, path, _dir: dir }
    }

    async fn run(&self, access: Access, sql: &str, params: &[Value]) -> Result<Answer, Error> {
        self.door.query(&self.target, &statement(sql, params), access, CAPS).await
    }

    async fn one(&self, sql: &str) -> Value {
        self.run(Access::Read, sql, &[]).await.unwrap().rows[0].values().remove(0)
    }
}

#[tokio::test]
async fn values_come_back_as_they_are_declared() {
    let f = File::new();
    let sql = "INSERT INTO notes (id, body, done, extra, size, raw, at) VALUES ($2, $1, $3, $4, $5, $6, '2026-01-02 03:04:05')";
    let params =
        [json!("b"), json!(7), json!(true), json!({"n": [1]}), json!(1.5), json!({"$base64": "AP8="})];
    assert_eq!(f.run(Access::Write, sql, &params).await.unwrap().row_count, 1);
    let sql =
        "SELECT tenant_id, id, body, done, extra, at, size, raw, id + 1, 'x', x'00', NULL, 1.5 FROM notes";
    let answer = f.run(Access::Read, sql, &[]).await.unwrap();
    let tenant = f.target.tenant.uuid().to_string();
    assert_eq!(
        Value::Array(answer.rows[0].values()),
        json!([tenant, 7, "b", true, {"n": [1]}, "2026-01-02T03:04:05Z", 1.5, "AP8=", 8, "x", "AA==", null, 1.5])
    );
    let kinds: Vec<_> = answer.columns.iter().map(|column| column.type_name.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "text",
            "integer",
            "text",
            "boolean",
            "jsonb",
            "timestamptz",
            "real",
            "blob",
            "integer",
            "text",
            "blob",
            "null",
            "real"
        ]
    );
    assert_eq!(f.one("SELECT 9007199254740992").await, json!("9007199254740992"));
    assert_eq!(f.one("SELECT 9e999").await, json!("Infinity"));
    assert_eq!(f.one("SELECT length(key) FROM notes").await, json!(36));
    assert_eq!(f.one("SELECT name FROM pragma_table_info('notes') LIMIT 1").await, json!("tenant_id"));
    assert_eq!(f.one("SELECT value FROM json_each('[5]')").await, json!(5));
}

#[tokio::test]
async fn changes_triggers_keys_and_search_work() {
    let f = File::new();
    let write = async |sql: &str| f.run(Access::Write, sql, &[]).await;
    assert_eq!(write("INSERT INTO notes (id, body) VALUES (1, 'a'), (2, 'b')").await.unwrap().row_count, 2);
    assert_eq!(write("INSERT INTO search VALUES ('hello world')").await.unwrap().row_count, 1);
    assert_eq!(f.one("SELECT body FROM search WHERE search MATCH 'hello'").await, json!("hello world"));
    assert_eq!(write("DELETE FROM notes WHERE id = 2 RETURNING id").await.unwrap().rows[0].json(), "[2]");
    assert_eq!(f.one("SELECT what FROM log").await, json!("b"));
    for (sql, state) in [
        ("INSERT INTO notes (id, body) VALUES (1, 'x')", "23505"),
        ("INSERT INTO notes (id, body) VALUES (3, NULL)", "23502"),
        ("INSERT INTO replies (id, note) VALUES (1, 99)", "23503"),
        ("INSERT INTO replies (id) VALUES (100)", "23514"),
        ("INSERT INTO notes (tenant_id, id, body) VALUES ('other', 3, 'x')", "23514"),
        ("SELEKT", "statement_not_allowed"),
        ("SELECT FROM", "42601"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT missing FROM notes", "42703"),
        ("SELECT \"missing\" FROM notes", "42703"),
        ("SELECT missing()", "42883"),
        ("SELECT $1", "/params/0"),
        ("SELECT json('{')", "22P02"),
        ("SELECT zeroblob(100000000)", "54000"),
        ("SELECT 1; SELECT 2", "multiple_statements"),
        ("SELECT 1; -- done\n;", "ok"),
        ("", "empty_statement"),
    ] {
        assert_eq!(word(&write(sql).await), state, "{sql}");
        assert_eq!(f.one("SELECT count(*) FROM notes").await, json!(1), "after {sql}");
    }
    assert_eq!(word(&f.run(Access::Read, "SELECT $1", &[json!(1), json!(2)]).await), "/params/1");
    assert_eq!(word(&f.run(Access::Read, "SELECT ?2, ?1", &[json!(1), json!(2)]).await), "ok");
    assert_eq!(counts(&f.door).open, 1, "all on one connection");
}

#[tokio::test]
async fn attacks_are_refused() {
    let f = File::new();
    let elsewhere = f.path.with_file_name("elsewhere.db");
    let target = elsewhere.to_str().unwrap();
    for sql in [
        format!("ATTACH '{target}' AS other"),
        format!("VACUUM INTO '{target}'"),
        "PRAGMA writable_schema = ON".to_owned(),
        "PRAGMA query_only = OFF".to_owned(),
        "SELECT * FROM pragma_database_list".to_owned(),
        "SELECT * FROM pragma_writable_schema".to_owned(),
        "SELECT * FROM pragma_journal_mode".to_owned(),
        "SELECT load_extension('x')".to_owned(),
        format!("SELECT writefile('{target}', 'x')"),
        "SELECT readfile('/etc/passwd')".to_owned(),
        "SELECT fts3_tokenizer('simple')".to_owned(),
        "SELECT edit('x')".to_owned(),
        "CREATE TABLE x (a)".to_owned(),
        "CREATE TEMP TABLE x (a)".to_owned(),
        "CREATE TEMP TRIGGER x AFTER INSERT ON notes BEGIN SELECT 1; END".to_owned(),
        "CREATE VIRTUAL TABLE x USING fts5(a)".to_owned(),
        "DROP TABLE notes".to_owned(),
        "ALTER TABLE notes ADD x".to_owned(),
        "REINDEX".to_owned(),
        "ANALYZE".to_owned(),
        "BEGIN".to_owned(),
        "SAVEPOINT a".to_owned(),
        "UPDATE sqlite_schema SET sql = ''".to_owned(),
        "INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 0, 'CREATE TABLE x (a)')".to_owned(),
        "DELETE FROM sqlite_sequence".to_owned(),
        "INSERT INTO tenantry_migrations VALUES ('x')".to_owned(),
        "WITH x AS (SELECT 1) DELETE FROM main.sqlite_schema".to_owned(),
        "SELECT * FROM dbstat".to_owned(),
        "EXPLAIN DROP TABLE notes".to_owned(),
        "EXPLAIN ATTACH 'x' AS y".to_owned(),
        "SELECT 1; ATTACH 'x' AS y".to_owned(),
        "INSERT INTO search (search) VALUES ('no such command')".to_owned(),
        "UPDATE search_content SET c0 = 'x'".to_owned(),
    ] {
        let outcome = f.run(Access::Write, &sql, &[]).await;
        assert!(matches!(&outcome, Err(Error::Refused { .. } | Error::Sql(_))), "{sql}: {outcome:?}");
        if let Err(error) = outcome {
            assert!(
                !error.to_string().contains(target.trim_end_matches("/elsewhere.db")) || sql.contains(target)
            );
        }
    }
    assert!(!elsewhere.exists());
    let many = "SELECT 1;".repeat(50_000);
    assert_eq!(word(&f.run(Access::Read, &many, &[]).await), "multiple_statements");
    let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(f.run(Access::Read, &deep, &[]).await.is_err());
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let f = File::new();
    for sql in [
        "INSERT INTO notes (id, body) VALUES (1, 'x')",
        "WITH a AS (SELECT 1) INSERT INTO log SELECT * FROM a",
        "REPLACE INTO log VALUES ('x')",
        "UPDATE notes SET body = 'x'",
        "DELETE FROM notes",
        "INSERT INTO search VALUES ('x')",
        "INSERT INTO log VALUES ('x') RETURNING what",
    ] {
        assert_eq!(word(&f.run(Access::Read, sql, &[]).await), "25006", "{sql}");
    }
    assert_eq!(f.one("SELECT count(*) FROM log").await, json!(0));
}

#[tokio::test]
async fn endless_statements_are_stopped() {
    let f = File::new();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let caps = Caps { timeout: Duration::from_millis(200), ..CAPS };
    for access in [Access::Read, Access::Write] {
        let outcome = f.door.query(&f.target, &statement(endless, &[]), access, caps).await;
        assert_eq!(word(&outcome), "statement_timeout");
    }
    let filling = format!("INSERT INTO log {}", endless.replace("SELECT count(*) FROM n", "SELECT i FROM n"));
    let outcome = f.door.query(&f.target, &statement(&filling, &[]), Access::Write, caps).await;
    assert_eq!(word(&outcome), "statement_timeout");
    assert_eq!(f.one("SELECT count(*) FROM log").await, json!(0));
    assert_eq!(counts(&f.door).open, 1);

    let (door, target) = (f.door.clone(), f.target.clone());
    let caps = Caps { timeout: Duration::from_secs(3600), ..CAPS };
    let caller =
        tokio::spawn(async move { door.query(&target, &statement(endless, &[]), Access::Write, caps).await });
    let other = rusqlite::Connection::open(&f.path).unwrap();
    other.busy_timeout(Duration::ZERO).unwrap();
    until("it holds the file's lock", async || other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err())
        .await;
    caller.abort();
    until("it is stopped", async || counts(&f.door).open == 0).await;
    assert_eq!(word(&f.run(Access::Write, "DELETE FROM log", &[]).await), "ok", "its lock is gone");
}

/// One call of a function cannot be interrupted; each must end by itself.
#[tokio::test]
async fn single_calls_of_functions_end() {
    let f = File::new();
    let caps = Caps { timeout: Duration::from_secs(2), ..CAPS };
    let long = "replace(hex(zeroblob(2000000)), '0', 'a')";
    let keys = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000), \
                o(j) AS (SELECT json_group_object(i, i) FROM n)";
    for (sql, outcomes) in [
        (
            "SELECT instr(zeroblob(4000000), zeroblob(2000000) || x'01')".to_owned(),
            ["ok", "statement_timeout"],
        ),
        (
            "SELECT instr(zeroblob(4000000), CAST(zeroblob(2000000) || x'01' AS BLOB))".to_owned(),
            ["ok", "statement_timeout"],
        ),
        (
            format!("SELECT length(replace({long}, substr({long}, 2000000) || 'b', ''))"),
            ["ok", "statement_timeout"],
        ),
        (
            format!("SELECT length(trim({long}, replace(hex(zeroblob(2000000)), '0', 'b') || 'a'))"),
            ["ok", "statement_timeout"],
        ),
        (
            format!("SELECT length(unhex(replace({long}, 'a', ' '), replace({long}, 'a', 'x') || ' '))"),
            ["ok", "statement_timeout"],
        ),
        (format!("SELECT {long} LIKE '%{}b'", "a".repeat(98)), ["ok", "statement_timeout"]),
        (format!("SELECT {long} LIKE '%{}b'", "a".repeat(99)), ["54000"; 2]),
        (format!("SELECT replace({long}, 'a', {long})"), ["54000", "statement_timeout"]),
        (format!("{keys} SELECT json_patch(j, j) FROM o"), ["54000", "statement_timeout"]),
        (format!("SELECT json_pretty('[1]', {long})"), ["54000", "statement_timeout"]),
        ("SELECT printf('%.*c', 1000000000, 'x')".to_owned(), ["54000"; 2]),
        ("SELECT randomblob(1000000000)".to_owned(), ["54000"; 2]),
    ] {
        let outcome = word(&f.door.query(&f.target, &statement(&sql, &[]), Access::Read, caps).await);
        assert!(outcomes.contains(&outcome.as_str()), "{sql}: {outcome}");
        assert_eq!(f.one("SELECT 1").await, json!(1), "after {sql}");
        until(&format!("no connection is held after {sql}"), async || {
            counts(&f.door).open == counts(&f.door).idle
        })
        .await;
    }
}

#[tokio::test]
async fn caps_hold_and_writes_are_whole() {
    let f = File::new();
    let series = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)";
    let caps = Caps { rows: 3, ..CAPS };
    let run = async |sql: String, access, caps| {
        f.door.query(&f.target, &statement(&sql, &[]), access, caps).await.unwrap()
    };
    let answer = run(format!("{series} SELECT i FROM n"), Access::Read, caps).await;
    assert_eq!((answer.row_count, answer.truncated), (3, true));
    let answer =
        run(format!("{series} INSERT INTO log SELECT i FROM n RETURNING what"), Access::Write, caps).await;
    assert_eq!((answer.row_count, answer.truncated), (3, true));
    assert_eq!(f.one("SELECT count(*) FROM log").await, json!(100));
    let caps = Caps { bytes: 50, ..CAPS };
    let answer = run("SELECT what FROM log".to_owned(), Access::Read, caps).await;
    assert!(answer.truncated && answer.row_count > 3 && answer.row_count < 20);
}

#[tokio::test]
async fn another_write_is_waited_for_within_the_time() {
    let f = File::new();
    let other = rusqlite::Connection::open(&f.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let caps = Caps { timeout: Duration::from_millis(200), ..CAPS };
    let sql = statement("DELETE FROM log", &[]);
    let outcome = f.door.query(&f.target, &sql, Access::Write, caps).await;
    assert!(["55P03", "statement_timeout"].contains(&word(&outcome).as_str()), "{outcome:?}");
    assert_eq!(f.one("SELECT count(*) FROM log").await, json!(0), "readers do not wait");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(word(&f.door.query(&f.target, &sql, Access::Write, CAPS).await), "ok");
}

#[tokio::test]
async fn a_missing_file_is_not_made() {
    let f = File::new();
    let path = f.path.with_file_name("missing.db");
    let place = Place::Sqlite { cluster: "embedded".to_owned(), path: path.clone() };
    let target = Target { tenant: TenantId::mint(), generation: 1, place };
    let outcome = f.door.query(&target, &statement("SELECT 1", &[]), Access::Write, CAPS).await;
    assert_eq!(word(&outcome), "database_unavailable");
    assert!(!path.exists());
    assert_eq!(counts(&f.door).open, 0);
}

#[tokio::test]
async fn open_files_are_bounded() {
    let files: Vec<File> = (0..6).map(|_| File::new()).collect();
    let door = TenantConnections::new(Settings { max_connections: 2, ..SETTINGS });
    for _ in 0..2 {
        for file in &files {
            let outcome = door
                .query(&file.target, &statement("SELECT current_tenant()", &[]), Access::Read, CAPS)
                .await;
            assert_eq!(outcome.unwrap().rows[0].values(), [json!(file.target.tenant.uuid().to_string())]);
        }
    }
    assert_eq!(counts(&door).open, 2);
}
