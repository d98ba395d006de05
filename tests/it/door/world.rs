//! What the tests stand on: tenants with a role and a schema, or a file, of their own.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tenantry::kernel::error::Error;
use tenantry::kernel::id::TenantId;
use tenantry::placement::connections::{ClusterConnections, Settings, TenantConnections};
use tenantry::placement::door::{Access, Answer, Caps, Place, Server, Statement, Target, Tls};
use tokio_postgres::{Client, NoTls};

use crate::world::postgres::{Pg, TestDatabase};

pub const CAPS: Caps = Caps {
    rows: 1_000,
    bytes: 1 << 20,
    timeout: Duration::from_secs(10),
    // The process is that of all tests: what others take counts too.
    memory_bytes: 16 << 30,
    file_bytes: 1 << 30,
};

pub const SETTINGS: Settings = Settings {
    max_connections: 8,
    max_in_flight_per_tenant: 4,
    wait: Duration::from_secs(10),
    connect: Duration::from_secs(10),
    idle_close: Duration::from_secs(60),
};

/// The server of a database, as a cluster of that name.
pub fn server(database: &TestDatabase, cluster: &str) -> Arc<Server> {
    let url = url::Url::parse(&database.url).unwrap();
    let host = url.host_str().unwrap().to_owned();
    Arc::new(Server { cluster: cluster.to_owned(), host, port: url.port().unwrap_or(5432), tls: Tls::Off })
}

pub async fn owner(database: &TestDatabase) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A tenant on PostgreSQL with a schema of its own, in it `notes (id, body)`.
pub struct World {
    pub door: Arc<TenantConnections>,
    pub owner: Client,
    pub target: Target,
    pub role: String,
    pub database: Arc<TestDatabase>,
}

impl World {
    pub async fn new(pg: &Pg) -> Self {
        Self::with(pg, SETTINGS).await
    }

    pub async fn with(pg: &Pg, settings: Settings) -> Self {
        let database = Arc::new(pg.fresh_database());
        let owner = owner(&database).await;
        let (target, role) = tenant(&owner, server(&database, "main"), &database.name).await;
        Self { door: Arc::new(TenantConnections::new(settings)), owner, target, role, database }
    }

    /// Runs DDL as the owner, in the tenant's schema.
    pub async fn ddl(&self, sql: &str) {
        let grant = format!(
            "SET search_path = \"{0}\"; {sql}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA \"{0}\" TO \"{0}\"",
            self.role
        );
        self.owner.batch_execute(&grant).await.unwrap();
    }

    pub async fn run(&self, access: Access, sql: &str, params: &[Value]) -> Result<Answer, Error> {
        self.door.query(&self.target, &statement(sql, params), access, CAPS).await
    }

    pub async fn read(&self, sql: &str) -> Answer {
        self.run(Access::Read, sql, &[]).await.unwrap()
    }

    pub async fn write(&self, sql: &str) -> Answer {
        self.run(Access::Write, sql, &[]).await.unwrap()
    }

    /// The first value of the first row.
    pub async fn one(&self, sql: &str) -> Value {
        self.read(sql).await.rows[0].values().remove(0)
    }

    /// Statements of this tenant's role that run on the server right now.
    pub async fn active(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND state = 'active'";
        self.owner.query_one(sql, &[&self.role]).await.unwrap().get(0)
    }

    /// Connections of this tenant's role.
    pub async fn sessions(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
        self.owner.query_one(sql, &[&self.role]).await.unwrap().get(0)
    }
}

/// A tenant's role, schema and table. The owner joins the role, to see and end its sessions.
pub async fn tenant(owner: &Client, server: Arc<Server>, database: &str) -> (Target, String) {
    let tenant = TenantId::mint();
    let role = format!("t_{}", tenant.uuid().simple());
    let setup = format!(
        "CREATE ROLE \"{role}\" LOGIN PASSWORD 'pw-{role}'; GRANT \"{role}\" TO CURRENT_USER; CREATE SCHEMA \"{role}\"; \
         GRANT USAGE ON SCHEMA \"{role}\" TO \"{role}\"; \
         CREATE TABLE \"{role}\".notes (id bigint PRIMARY KEY, body text NOT NULL); \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA \"{role}\" TO \"{role}\""
    );
    owner.batch_execute(&setup).await.unwrap();
    let password = format!("pw-{role}").into();
    let place = Place::Postgres {
        server,
        database: database.to_owned(),
        schema: role.clone(),
        role: role.clone(),
        password,
    };
    (Target { tenant, generation: 1, place }, role)
}

pub fn statement(sql: &str, params: &[Value]) -> Statement {
    Statement { sql: sql.to_owned(), params: params.to_vec() }
}

/// A stable word for an outcome: the error's code or SQLSTATE.
pub fn word(outcome: &Result<Answer, Error>) -> String {
    match outcome {
        Ok(_) => "ok".to_owned(),
        Err(Error::Sql(problem)) => problem.sqlstate.clone(),
        Err(Error::Refused { code, .. } | Error::Unavailable { code, .. } | Error::Timeout { code, .. }) => {
            (*code).to_owned()
        }
        Err(Error::Invalid(fields)) => {
            fields.iter().map(|field| field.pointer.clone()).collect::<Vec<_>>().join(" ")
        }
        Err(other) => format!("{other:?}"),
    }
}

/// The counts of the one cluster in use; all zero before its first connection.
pub fn counts(door: &TenantConnections) -> ClusterConnections {
    let none = ClusterConnections { cluster: String::new(), max: 0, open: 0, idle: 0, waiting: 0 };
    door.stats().into_iter().next().unwrap_or(none)
}

/// Waits until `check` holds; the tests assert states, never times.
pub async fn until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    for _ in 0..3_000 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still not: {what}");
}
