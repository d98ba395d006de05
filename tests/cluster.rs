//! Homes in real clusters: built, checked, attacked and removed, in every model and on every engine.
//!
//! Needs PostgreSQL servers: `TENANTRY_TEST_PG` names them by the URLs of owner roles
//! (`LOGIN CREATEROLE CREATEDB`, not superusers), separated by commas. Each test makes databases of its own.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use secrecy::SecretString;
use tenantry::kernel::error::Error;
use tenantry::kernel::id::TenantId;
use tenantry::kernel::isolation::Isolation;
use tenantry::placement::app_schema::AppSchema;
use tenantry::placement::cluster::Cluster;
use tenantry::placement::home::{Engine, Home};
use tenantry::placement::postgres::connect::connect;
use tenantry::placement::postgres::{Limits, PgCluster};
use tenantry::placement::sqlite::SqliteCluster;
use tenantry::placement::sqlite::open::open_for_tenant;
use tenantry::placement::steps::BuildStep;
use tokio_postgres::{Client, Config};

fn notes() -> AppSchema {
    AppSchema::load(Path::new("examples/notes/migrations")).unwrap()
}

fn password() -> SecretString {
    tenantry::kernel::entropy::base62(32).into()
}

/// An application's schema written for one test.
fn schema(dir: &tempfile::TempDir, migrations: &[(&str, &str)]) -> AppSchema {
    for (name, sql) in migrations {
        let folder = dir.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("up.sql"), sql).unwrap();
    }
    AppSchema::load(dir.path()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the tests' servers come from the environment")]
fn servers() -> Vec<String> {
    let told = std::env::var("TENANTRY_TEST_PG").unwrap_or_default();
    let urls: Vec<String> =
        told.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect();
    assert!(
        !urls.is_empty(),
        "set TENANTRY_TEST_PG to the URL of a PostgreSQL owner role (LOGIN CREATEROLE CREATEDB) and its \
         database, for instance postgres://owner:secret@127.0.0.1:5432/owner; several with commas"
    );
    urls
}

/// A cluster of its own in one server: a database that the owner made, dropped again at the end.
struct World {
    cluster: Arc<Cluster>,
    url: String,
    database: String,
    owner: Client,
}

impl World {
    async fn all() -> Vec<Self> {
        let mut worlds = Vec::new();
        for url in servers() {
            let owner = open(&Config::from_str(&url).unwrap()).await;
            let database = format!("tt_{}", tenantry::kernel::entropy::base62(12).to_lowercase());
            owner.batch_execute(&format!("CREATE DATABASE {database} TEMPLATE template0")).await.unwrap();
            let (start, _) = url.rsplit_once('/').unwrap();
            let own = format!("{start}/{database}");
            let cluster =
                Cluster::new("main", &own.clone().into(), Limits { connections: 6, ..Limits::default() });
            worlds.push(Self { cluster: Arc::new(cluster.unwrap()), url: own, database, owner });
        }
        worlds
    }

    fn pg(&self) -> &PgCluster {
        match &*self.cluster {
            Cluster::Postgres(pg) => pg,
            Cluster::Sqlite(_) => panic!("a PostgreSQL world"),
        }
    }

    /// As the owner, in the cluster's database.
    async fn owner(&self) -> Client {
        open(&Config::from_str(&self.url).unwrap()).await
    }

    async fn tenant(&self, home: &Home, secret: &SecretString) -> Result<Client, String> {
        let config = self.pg().tenant_config(home, secret).unwrap();
        connect(&config, std::time::Duration::from_secs(10)).await.map_err(|failure| format!("{failure:?}"))
    }

    async fn built(&self, isolation: Isolation, app: &AppSchema) -> (Home, SecretString) {
        let home = self.cluster.home(TenantId::mint(), isolation).unwrap();
        let secret = password();
        build(&self.cluster, &home, &secret, app).await;
        (home, secret)
    }

    async fn end(self) {
        let groups: Vec<String> = self
            .owner
            .query(
                "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'tenantry_' || $1 || '%'",
                &[&self.database],
            )
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        let own = self.owner().await;
        let templates = own
            .query("SELECT datname::text FROM pg_database WHERE datname LIKE 'tenantry_tpl_' || substr(encode(sha256(current_database()::bytea), 'hex'), 1, 8) || '%'", &[])
            .await
            .unwrap();
        drop(own);
        drop(self.cluster);
        for row in templates {
            let name: String = row.get(0);
            self.owner.batch_execute(&format!("DROP DATABASE {name}")).await.unwrap();
        }
        // A plain DROP sends the server's own workers away; ours end by themselves.
        for _ in 0..100 {
            if self.owner.batch_execute(&format!("DROP DATABASE IF EXISTS {}", self.database)).await.is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        for group in groups {
            self.owner.batch_execute(&format!("DROP ROLE {group}")).await.unwrap();
        }
    }
}

async fn open(config: &Config) -> Client {
    connect(config, std::time::Duration::from_secs(10)).await.unwrap()
}

async fn build(cluster: &Cluster, home: &Home, secret: &SecretString, app: &AppSchema) {
    for step in cluster.build_steps(home) {
        if let Err(error) = cluster.run_build_step(step, home, secret, app).await {
            panic!("{} of {home:?}: {error} ({:?})", step.name(), error.cause());
        }
    }
}

async fn remove(cluster: &Cluster, home: &Home) {
    for step in cluster.removal_steps(home) {
        if let Err(error) = cluster.run_removal_step(step, home).await {
            panic!("{} of {home:?}: {error} ({:?})", step.name(), error.cause());
        }
    }
}

fn code(error: &Error) -> &'static str {
    match error {
        Error::Refused { code, .. } | Error::Unavailable { code, .. } => code,
        _ => "other",
    }
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn refused(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => panic!("let through: {sql}"),
        Err(error) => error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()),
    }
}

