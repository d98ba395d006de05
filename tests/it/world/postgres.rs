//! PostgreSQL for tests: the oldest version found on this system, and the newest.
//!
//! `scripts/test` starts both and names them in `TENANTRY_TEST_PG` (owner URLs, comma separated, the system's
//! first) and `TENANTRY_TEST_PG_DIRS`. When these are missing, the first test process starts clusters that all
//! test runs of this user share; they stop by themselves soon after the last test. Nothing is ever skipped.
//!
//! Clusters are shared by tests that run at once, and roles belong to a whole cluster. So each
//! [`TestDatabase`] has an owner role to itself, which, like an operator's, is no superuser but may create roles
//! and databases; when the test is over everything that this role made goes with it.
//!
//! A test that stops or restarts a cluster takes its own: [`Pg::alone`].

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, Config, NoTls};

/// A running cluster.
#[derive(Clone, Debug)]
pub struct Pg {
    /// `postgres://tenantry_owner:…@127.0.0.1:PORT/tenantry`. For the harness; tests use [`Pg::fresh_database`].
    url: String,
    /// The major version: 15, 18.
    pub major: u32,
    dir: Option<PathBuf>,
}

/// Made only in [`Pg::each`]: two when both versions are at hand, one after `scripts/test --system`.
static CLUSTERS: OnceLock<Vec<Pg>> = OnceLock::new();

impl Pg {
    /// The oldest supported version on this system: 15 on Debian 12.
    pub fn fifteen() -> &'static Self {
        Self::each().first().unwrap()
    }

    /// The newest version: 18.
    pub fn newest() -> &'static Self {
        Self::each().last().unwrap()
    }

    /// All clusters, oldest first.
    pub fn each() -> &'static [Self] {
        CLUSTERS.get_or_init(|| {
            let given: Vec<(Option<PathBuf>, String)> = match variable("TENANTRY_TEST_PG") {
                Some(urls) => {
                    let dirs = variable("TENANTRY_TEST_PG_DIRS").unwrap_or_default();
                    let mut dirs = dirs.split(',').filter(|dir| !dir.is_empty()).map(PathBuf::from);
                    urls.split(',').map(|url| (dirs.next(), url.trim().to_owned())).collect()
                }
                None => shared_by_this_user(),
            };
            let mut clusters: Vec<Self> = given.into_iter().map(|(dir, url)| Self::at(url, dir)).collect();
            clusters.sort_by_key(|pg| pg.major);
            assert!(!clusters.is_empty(), "TENANTRY_TEST_PG names no cluster");
            clusters
        })
    }

    fn at(url: String, dir: Option<PathBuf>) -> Self {
        let number = ask(&url, "SHOW server_version_num").remove(0);
        Self { major: number.parse::<u32>().unwrap() / 10_000, url, dir }
    }

    /// `postgres://127.0.0.1:PORT`: no user, no database.
    pub fn address(&self) -> String {
        let mut url = url::Url::parse(&self.url).unwrap();
        url.set_username("").unwrap();
        url.set_password(None).unwrap();
        url.set_path("");
        url.to_string()
    }

    /// An empty database with an owner role of its own, both named for nobody else. About 0.1 s.
    pub fn fresh_database(&self) -> TestDatabase {
        static MADE: AtomicU32 = AtomicU32::new(0);
        // Unlike every other test process's, and short: the product adds to the name of its database.
        let unique = format!("{:x}{:04x}", stamp(), MADE.fetch_add(1, Ordering::Relaxed));
        let (name, owner) = (format!("it{unique}"), format!("own{unique}"));
        let mut url = url::Url::parse(&self.url).unwrap();
        url.set_username(&owner).unwrap();
        url.set_password(Some(&unique)).unwrap();
        run(&self.url, &[&format!("CREATE ROLE {owner} LOGIN CREATEROLE CREATEDB PASSWORD '{unique}'")]);
        // As the owner itself, which is thus the one who made it; by way of the harness's own database.
        run(url.as_ref(), &[&format!("CREATE DATABASE {name} STRATEGY file_copy")]);
        let owner_at_ours = url.to_string();
        url.set_path(&name);
        TestDatabase { url: url.to_string(), name, owner, owner_at_ours, ours: self.url.clone() }
    }

    /// A cluster of the same version that this test alone uses, to stop and start it. Takes about 1.5 s.
    pub fn alone(&self) -> OwnCluster {
        let dir = self.dir.as_ref().expect("TENANTRY_TEST_PG_DIRS is needed to know this cluster's programs");
        let bin = std::fs::read_to_string(dir.join("bin")).unwrap();
        let parent = tempfile::Builder::new().prefix("tenantry-it-pg-").tempdir_in("/tmp").unwrap();
        let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o711);
        std::fs::set_permissions(parent.path(), open).unwrap();
        let dir = parent.path().join("own");
        let pid = std::process::id().to_string();
        let url = script(&["start", dir.to_str().unwrap(), "--bin", bin.trim(), "--pid", &pid]);
        OwnCluster { pg: Self::at(url.trim().to_owned(), Some(dir)), _parent: parent }
    }
}

