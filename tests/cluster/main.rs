//! Homes in real clusters: built, checked, attacked and removed, in every model and on every engine.
//!
//! Needs PostgreSQL servers: `TENANTRY_TEST_PG` names them by the URLs of owner roles
//! (`LOGIN CREATEROLE CREATEDB`, not superusers), separated by commas. Each test makes databases of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

mod hostile;
mod life;
mod lint;
mod schema;
mod sqlite;

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
fn folder(dir: &tempfile::TempDir, migrations: &[(&str, &str)]) -> AppSchema {
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