#[tokio::test]
async fn each_step_taken_twice_equals_once_and_removal_leaves_nothing() {
    let app = notes();
    for world in World::all().await {
        let cluster = &world.cluster;
        assert!(cluster.inventory().await.unwrap().is_empty());
        for _ in 0..2 {
            cluster.prepare(&app, &Isolation::ALL).await.unwrap();
        }
        for isolation in Isolation::ALL {
            let home = cluster.home(TenantId::mint(), isolation).unwrap();
            let secret = password();
            for step in cluster.build_steps(&home) {
                for _ in 0..2 {
                    cluster.run_build_step(step, &home, &secret, &app).await.unwrap();
                }
            }
            build(cluster, &home, &secret, &app).await;
            assert_eq!(cluster.applied(&home).await.unwrap(), 2);
            let found = cluster.inventory().await.unwrap();
            assert!(found.of(home.tenant).len() >= 2 && found.all().all(|one| one.tenant == home.tenant));
            let tenant = world.tenant(&home, &secret).await.unwrap();
            tenant.batch_execute("INSERT INTO notebooks (name) VALUES ('one'), ('two')").await.unwrap();
            for step in cluster.removal_steps(&home) {
                for _ in 0..2 {
                    cluster.run_removal_step(step, &home).await.unwrap();
                }
            }
            remove(cluster, &home).await;
            let left = cluster.inventory().await.unwrap();
            assert!(left.is_empty(), "{isolation}: {left:?}");
            assert!(world.tenant(&home, &secret).await.is_err());
        }
        let owner = world.owner().await;
        assert_eq!(count(&owner, "SELECT count(*) FROM app.notebooks").await, 0);
        assert_eq!(count(&owner, "SELECT count(*) FROM tenantry.migrations WHERE schema <> 'app'").await, 0);
        drop(owner);
        world.end().await;
    }
}

#[tokio::test]
async fn removal_takes_what_a_tenant_left_elsewhere() {
    let app = notes();
    for world in World::all().await {
        world.cluster.prepare(&app, &Isolation::ALL).await.unwrap();
        for isolation in Isolation::ALL {
            let (home, secret) = world.built(isolation, &app).await;
            let tenant = world.tenant(&home, &secret).await.unwrap();
            tenant
                .batch_execute(
                    "SELECT lo_create(0); ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
                )
                .await
                .unwrap();
            let mut config = world.pg().tenant_config(&home, &secret).unwrap();
            let elsewhere = connect(config.dbname("postgres"), std::time::Duration::from_secs(5)).await;
            if let Ok(elsewhere) = elsewhere {
                elsewhere.batch_execute("SELECT lo_create(0)").await.unwrap();
            }
            remove(&world.cluster, &home).await;
        }
        assert!(world.cluster.inventory().await.unwrap().is_empty());
        world.end().await;
    }
}