/// A cluster that one test may stop; gone on drop.
pub struct OwnCluster {
    pg: Pg,
    _parent: tempfile::TempDir,
}

impl OwnCluster {
    /// As an operator stops it: sessions end, data is safe.
    pub fn stop(&self) {
        script(&["stop", self.place()]);
    }

    /// As a crash stops it: without a word to anyone.
    pub fn crash(&self) {
        script(&["stop", self.place(), "--immediate"]);
    }

    /// Starts it on the port it had; crashes it first when it runs.
    pub fn restart(&self) {
        script(&["restart", self.place()]);
    }

    /// Where it lies; its data is in `data`.
    #[cfg(feature = "pg-tls")]
    pub fn dir(&self) -> &Path {
        self.pg.dir.as_ref().unwrap()
    }

    /// The owner's URL.
    #[cfg(feature = "pg-tls")]
    pub fn owner_url(&self) -> &str {
        &self.pg.url
    }

    fn place(&self) -> &str {
        self.pg.dir.as_ref().unwrap().to_str().unwrap()
    }
}

impl std::ops::Deref for OwnCluster {
    type Target = Pg;

    fn deref(&self) -> &Pg {
        &self.pg
    }
}

impl Drop for OwnCluster {
    fn drop(&mut self) {
        script(&["remove", self.place()]);
    }
}

/// A database of one test, with the role that owns it.
#[derive(Debug)]
pub struct TestDatabase {
    /// The owner's URL, as `store.url` and `clusters.<name>.url` take it.
    pub url: String,
    pub name: String,
    /// The owner role: LOGIN CREATEROLE CREATEDB, no superuser.
    pub owner: String,
    owner_at_ours: String,
    ours: String,
}

impl TestDatabase {
    /// Runs statements as the owner, each in a transaction of its own.
    pub fn run(&self, statements: &[&str]) {
        run(&self.url, statements);
    }

    /// The first column of what a query answers, as text; NULL is an empty text.
    pub fn ask(&self, query: &str) -> Vec<String> {
        ask(&self.url, query)
    }

    /// As [`Self::ask`], in another database that the owner may connect to.
    pub fn ask_at(&self, database: &str, query: &str) -> Vec<String> {
        let mut url = url::Url::parse(&self.url).unwrap();
        url.set_path(database);
        ask(url.as_ref(), query)
    }

    /// This database's URL for another role, or another database of the same cluster.
    pub fn url_for(&self, role: &str, password: &str, database: &str) -> String {
        let mut url = url::Url::parse(&self.url).unwrap();
        url.set_username(role).unwrap();
        url.set_password(Some(password)).unwrap();
        url.set_path(database);
        url.to_string()
    }

