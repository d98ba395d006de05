//! A PostgreSQL server as a home for tenants. The URL's role owns all and runs all DDL; each tenant has
//! a login role that owns nothing; `tenantry.current_tenant()` derives the tenant from that login.
//!
//! Steps that touch the same home wait for each other on a row lock (see `turns`), so several processes
//! may work on one cluster. An owner connection that saw an error is closed, never reused.

mod access;
mod build;
mod catalog;
pub mod connect;
mod errors;
mod inventory;
mod migrate;
mod names;
mod prepare;
mod reach;
mod remove;
mod roles;
mod secure;
mod sql;
mod template;
mod turns;

use std::time::Duration;

use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Row};

use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;

use super::door::Tls;
use super::home::Home;
use names::Names;
pub use prepare::Prepared;

/// The bounds of work on a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connecting, including signing in.
    pub connect: Duration,
    /// One statement.
    pub statement: Duration,
    /// Waiting for somebody else's lock.
    pub lock: Duration,
    /// One step as a whole, or one migration of a home.
    pub step: Duration,
    /// Owner connections at a time.
    pub connections: usize,
    /// `CONNECTION LIMIT` of each tenant's role; at least 1.
    pub tenant_connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            statement: Duration::from_secs(120),
            lock: Duration::from_secs(30),
            step: Duration::from_secs(600),
            connections: 8,
            tenant_connections: 20,
        }
    }
}

/// A PostgreSQL server that tenants can be placed on.
pub struct PgCluster {
    name: String,
    config: Config,
    tls: Tls,
    database: String,
    names: Names,
    limits: Limits,
    idle: Mutex<Vec<Client>>,
    permits: Semaphore,
}

impl std::fmt::Debug for PgCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgCluster").field("name", &self.name).field("database", &self.database).finish()
    }
}

/// An owner connection to the URL's database. [`Lease::keep`] gives it back; dropping it closes it.
struct Lease<'a> {
    client: Option<Client>,
    cluster: &'a PgCluster,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    fn client(&self) -> Result<&Client> {
        self.client.as_ref().ok_or_else(|| Error::internal("a lease without a connection"))
    }

    /// Gives the connection back: only when no transaction and no lock is left on it.
    fn keep(mut self) {
        if let Some(client) = self.client.take() {
            self.cluster.idle.lock().push(client);
        }
    }
}

impl PgCluster {
    /// A cluster by its name in the config and its owner's URL. Connects only when first used.
    ///
    /// # Errors
    /// `cluster_url_invalid`, `cluster_tls_missing`, `cluster_certificates_unreadable`.
    pub fn new(name: &str, url: &SecretString, limits: Limits) -> Result<Self> {
        let (config, tls) = connect::config(name, url)?;
        let database = config.get_dbname().unwrap_or_default().to_owned();
        Ok(Self {
            name: name.to_owned(),
            names: Names::of(&database),
            config,
            tls,
            database,
            limits,
            idle: Mutex::new(Vec::new()),
            permits: Semaphore::new(limits.connections.max(1)),
        })
    }

    /// The cluster's name in the config.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The database that the URL names: home of the `shared` and `schema` models.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Where `tenant` lives on this cluster in the given model.
    #[must_use]
    pub fn home(&self, tenant: TenantId, isolation: Isolation) -> Home {
        Home::on_postgres(tenant, isolation, &self.database)
    }

    /// How to sign in to `home` as its tenant; give it to [`connect::connect`].
    ///
    /// # Errors
    /// Internal when the home has no role.
    pub fn tenant_config(&self, home: &Home, password: &SecretString) -> Result<Config> {
        use secrecy::ExposeSecret;
        let mut config = self.config.clone();
        config.user(home.role()?).password(password.expose_secret()).dbname(&home.database);
        Ok(config)
    }

    /// How connections to this cluster are encrypted.
    #[must_use]
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Whether the cluster answers.
    ///
    /// # Errors
    /// `cluster_unavailable`, `cluster_login_refused`.
    pub async fn ping(&self) -> Result<()> {
        let owner = self.owner().await?;
        self.run(owner.client()?, "answering", "SELECT 1").await?;
        owner.keep();
        Ok(())
    }

    /// An owner connection to the URL's database.
    async fn owner(&self) -> Result<Lease<'_>> {
        let waiting = tokio::time::timeout(self.limits.lock, self.permits.acquire());
        let permit = match waiting.await {
            Ok(permit) => permit.map_err(Error::internal)?,
            Err(_) => {
                return Err(Error::unavailable(
                    "cluster_busy",
                    format!("cluster `{}` is busy with other homes; it is retried", self.name),
                    "no owner connection became free in time",
                ));
            }
        };
        let idle = {
            let mut idle = self.idle.lock();
            idle.retain(|client| !client.is_closed());
            idle.pop()
        };
        let client = match idle {
            Some(client) => client,
            None => self.open(&self.database).await?,
        };
        Ok(Lease { client: Some(client), cluster: self, _permit: permit })
    }

    /// A fresh owner connection to any database of the server.
    async fn open(&self, database: &str) -> Result<Client> {
        let mut config = self.config.clone();
        config.dbname(database);
        let failed = |failure: connect::ConnectFailure| failure.explain(&self.name);
        let client = connect::connect(&config, &self.tls, self.limits.connect).await.map_err(failed)?;
        // Who is frozen in a transaction does not keep its locks, for which others wait.
        let settings = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; \
             SET idle_in_transaction_session_timeout = 10000; SET search_path = pg_catalog, pg_temp; \
             SET client_min_messages = warning; SET default_transaction_isolation = 'read committed'",
            self.limits.statement.as_millis(),
            self.limits.lock.as_millis()
        );
        self.run(&client, "setting up the connection", &settings).await?;
        Ok(client)
    }

    /// Runs SQL without parameters; several statements count as one transaction.
    async fn run(&self, client: &Client, doing: &str, sql: &str) -> Result<()> {
        client.batch_execute(sql).await.map_err(|error| errors::explain(&self.name, doing, &error))
    }

    /// Runs a query.
    async fn rows(
        &self,
        client: &Client,
        doing: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        client.query(sql, params).await.map_err(|error| errors::explain(&self.name, doing, &error))
    }

    /// Whether a query gives any row.
    async fn any(
        &self,
        client: &Client,
        doing: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<bool> {
        Ok(!self.rows(client, doing, sql, params).await?.is_empty())
    }

    /// Bounds `work` by the time that one step may take.
    async fn bounded<T>(&self, doing: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.limits.step, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::unavailable(
                "cluster_unavailable",
                format!(
                    "cluster `{}` did not finish {doing} within {} s; it is retried",
                    self.name,
                    self.limits.step.as_secs()
                ),
                "the step timed out",
            )),
        }
    }
}

/// The column `at` of `row`; a type that does not fit is a fault of ours.
fn get<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, at: usize) -> Result<T> {
    row.try_get(at).map_err(Error::internal)
}