#[tokio::test]
async fn eight_tenants_at_once_from_two_processes() {
    let app = notes();
    for world in World::all().await {
        let other = Arc::new(
            Cluster::new("main", &world.url.clone().into(), Limits { connections: 6, ..Limits::default() })
                .unwrap(),
        );
        let (one, two) =
            tokio::join!(world.cluster.prepare(&app, &Isolation::ALL), other.prepare(&app, &Isolation::ALL));
        one.unwrap();
        two.unwrap();
        for isolation in Isolation::ALL {
            let mut work = tokio::task::JoinSet::new();
            let mut homes = Vec::new();
            for _ in 0..8 {
                let home = world.cluster.home(TenantId::mint(), isolation).unwrap();
                let secret = password();
                homes.push(home.clone());
                // The same home from both processes at the same time.
                for cluster in [Arc::clone(&world.cluster), Arc::clone(&other)] {
                    let (home, secret, app) = (home.clone(), secret.clone(), app.clone());
                    work.spawn(async move { build(&cluster, &home, &secret, &app).await });
                }
            }
            while let Some(done) = work.join_next().await {
                done.unwrap();
            }
            assert_eq!(world.cluster.inventory().await.unwrap().roles.len(), 8);
            for home in homes {
                for cluster in [Arc::clone(&world.cluster), Arc::clone(&other)] {
                    let home = home.clone();
                    work.spawn(async move { remove(&cluster, &home).await });
                }
            }
            while let Some(done) = work.join_next().await {
                done.unwrap();
            }
            let left = world.cluster.inventory().await.unwrap();
            assert!(left.is_empty(), "{isolation}: {left:?}");
        }
        drop(other);
        world.end().await;
    }
}

#[tokio::test]
async fn tenants_cannot_reach_each_other_in_any_model() {
    let app = notes();
    for world in World::all().await {
        world.cluster.prepare(&app, &Isolation::ALL).await.unwrap();
        for isolation in Isolation::ALL {
            let (home_a, secret_a) = world.built(isolation, &app).await;
            let (home_b, secret_b) = world.built(isolation, &app).await;
            let a = world.tenant(&home_a, &secret_a).await.unwrap();
            let b = world.tenant(&home_b, &secret_b).await.unwrap();
            b.batch_execute("INSERT INTO notebooks (name) VALUES ('same')").await.unwrap();
            a.batch_execute("INSERT INTO notebooks (name) VALUES ('same')").await.unwrap();
            assert_eq!(count(&a, "SELECT count(*) FROM notebooks").await, 1, "{isolation}");
            attack(&a, &home_a, &home_b).await;
            assert_eq!(
                count(&b, "SELECT count(*) FROM notebooks WHERE name = 'same'").await,
                1,
                "{isolation}"
            );
            // A moved-in tenant with the other's password, or in the other's database, gets nowhere.
            assert!(world.tenant(&home_b, &secret_a).await.is_err());
            if isolation == Isolation::Database {
                let crossed = Home { database: home_b.database.clone(), ..home_a.clone() };
                assert!(world.tenant(&crossed, &secret_a).await.is_err());
                let planes = Home { database: world.database.clone(), ..home_a.clone() };
                assert!(world.tenant(&planes, &secret_a).await.is_err());
            }
            drop((a, b));
            remove(&world.cluster, &home_a).await;
            remove(&world.cluster, &home_b).await;
        }
        assert!(world.cluster.inventory().await.unwrap().is_empty());
        world.end().await;
    }
}