    /// Everything the owner made in the cluster: databases it owns, and roles that PostgreSQL says it made (16 and
    /// later), that are named after the database, that hold rights in its databases, or that are members of such.
    fn made(&self) -> (Vec<String>, Vec<String>) {
        let owner = &self.owner;
        let databases = ask(
            &self.owner_at_ours,
            &format!("SELECT datname FROM pg_database WHERE datdba = '{owner}'::regrole ORDER BY datname"),
        );
        let roles = ask(
            &self.owner_at_ours,
            &format!(
                "WITH RECURSIVE dbs AS (SELECT oid FROM pg_database WHERE datdba = '{owner}'::regrole), made(oid) AS (
                     SELECT roleid FROM pg_auth_members WHERE member = '{owner}'::regrole AND admin_option
                     UNION SELECT oid FROM pg_roles WHERE starts_with(rolname, '{name}')
                     UNION SELECT refobjid FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND
                         (dbid IN (SELECT oid FROM dbs) OR
                          classid = 'pg_database'::regclass AND objid IN (SELECT oid FROM dbs))
                     UNION SELECT m.member FROM pg_auth_members m JOIN made ON m.roleid = made.oid
                 ) SELECT rolname FROM made JOIN pg_roles USING (oid)
                   WHERE rolname NOT IN ('{owner}', 'tenantry_owner') AND NOT rolsuper
                     AND NOT starts_with(rolname, 'pg_')",
                name = self.name
            ),
        );
        (databases, roles)
    }

    fn sweep(&self) {
        let (databases, roles) = self.made();
        let owner = quoted(&self.owner);
        // Ending the sessions of a role takes its rights. Where the owner has them already, this is refused.
        let grants = roles.iter().map(|role| format!("GRANT {} TO {owner}", quoted(role)));
        let drops = databases
            .iter()
            .map(|database| format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(database)));
        let roles = roles.iter().map(|role| format!("DROP ROLE IF EXISTS {}", quoted(role)));
        try_each(&self.owner_at_ours, grants.chain(drops).chain(roles).collect());
        try_each(&self.ours, vec![format!("DROP ROLE IF EXISTS {owner}")]);
    }
}

impl Drop for TestDatabase {
    /// What cannot be dropped stays until the cluster goes: a clean-up must not hide why a test failed, nor fail
    /// one that stopped its cluster.
    #[expect(clippy::print_stdout, reason = "cargo shows it with the test it belongs to")]
    fn drop(&mut self) {
        let swept = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.sweep()));
        if swept.is_err() && !std::thread::panicking() {
            println!("the database {} could not be cleaned up", self.name);
        }
    }
}

// ---- talking to PostgreSQL, from a test that may or may not run in a runtime of its own ----

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Connects and lets `work` talk, on a thread with a small runtime.
fn with_client<T: Send, F: Future<Output = T>>(url: &str, work: impl FnOnce(Client) -> F + Send) -> T {
    let mut config: Config = url.parse().unwrap();
    config.connect_timeout(std::time::Duration::from_secs(10));
    let talk = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) =
                config.connect(NoTls).await.expect("the test cluster takes connections");
            tokio::spawn(connection);
            work(client).await
        })
    };
    std::thread::scope(|scope| scope.spawn(talk).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn run(url: &str, statements: &[&str]) {
    with_client(url, async |client| {
        for statement in statements {
            client.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
    });
}

fn try_each(url: &str, statements: Vec<String>) {
    with_client(url, async |client| {
        // A role may hold rights through another that goes first: what fails is tried once more.
        let mut left = statements;
        for _ in 0..2 {
            let mut failed = Vec::new();
            for statement in left {
                if client.batch_execute(&statement).await.is_err() {
                    failed.push(statement);
                }
            }
            left = failed;
        }
    });
}

fn ask(url: &str, query: &str) -> Vec<String> {
    let messages = with_client(url, async |client| {
        client.simple_query(query).await.unwrap_or_else(|error| panic!("{query}: {error:?}"))
    });
    let rows = messages.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    });
    rows.collect()
}

// ---- scripts/postgres ----

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.into_string().unwrap()).filter(|value| !value.is_empty())
}

/// Microseconds since some moment of this decade: with a counter, a name that no other test process uses.
fn stamp() -> u128 {
    static STARTED: OnceLock<u128> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let since_1970 =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
        (since_1970 << 16) | u128::from(std::process::id() & 0xffff)
    }) & 0xffff_ffff_ffff_ffff
}

