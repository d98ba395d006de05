//! Homes in real clusters: built, checked, attacked and removed, in every model and on every engine.

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
use tenantry::placement::door::Tls;
use tenantry::placement::home::{Engine, Home};
use tenantry::placement::postgres::connect::connect;
use tenantry::placement::postgres::{Limits, PgCluster};
use tenantry::placement::sqlite::SqliteCluster;
use tenantry::placement::sqlite::open::open_for_tenant;
use tenantry::placement::steps::BuildStep;
use tokio_postgres::{Client, Config};

use crate::world::postgres::{Pg, TestDatabase};

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

/// A cluster in a database of its own, on one of the servers.
struct World {
    cluster: Arc<Cluster>,
    url: String,
    database: TestDatabase,
}

impl World {
    async fn all() -> Vec<Self> {
        let world = |pg: &Pg| {
            let database = pg.fresh_database();
            let limits = Limits { connections: 6, ..Limits::default() };
            let cluster = Cluster::new("main", &database.url.clone().into(), limits).unwrap();
            Self { cluster: Arc::new(cluster), url: database.url.clone(), database }
        };
        Pg::each().iter().map(world).collect()
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
        connect(&config, self.pg().tls(), std::time::Duration::from_secs(10))
            .await
            .map_err(|failure| format!("{failure:?}"))
    }

    async fn built(&self, isolation: Isolation, app: &AppSchema) -> (Home, SecretString) {
        let home = self.cluster.home(TenantId::mint(), isolation).unwrap();
        let secret = password();
        build(&self.cluster, &home, &secret, app).await;
        (home, secret)
    }
}

async fn open(config: &Config) -> Client {
    connect(config, &Tls::Off, std::time::Duration::from_secs(10)).await.unwrap()
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