/// What tenant `a` tries; `b` is the neighbour.
async fn attack(a: &Client, home_a: &Home, home_b: &Home) {
    let (role_a, role_b) = (home_a.role.clone().unwrap(), home_b.role.clone().unwrap());
    let (id_b, schema_a) = (home_b.tenant.uuid(), &home_a.schema);
    let mut tries = vec![
        format!("INSERT INTO notebooks (tenant_id, name) VALUES ('{id_b}', 'planted')"),
        format!("UPDATE notebooks SET tenant_id = '{id_b}'"),
        format!("SET ROLE {role_b}"),
        format!("SET SESSION AUTHORIZATION {role_b}"),
        format!("GRANT {role_b} TO {role_a}"),
        format!("ALTER ROLE {role_b} PASSWORD 'mine'"),
        format!("ALTER ROLE {role_a} SUPERUSER"),
        format!("ALTER ROLE {role_a} BYPASSRLS"),
        format!("ALTER ROLE {role_a} CONNECTION LIMIT 1000"),
        "CREATE ROLE friend".to_owned(),
        "CREATE DATABASE mine".to_owned(),
        "CREATE SCHEMA mine".to_owned(),
        "CREATE TABLE mine (x int)".to_owned(),
        format!("CREATE TABLE {schema_a}.mine (x int)"),
        "CREATE TABLE public.mine (x int)".to_owned(),
        "CREATE TABLE tenantry.mine (x int)".to_owned(),
        "CREATE TEMP TABLE mine (x int)".to_owned(),
        format!("CREATE FUNCTION {schema_a}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
        "CREATE EXTENSION plpgsql".to_owned(),
        "SELECT * FROM tenantry.tenant_role".to_owned(),
        "INSERT INTO tenantry.tenant_role VALUES ('x', gen_random_uuid(), 'shared')".to_owned(),
        "SELECT * FROM tenantry.migrations".to_owned(),
        "CREATE OR REPLACE FUNCTION tenantry.current_tenant() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'".to_owned(),
        "TRUNCATE notebooks CASCADE".to_owned(),
        "TRUNCATE note_tags".to_owned(),
        "DROP TABLE note_tags".to_owned(),
        "ALTER TABLE notebooks DISABLE ROW LEVEL SECURITY".to_owned(),
        "ALTER TABLE notebooks NO FORCE ROW LEVEL SECURITY".to_owned(),
        "CREATE POLICY mine ON notebooks USING (true)".to_owned(),
        "DROP POLICY tenantry_tenant ON notebooks".to_owned(),
        "CREATE INDEX mine ON notebooks (name)".to_owned(),
        "ALTER TABLE notebooks OWNER TO CURRENT_USER".to_owned(),
        "CREATE RULE r AS ON SELECT TO notebooks DO INSTEAD SELECT 1".to_owned(),
        "SELECT pg_read_file('/etc/passwd')".to_owned(),
        "COPY notebooks TO PROGRAM 'cat'".to_owned(),
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role_b}'"),
        format!("DROP SCHEMA {schema_a} CASCADE"),
    ];
    match home_a.isolation {
        Isolation::Schema => tries.push(format!("SELECT * FROM {}.notebooks", home_b.schema)),
        Isolation::Shared => tries.push("SET row_security = off; SELECT * FROM notebooks".to_owned()),
        Isolation::Database => {}
    }
    for sql in tries {
        let state = refused(a, &sql).await;
        assert!(
            ["42501", "23514", "22023", "42710", "42704", "2BP01", "0LP01", "3D000", "42P13"]
                .contains(&state.as_str()),
            "{sql}: {state}"
        );
        a.batch_execute("RESET row_security").await.unwrap();
    }
    // Becoming the group changes who acts, not who signed in.
    let group: String = a
        .query_one(
            "SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid \
             JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = session_user",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    a.batch_execute(&format!("SET ROLE {group}")).await.unwrap();
    if home_a.isolation == Isolation::Shared {
        assert_eq!(count(a, "SELECT count(*) FROM app.notebooks").await, 1);
    }
    let me: uuid::Uuid = a.query_one("SELECT tenantry.current_tenant()", &[]).await.unwrap().get(0);
    assert_eq!(me, home_a.tenant.uuid());
    a.batch_execute("RESET ROLE").await.unwrap();
    assert_eq!(a.execute("DELETE FROM notebooks WHERE name = 'same'", &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn the_applications_queries_run_alike_everywhere() {
    let app = notes();
    let text = std::fs::read_to_string("examples/notes/queries.sql").unwrap();
    let queries: Vec<&str> = text
        .split("\n-- name: ")
        .skip(1)
        .map(|part| part.split_once('\n').unwrap().1.trim().trim_end_matches(';'))
        .collect();
    assert!(queries.len() > 10);
    let dir = tempfile::tempdir().unwrap();
    let mut shapes = Vec::new();
    for world in World::all().await {
        world.cluster.prepare(&app, &Isolation::ALL).await.unwrap();
        for isolation in Isolation::ALL {
            let (home, secret) = world.built(isolation, &app).await;
            let tenant = world.tenant(&home, &secret).await.unwrap();
            let mut rows = Vec::new();
            for query in &queries {
                rows.push(
                    tenant
                        .query(*query, &[])
                        .await
                        .unwrap_or_else(|e| panic!("{isolation}: {query}: {e:?}"))
                        .len(),
                );
            }
            shapes.push(rows);
            drop(tenant);
            remove(&world.cluster, &home).await;
        }
        world.end().await;
    }
    let cluster =
        Cluster::new("files", &format!("sqlite://{}", dir.path().display()).into(), Limits::default())
            .unwrap();
    cluster.prepare(&app, &[Isolation::Database]).await.unwrap();
    let home = cluster.home(TenantId::mint(), Isolation::Database).unwrap();
    build(&cluster, &home, &password(), &app).await;
    let file = open_for_tenant(&dir.path().join(&home.database), home.tenant).unwrap();
    let mut rows = Vec::new();
    for query in &queries {
        let mut statement = file.prepare(query).unwrap();
        let mut found = statement.query([]).unwrap();
        let mut n = 0;
        while found.next().unwrap_or_else(|e| panic!("{query}: {e}")).is_some() {
            n += 1;
        }
        rows.push(n);
    }
    shapes.push(rows);
    assert!(shapes.windows(2).all(|pair| pair[0] == pair[1]), "{shapes:?}");
}

#[tokio::test]
async fn a_locked_out_tenant_is_gone_and_comes_back() {
    let app = notes();
    for world in World::all().await {
        world.cluster.prepare(&app, &Isolation::ALL).await.unwrap();
        for isolation in Isolation::ALL {
            let (home, secret) = world.built(isolation, &app).await;
            let tenant = world.tenant(&home, &secret).await.unwrap();
            for _ in 0..2 {
                world.cluster.lock_out(&home).await.unwrap();
            }
            assert!(tenant.batch_execute("SELECT 1").await.is_err());
            assert!(world.tenant(&home, &secret).await.is_err());
            let new = password();
            world.cluster.reset_credentials(&home, &new).await.unwrap();
            assert!(world.tenant(&home, &new).await.is_err(), "new credentials do not open a locked home");
            for _ in 0..2 {
                world.cluster.let_in(&home).await.unwrap();
            }
            assert!(world.tenant(&home, &secret).await.is_err());
            let tenant = world.tenant(&home, &new).await.unwrap();
            let role = home.role.clone().unwrap();
            tenant
                .batch_execute(&format!(
                    "ALTER ROLE {role} PASSWORD 'stolen'; ALTER ROLE {role} SET search_path = public; \
                     ALTER ROLE {role} IN DATABASE {} SET default_transaction_read_only = on",
                    home.database
                ))
                .await
                .unwrap();
            drop(tenant);
            assert!(world.tenant(&home, &new).await.is_err());
            world.cluster.reset_credentials(&home, &secret).await.unwrap();
            let tenant = world.tenant(&home, &secret).await.unwrap();
            tenant.batch_execute("INSERT INTO notebooks (name) VALUES ('again')").await.unwrap();
            assert!(world.tenant(&home, &"stolen".to_owned().into()).await.is_err());
            drop(tenant);
            remove(&world.cluster, &home).await;
            assert_eq!(code(&world.cluster.let_in(&home).await.unwrap_err()), "role_missing");
            world.cluster.lock_out(&home).await.unwrap();
        }
        world.end().await;
    }
}

#[tokio::test]
async fn a_later_migration_reaches_every_model_and_a_bad_one_leaves_no_trace() {
    let good = "CREATE TABLE a (tenant_id uuid NOT NULL DEFAULT (current_tenant()), id bigint NOT NULL, PRIMARY KEY (tenant_id, id));";
    for world in World::all().await {
        let dir = tempfile::tempdir().unwrap();
        let first = schema(&dir, &[("0001_a", good)]);
        world.cluster.prepare(&first, &Isolation::ALL).await.unwrap();
        let mut homes = Vec::new();
        for isolation in Isolation::ALL {
            homes.push(world.built(isolation, &first).await);
        }
        let more = good.replace("TABLE a", "TABLE b");
        let bad = schema(&dir, &[("0002_b", &format!("{more}\n\nUPDATE b SET nothing = 1;\n"))]);
        for (home, _) in &homes {
            let error = world.cluster.migrate(home, &bad).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "0002_b/up.sql line 3: column \"nothing\" of relation \"b\" does not exist"
            );
            assert_eq!(world.cluster.applied(home).await.unwrap(), 1);
        }
        let second = schema(&dir, &[("0002_b", &more)]);
        for (home, secret) in &homes {
            let shared = home.isolation == Isolation::Shared;
            assert_eq!(world.cluster.migrate(home, &second).await.unwrap(), [2]);
            assert_eq!(world.cluster.migrate(home, &second).await.unwrap(), Vec::<i32>::new());
            let tenant = world.tenant(home, secret).await.unwrap();
            tenant.batch_execute("INSERT INTO b (id) VALUES (1)").await.unwrap();
            if shared {
                assert_eq!(count(&tenant, "SELECT count(*) FROM b").await, 1);
            }
        }
        // A home begun before the new version and finished after it.
        world.cluster.prepare(&second, &Isolation::ALL).await.unwrap();
        let home = world.cluster.home(TenantId::mint(), Isolation::Database).unwrap();
        let secret = password();
        for step in [BuildStep::Register, BuildStep::CreateRole, BuildStep::CreateDatabase] {
            world.cluster.run_build_step(step, &home, &secret, &first).await.unwrap();
        }
        build(&world.cluster, &home, &secret, &second).await;
        assert_eq!(world.cluster.applied(&home).await.unwrap(), 2);
        homes.push((home, secret));
        let edited = schema(&dir, &[("0001_a", &good.replace("bigint", "integer"))]);
        let error = world.cluster.migrate(&homes[0].0, &edited).await.unwrap_err();
        assert_eq!(code(&error), "migration_changed");
        for (home, _) in &homes {
            remove(&world.cluster, home).await;
        }
        world.cluster.prepare(&second, &Isolation::ALL).await.unwrap();
        world.end().await;
    }
}

#[tokio::test]
async fn the_catalog_refuses_what_the_lint_cannot_see() {
    // Each slips past a reader of single statements, through a function's text.
    let sneaky = [
        ("ALTER TABLE a ALTER tenant_id DROP DEFAULT", "without DEFAULT"),
        ("ALTER TABLE a ALTER tenant_id SET DEFAULT gen_random_uuid()", "without DEFAULT"),
        ("CREATE TABLE b (x int)", "has no column tenant_id"),
        ("CREATE UNIQUE INDEX i ON a (id)", "does not start with tenant_id"),
        ("CREATE VIEW v AS SELECT * FROM a", "security_invoker"),
        ("CREATE MATERIALIZED VIEW v AS SELECT * FROM a", "materialized"),
        (
            "CREATE FUNCTION g() RETURNS int LANGUAGE sql SECURITY DEFINER AS $x$SELECT 1$x$",
            "SECURITY DEFINER",
        ),
        ("CREATE POLICY p ON a USING (true)", "policy p of table a"),
        ("GRANT SELECT ON a TO PUBLIC", "gives rights to PUBLIC"),
        ("CREATE RULE r AS ON DELETE TO a DO INSTEAD NOTHING", "has rules"),
        (
            "CREATE TABLE c (tenant_id uuid NOT NULL DEFAULT current_tenant(), x bigint, y uuid, PRIMARY KEY (tenant_id, x), FOREIGN KEY (y, x) REFERENCES a (tenant_id, id))",
            "without tenant_id on both sides",
        ),
        ("CREATE UNLOGGED TABLE u (tenant_id uuid NOT NULL DEFAULT current_tenant())", "unlogged"),
        ("CREATE TABLE k () INHERITS (a)", "inherits"),
    ];
    for world in World::all().await {
        for (sql, words) in sneaky {
            let dir = tempfile::tempdir().unwrap();
            let app = schema(
                &dir,
                &[(
                    "0001_a",
                    &format!(
                        "CREATE TABLE a (tenant_id uuid NOT NULL DEFAULT (current_tenant()), id bigint NOT NULL, PRIMARY KEY (tenant_id, id));\n\
                         CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $body$ BEGIN {sql}; END $body$;\nSELECT f();"
                    ),
                )],
            );
            for models in [[Isolation::Shared], [Isolation::Database]] {
                let error = world.cluster.prepare(&app, &models).await.unwrap_err();
                assert_eq!(code(&error), "migration_failed", "{sql}: {error}");
                assert!(error.to_string().contains(words), "{sql}: {error}");
            }
        }
        assert_eq!(count(&world.owner().await, "SELECT count(*) FROM tenantry.migrations").await, 0);
        assert_eq!(world.cluster.inventory().await.unwrap().all().count(), 0);
        // The scaffolds that refused to become templates are cleared by the next that succeeds.
        world.cluster.prepare(&notes(), &Isolation::ALL).await.unwrap();
        assert!(world.cluster.inventory().await.unwrap().is_empty());
        world.end().await;
    }
}

#[tokio::test]
async fn an_owner_without_rights_is_told_which() {
    for world in World::all().await {
        let (home, secret) = {
            world.cluster.prepare(&notes(), &[Isolation::Shared]).await.unwrap();
            world.built(Isolation::Shared, &notes()).await
        };
        // A tenant's role is an owner without any right.
        let mut url = url::Url::parse(&world.url).unwrap();
        url.set_username(home.role.as_deref().unwrap()).unwrap();
        url.set_password(Some(secrecy::ExposeSecret::expose_secret(&secret))).unwrap();
        let poor = Cluster::new("poor", &url.to_string().into(), Limits::default()).unwrap();
        let error = poor.prepare(&notes(), &Isolation::ALL).await.unwrap_err();
        assert_eq!(code(&error), "cluster_rights_missing");
        for words in ["CREATEROLE", "CREATEDB", "does not own database"] {
            assert!(error.to_string().contains(words), "{error}");
        }
        url.set_password(Some("wrong")).unwrap();
        let wrong = Cluster::new("wrong", &url.to_string().into(), Limits::default()).unwrap();
        assert_eq!(code(&wrong.ping().await.unwrap_err()), "cluster_login_refused");
        drop(poor);
        remove(&world.cluster, &home).await;
        world.end().await;
    }
    let away =
        Cluster::new("away", &"postgres://u:hunter2@127.0.0.1:1/d".to_owned().into(), Limits::default())
            .unwrap();
    let error = away.ping().await.unwrap_err();
    assert_eq!(code(&error), "cluster_unavailable");
    assert!(error.to_string().contains("`away`") && !format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn large_homes_are_removed_in_pieces() {
    let mut ddl = String::new();
    for n in 0..70 {
        ddl.push_str(&format!(
            "CREATE TABLE t{n} (tenant_id uuid NOT NULL DEFAULT (current_tenant()), id bigint NOT NULL, up bigint, PRIMARY KEY (tenant_id, id){});\n",
            if n == 0 { String::new() } else { format!(", FOREIGN KEY (tenant_id, up) REFERENCES t{} (tenant_id, id)", n - 1) }
        ));
    }
    ddl.push_str(
        "ALTER TABLE t0 ADD CONSTRAINT own FOREIGN KEY (tenant_id, up) REFERENCES t0 (tenant_id, id);",
    );
    let dir = tempfile::tempdir().unwrap();
    let app = schema(&dir, &[("0001_many", &ddl)]);
    for world in World::all().await {
        world.cluster.prepare(&app, &[Isolation::Shared]).await.unwrap();
        for isolation in [Isolation::Shared, Isolation::Schema] {
            let (home, secret) = world.built(isolation, &app).await;
            let (neighbour, other) = world.built(isolation, &app).await;
            for (home, secret) in [(&home, &secret), (&neighbour, &other)] {
                let tenant = world.tenant(home, secret).await.unwrap();
                // Rows that refer to each other across batches, and tables that refer to tables.
                tenant
                    .batch_execute(
                        "INSERT INTO t0 (id, up) SELECT n, 12001 - n FROM generate_series(1, 12000) n; \
                         INSERT INTO t1 (id, up) SELECT n, n FROM generate_series(1, 100) n",
                    )
                    .await
                    .unwrap();
            }
            remove(&world.cluster, &home).await;
            let tenant = world.tenant(&neighbour, &other).await.unwrap();
            assert_eq!(count(&tenant, "SELECT count(*) FROM t0").await, 12_000);
            drop(tenant);
            remove(&world.cluster, &neighbour).await;
        }
        assert!(world.cluster.inventory().await.unwrap().is_empty());
        world.end().await;
    }
}

#[tokio::test]
async fn sqlite_homes_are_files() {
    let app = notes();
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("tenants");
    let cluster =
        Cluster::new("files", &format!("sqlite://{}", at.display()).into(), Limits::default()).unwrap();
    assert_eq!(code(&cluster.ping().await.unwrap_err()), "cluster_unavailable");
    for isolation in [Isolation::Shared, Isolation::Schema] {
        assert!(!cluster.supports(isolation));
        assert_eq!(code(&cluster.home(TenantId::mint(), isolation).unwrap_err()), "isolation_unsupported");
        assert_eq!(code(&cluster.prepare(&app, &[isolation]).await.unwrap_err()), "isolation_unsupported");
    }
    for _ in 0..2 {
        cluster.prepare(&app, &[Isolation::Database]).await.unwrap();
    }
    cluster.ping().await.unwrap();
    let homes: Vec<Home> =
        (0..8).map(|_| cluster.home(TenantId::mint(), Isolation::Database).unwrap()).collect();
    let secret = password();
    let both = homes.iter().chain(&homes).map(|home| build(&cluster, home, &secret, &app));
    futures_util::future::join_all(both).await;
    let found = cluster.inventory().await.unwrap();
    assert_eq!((found.databases.len(), found.debris.len()), (8, 0));
    let (a, b) = (&homes[0], &homes[1]);
    let file = open_for_tenant(&at.join(&a.database), a.tenant).unwrap();
    file.execute_batch("INSERT INTO notebooks (name) VALUES ('one')").unwrap();
    let (tenant, id): (String, String) = file
        .query_row("SELECT tenant_id, id FROM notebooks", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(tenant, a.tenant.uuid().to_string());
    assert_eq!(id.parse::<uuid::Uuid>().unwrap().get_version_num(), 4);
    let mode: String = file.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    assert!(file.execute_batch("INSERT INTO notes (notebook_id, title) VALUES ('none', 'x')").is_err());
    // A rebuild leaves the rows alone; another tenant's file is not opened.
    build(&cluster, a, &secret, &app).await;
    assert_eq!(file.query_row("SELECT count(*) FROM notebooks", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    assert_eq!(code(&open_for_tenant(&at.join(&b.database), a.tenant).unwrap_err()), "home_unverified");
    drop(file);
    for home in homes.iter().chain(&homes) {
        remove(&cluster, home).await;
    }
    assert!(cluster.inventory().await.unwrap().is_empty());
    assert_eq!(code(&open_for_tenant(&at.join(&a.database), a.tenant).unwrap_err()), "home_missing");
}

#[test]
fn sqlite_checks_its_catalog_and_migrates_files() {
    let dir = tempfile::tempdir().unwrap();
    let good = "CREATE TABLE a (tenant_id uuid NOT NULL DEFAULT (current_tenant()), id bigint NOT NULL, PRIMARY KEY (tenant_id, id));\n\
        CREATE VIEW v WITH (security_invoker = true) AS SELECT id FROM a;";
    let first = schema(&dir, &[("0001_a", good)]);
    let data = tempfile::tempdir().unwrap();
    let cluster = SqliteCluster::new("files", data.path());
    cluster.prepare(&first, &[Isolation::Database]).unwrap();
    let home = cluster.home(TenantId::mint(), Isolation::Database).unwrap();
    cluster.build(BuildStep::CreateDatabase, &home, &first).unwrap();
    let bad = schema(&dir, &[("0002_b", "DELETE FROM a;\nDELETE FROM missing;")]);
    let error = cluster.migrate(&home, &bad).unwrap_err();
    assert_eq!(code(&error), "migration_failed");
    assert!(error.to_string().starts_with("0002_b/up.sql line 2: no such table: missing"), "{error}");
    assert_eq!(cluster.applied(&home).unwrap(), 1);
    let second = schema(&dir, &[("0002_b", "ALTER TABLE a ADD COLUMN note text;")]);
    assert_eq!(cluster.migrate(&home, &second).unwrap(), [2]);
    assert_eq!(cluster.migrate(&home, &second).unwrap(), Vec::<i32>::new());
    cluster.prepare(&second, &[Isolation::Database]).unwrap();
    assert_eq!(std::fs::read_dir(data.path().join(".templates")).unwrap().count(), 1);
}

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
        let app = schema(&dir, &[("0001_x", &format!("-- a comment\n\n{sql};\n"))]);
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
        let findings = schema(&dir, &[("0001_x", &sql)]).lint(Engine::Postgres);
        assert!(findings.is_empty(), "{sql}: {findings:?}");
    }
    for (sql, words) in [
        ("CREATE TABLE x (tenant_id uuid NOT NULL DEFAULT current_tenant())", "parentheses"),
        ("ALTER TABLE x ADD COLUMN a text, ADD COLUMN b text", "one column at a time"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "no stored functions"),
    ] {
        let findings = schema(&dir, &[("0001_x", sql)]).lint(Engine::Sqlite);
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