/// Runs `scripts/postgres` and gives what it printed; its complaints are the test's.
fn script(arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
    let output =
        Command::new(path).args(arguments).stdin(Stdio::null()).output().expect("scripts/postgres runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/postgres {} failed:\n{complaint}", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// The clusters of this user, started when they are not running. One process at a time looks.
fn shared_by_this_user() -> Vec<(Option<PathBuf>, String)> {
    use std::os::unix::fs::MetadataExt;
    let me = std::fs::metadata("/proc/self")
        .or_else(|_| std::fs::metadata(env!("CARGO_MANIFEST_DIR")))
        .unwrap()
        .uid();
    let lock = File::create(format!("/tmp/tenantry-tests-{me}.lock")).unwrap();
    lock.lock().unwrap();
    let clusters = script(&["shared", &std::process::id().to_string()]);
    let parts = clusters.lines().map(|line| line.split_once(' ').expect("a line of DIR URL"));
    parts.map(|(dir, url)| (Some(PathBuf::from(dir)), url.to_owned())).collect()
}

// ---- the harness under test ----

#[test]
fn the_owner_of_a_fresh_database_is_no_superuser_but_may_create_roles_and_databases() {
    for pg in Pg::each() {
        let db = pg.fresh_database();
        assert_eq!(
            db.ask("SELECT rolsuper::text || rolcreaterole || rolcreatedb || rolbypassrls FROM pg_roles WHERE rolname = current_user"),
            ["falsetruetruefalse"],
            "on {}",
            pg.major
        );
        assert_eq!(db.ask("SELECT current_database()"), [db.name.as_str()]);
        db.run(&[
            &format!("CREATE ROLE {}_group NOLOGIN", db.name),
            &format!("CREATE DATABASE {}_t1", db.name),
        ]);
    }
}

#[test]
fn both_versions_are_here_and_supported() {
    assert!(Pg::fifteen().major >= 15);
    assert!(Pg::newest().major >= Pg::fifteen().major);
    assert!(Pg::fifteen().address().starts_with("postgres://127.0.0.1:"));
    for pg in Pg::each() {
        let db = pg.fresh_database();
        let number: u32 = db.ask("SHOW server_version_num").remove(0).parse().unwrap();
        assert_eq!(number / 10_000, pg.major);
    }
}

#[test]
fn what_a_test_made_goes_with_its_database_even_while_in_use() {
    for pg in Pg::each() {
        let db = pg.fresh_database();
        let (name, owner) = (db.name.clone(), db.owner.clone());
        db.run(&[
            &format!("CREATE ROLE {name}_tenants NOLOGIN"),
            &format!("CREATE ROLE ten_{owner} LOGIN PASSWORD 'of a tenant' IN ROLE {name}_tenants"),
            &format!("CREATE DATABASE ten_{owner}"),
            &format!("GRANT CONNECT ON DATABASE ten_{owner} TO {name}_tenants"),
            &format!("GRANT USAGE ON SCHEMA public TO ten_{owner}"),
        ]);
        let tenant = db.url_for(&format!("ten_{owner}"), "of a tenant", &format!("ten_{owner}"));
        with_client(&tenant, async |client| {
            drop(db);
            assert!(
                client.simple_query("SELECT 1").await.is_err(),
                "the tenant's session outlived its database"
            );
        });
        let left = ask(
            &pg.url,
            &format!(
                "SELECT rolname::text FROM pg_roles WHERE rolname LIKE '{name}%' OR rolname LIKE '%{owner}'
                 UNION ALL SELECT datname FROM pg_database WHERE datname LIKE '{name}%' OR datname LIKE '%{owner}'"
            ),
        );
        assert_eq!(left, Vec::<String>::new(), "on {}", pg.major);
    }
}

#[test]
fn passwords_are_asked_for() {
    for pg in Pg::each() {
        let db = pg.fresh_database();
        let wrong: Config = db.url_for(&db.owner, "a wrong one", &db.name).parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let refused = runtime.block_on(wrong.connect(NoTls)).err().expect("a wrong password is refused");
        assert_eq!(refused.code().map(|code| code.code()), Some("28P01"));
    }
}

#[test]
fn a_cluster_of_ones_own_can_crash_and_come_back() {
    let cluster = Pg::newest().alone();
    let db = cluster.fresh_database();
    db.run(&["CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)"]);
    cluster.crash();
    let port = url::Url::parse(&cluster.address()).unwrap().port().unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "it is down");
    cluster.restart();
    assert_eq!(db.ask("SELECT n FROM kept"), ["7"]);
    cluster.stop();
    cluster.restart();
    assert_eq!(db.ask("SELECT n FROM kept"), ["7"]);
}
