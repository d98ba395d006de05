//! What tests stand on: places to keep a control store and tenants' data, each test with its own.

pub mod doctor;
pub mod hooks;
pub mod mail;
pub mod nats;
pub mod postgres;
pub mod proxy;
pub mod server;
pub mod sqlite;
pub mod strangers;
pub mod stripe;
pub mod wire;

use server::{Server, Starting};

/// A copy of the example's migrations that a test may add to.
pub fn own_migrations() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("tenantry-it-").tempdir().unwrap();
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/notes/migrations");
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = folder.path().join(entry.file_name());
        std::fs::create_dir(&to).unwrap();
        for file in std::fs::read_dir(entry.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    folder
}

/// A copy of the example's migrations and one more that no lint can see the fault of.
pub fn broken_migrations() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = own_migrations();
    let broken = folder.path().join("0003_broken");
    std::fs::create_dir(&broken).unwrap();
    let up = broken.join("up.sql");
    let sql = "-- Sorts notebooks.\n\nCREATE INDEX sorted ON notebooks (tenant_id, no_such_column);\n";
    std::fs::write(&up, sql).unwrap();
    (folder, up)
}

/// Where a story plays: an engine and an isolation model, on a store and a cluster of its own.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// None for SQLite, else the PostgreSQL.
    pub pg: Option<&'static str>,
    /// The isolation model.
    pub isolation: &'static str,
}

impl Scene {
    /// A server about to be started here, with what must outlive it.
    pub fn starting(self) -> (Starting, Option<postgres::TestDatabase>) {
        match self.pg {
            None => (Starting::new().set("TENANCY__ISOLATION", self.isolation), None),
            Some(which) => {
                let pg = if which == "newest" { postgres::Pg::newest() } else { postgres::Pg::fifteen() };
                let database = pg.fresh_database();
                (Starting::new().on_postgres(&database.url, self.isolation), Some(database))
            }
        }
    }

    /// A server started here.
    pub fn server(self) -> (Server, Option<postgres::TestDatabase>) {
        let (starting, database) = self.starting();
        (starting.start(), database)
    }
}

/// Makes a test of a story for each place it plays at: `on_each_engine!` once per engine,
/// `in_every_model!` for each model that an engine can keep.
#[macro_export]
macro_rules! scenes {
    ($(#[$meta:meta])* $name:ident($scene:ident) $body:block; $($place:ident = $pg:expr, $isolation:literal;)+) => {
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "a story uses what it needs of its file")]
            use super::*;
            async fn story($scene: $crate::world::Scene) $body
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $place() {
                    story($crate::world::Scene { pg: $pg, isolation: $isolation }).await;
                }
            )+
        }
    };
}

/// A story told on SQLite, PostgreSQL 15 and the newest PostgreSQL.
#[macro_export]
macro_rules! on_each_engine {
    ($(#[$meta:meta])* async fn $name:ident($scene:ident) $body:block) => {
        $crate::scenes! { $(#[$meta])* $name($scene) $body;
            sqlite = None, "database";
            postgres_15 = Some("fifteen"), "database";
            postgres_newest = Some("newest"), "database";
        }
    };
}

/// A long story told once in each model, over both engines and both versions of PostgreSQL together.
#[macro_export]
macro_rules! once_in_every_model {
    ($(#[$meta:meta])* async fn $name:ident($scene:ident) $body:block) => {
        $crate::scenes! { $(#[$meta])* $name($scene) $body;
            sqlite_database = None, "database";
            postgres_15_shared = Some("fifteen"), "shared";
            postgres_newest_schema = Some("newest"), "schema";
            postgres_newest_database = Some("newest"), "database";
        }
    };
}

/// A story told in each model that an engine can keep: on SQLite, PostgreSQL 15 and the newest PostgreSQL.
#[macro_export]
macro_rules! in_every_model {
    ($(#[$meta:meta])* async fn $name:ident($scene:ident) $body:block) => {
        $crate::scenes! { $(#[$meta])* $name($scene) $body;
            sqlite_database = None, "database";
            postgres_15_shared = Some("fifteen"), "shared";
            postgres_15_schema = Some("fifteen"), "schema";
            postgres_15_database = Some("fifteen"), "database";
            postgres_newest_shared = Some("newest"), "shared";
            postgres_newest_schema = Some("newest"), "schema";
            postgres_newest_database = Some("newest"), "database";
        }
    };
}

/// Makes tests of functions that take a [`postgres::Pg`]: each is run on PostgreSQL 15 and on the newest.
#[macro_export]
macro_rules! on_each_postgres {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres_15() {
                super::$name($crate::world::postgres::Pg::fifteen()).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres_newest() {
                super::$name($crate::world::postgres::Pg::newest()).await;
            }
        })+
    };
}
