//! The connections to tenants' databases: made on demand, kept while they are used, never more than a
//! cluster's budget.
//!
//! A connection belongs to one tenant's role in one generation of its placement, so nothing can leak
//! from one tenant to another through it. `pool` decides who gets one, `engine` opens and uses it;
//! this module ties them to tenants, and stops what runs when a tenant is suspended, moved or deleted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::engine::{Link, on_postgres, on_sqlite};
use self::pool::{Busy, Key, Pool};
use super::door::{self, Access, Answer, Caps, Dialect, Place, Statement, Target, pg};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;

mod engine;
mod pool;
#[cfg(test)]
mod tests;

/// PostgreSQL's protocol counts parameters in 16 bits.
const PARAMS: usize = 65_535;
/// A tenant without traffic for this long is forgotten; its next statement sets its generation anew.
const FORGET: Duration = Duration::from_secs(3600);
/// How often idle connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// Bounds on tenants' connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Most connections (or open SQLite files) per cluster that has no budget of its own.
    pub max_connections: usize,
    /// Most statements of one tenant at once, per cluster; always less than the cluster's budget unless
    /// that is 1.
    pub max_in_flight_per_tenant: usize,
    /// Longest wait for a connection.
    pub wait: Duration,
    /// Longest time that connecting and signing in may take.
    pub connect: Duration,
    /// A connection unused for this long is closed.
    pub idle_close: Duration,
}

/// How a cluster's budget is used at present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ClusterConnections {
    /// The cluster.
    pub cluster: String,
    /// Its budget.
    pub max: usize,
    /// Connections that exist or are being made.
    pub open: usize,
    /// Those of them that nobody uses.
    pub idle: usize,
    /// Statements that wait for a connection.
    pub waiting: usize,
}

/// A tenant as far as its connections are concerned.
struct Known {
    generation: i64,
    /// Cancelled when the tenant's connections are to go.
    open: CancellationToken,
    seen: Instant,
}

#[derive(Default)]
struct Clusters {
    pools: HashMap<String, Arc<Pool<Link>>>,
    budgets: HashMap<String, usize>,
}

/// All connections to tenants' data.
pub struct TenantConnections {
    settings: Mutex<Settings>,
    clusters: Mutex<Clusters>,
    tenants: Mutex<HashMap<TenantId, Known>>,
}

impl TenantConnections {
    /// No connections yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Mutex::new(settings), clusters: Mutex::default(), tenants: Mutex::default() }
    }

    /// Other bounds from now on.
    pub fn set(&self, settings: Settings) {
        *self.settings.lock() = settings;
        self.resize(settings);
    }

    /// A budget for one cluster, instead of [`Settings::max_connections`].
    pub fn set_budget(&self, cluster: &str, max: usize) {
        self.clusters.lock().budgets.insert(cluster.to_owned(), max);
        self.resize(*self.settings.lock());
    }

    fn resize(&self, settings: Settings) {
        let clusters = self.clusters.lock();
        for (name, pool) in &clusters.pools {
            let max = clusters.budgets.get(name).copied().unwrap_or(settings.max_connections);
            pool.resize(max, settings.max_in_flight_per_tenant);
        }
    }

    /// Runs one statement inside the target's tenant, in a transaction of its own.
    ///
    /// Dropping the future stops the statement.
    ///
    /// # Errors
    /// [`Error::Refused`]: `statement_not_allowed`, `multiple_statements`, `empty_statement`.
    /// [`Error::Invalid`]: a parameter that does not fit, at `/params/N`.
    /// [`Error::Sql`]: what the engine says of the statement.
    /// [`Error::Timeout`]: `statement_timeout`.
    /// [`Error::Unavailable`]: `database_busy` (no connection in time), `database_unavailable`,
    /// `database_credentials_refused` (repair them and try once more), `placement_changed` (read the
    /// placement again; the tenant was moved, suspended or deleted meanwhile).
    pub async fn query(
        &self,
        target: &Target,
        statement: &Statement,
        access: Access,
        caps: Caps,
    ) -> Result<Answer> {
        let dialect = match target.place {
            Place::Postgres { .. } => Dialect::Postgres,
            Place::Sqlite { .. } => Dialect::Sqlite,
        };
        door::check(&statement.sql, dialect)?;
        if statement.params.len() > PARAMS {
            return Err(Error::field("/params", format!("a statement takes at most {PARAMS} parameters")));
        }
        let started = Instant::now();
        let open = self.admit(target)?;
        let run = Box::pin(self.run(target, statement, access, caps, &open));
        let out = tokio::select! {
            biased;
            () = open.cancelled() => Err(changed("closed while a statement was running or waiting")),
            out = run => out,
        };
        let labels = [("engine", target.place.engine()), ("access", access.word())];
        metrics::histogram!("tenantry_query_seconds", &labels).record(started.elapsed().as_secs_f64());
        out
    }

    /// Closes a tenant's connections: idle ones at once; what runs or waits is stopped and answered
    /// with `placement_changed`. For suspension, moves and deletion; later statements connect anew.
    pub fn close_tenant(&self, tenant: TenantId) {
        if let Some(known) = self.tenants.lock().get_mut(&tenant) {
            std::mem::take(&mut known.open).cancel();
        }
        self.prune(|key, _| key.tenant == tenant);
    }

    /// Closes every idle connection and stops everything that runs.
    pub fn close_all(&self) {
        for known in self.tenants.lock().values_mut() {
            std::mem::take(&mut known.open).cancel();
        }
        self.prune(|_, _| true);
    }

    /// How each cluster's budget is used, by the cluster's name.
    #[must_use]
    pub fn stats(&self) -> Vec<ClusterConnections> {
        let mut all: Vec<_> = self.pools().into_iter().map(|(name, pool)| stats(name, &pool)).collect();
        all.sort_by(|one, other| one.cluster.cmp(&other.cluster));
        all
    }

    /// Closes what has been idle for too long, and reports the gauges. [`TenantConnections::keep_tidy`]
    /// calls it by itself.
    pub fn sweep(&self) {
        let limit = self.settings.lock().idle_close;
        self.prune(|_, unused| unused >= limit);
        self.tenants.lock().retain(|_, known| known.seen.elapsed() < FORGET);
        for (name, pool) in self.pools() {
            let stats = stats(name, &pool);
            for (state, count) in [("open", stats.open), ("idle", stats.idle), ("waiting", stats.waiting)] {
                let labels = [("cluster", stats.cluster.clone()), ("state", state.to_owned())];
                metrics::gauge!("tenantry_tenant_connections", &labels)
                    .set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
            }
        }
    }

    /// Sweeps every second until `end`, then closes everything.
    pub async fn keep_tidy(&self, end: CancellationToken) {
        let mut tick = tokio::time::interval(SWEEP);
        while end.run_until_cancelled(tick.tick()).await.is_some() {
            self.sweep();
        }
        self.close_all();
    }

    fn pools(&self) -> Vec<(String, Arc<Pool<Link>>)> {
        let clusters = self.clusters.lock();
        clusters.pools.iter().map(|(name, pool)| (name.clone(), Arc::clone(pool))).collect()
    }

    fn prune(&self, doomed: impl Fn(&Key, Duration) -> bool) {
        for (_, pool) in self.pools() {
            pool.prune(&doomed);
        }
    }

    /// Checks the generation; gives what is cancelled when the tenant's connections are to go.
    fn admit(&self, target: &Target) -> Result<CancellationToken> {
        let (tenant, generation) = (target.tenant, target.generation);
        let mut tenants = self.tenants.lock();
        let known = tenants.entry(tenant).or_insert_with(|| Known {
            generation,
            open: CancellationToken::new(),
            seen: Instant::now(),
        });
        known.seen = Instant::now();
        if generation < known.generation {
            return Err(changed("a stale generation"));
        }
        let moved = generation > known.generation;
        if moved {
            known.generation = generation;
            std::mem::take(&mut known.open).cancel();
        }
        let open = known.open.clone();
        drop(tenants);
        if moved {
            self.prune(|key, _| key.tenant == tenant && key.generation < generation);
        }
        Ok(open)
    }

    fn pool(&self, cluster: &str, settings: Settings) -> Arc<Pool<Link>> {
        let mut clusters = self.clusters.lock();
        if let Some(pool) = clusters.pools.get(cluster) {
            return Arc::clone(pool);
        }
        let max = clusters.budgets.get(cluster).copied().unwrap_or(settings.max_connections);
        let pool = Pool::new(cluster, max, settings.max_in_flight_per_tenant);
        clusters.pools.insert(cluster.to_owned(), Arc::clone(&pool));
        pool
    }

    async fn run(
        &self,
        target: &Target,
        statement: &Statement,
        access: Access,
        caps: Caps,
        open: &CancellationToken,
    ) -> Result<Answer> {
        let settings = *self.settings.lock();
        let cluster = target.place.cluster();
        let role = match &target.place {
            Place::Postgres { role, .. } => role.clone(),
            Place::Sqlite { .. } => String::new(),
        };
        let key = Key { tenant: target.tenant, generation: target.generation, role };
        let pool = self.pool(cluster, settings);
        let slot = pool.acquire(key, settings.wait).await.map_err(|why| busy(cluster, &why))?;
        let (slot, out) = match &target.place {
            Place::Postgres { server, database, schema, role, password } => {
                let login = pg::Login {
                    database: database.clone(),
                    schema: schema.clone(),
                    role: role.clone(),
                    password: password.clone(),
                };
                on_postgres(slot, server, &login, settings.connect, statement, access, caps).await?
            }
            Place::Sqlite { path, .. } => {
                on_sqlite(slot, path, target.tenant, statement, access, caps).await?
            }
        };
        if slot.link.as_ref().is_some_and(Link::is_clean) {
            slot.keep();
            // It may have become idle just after the tenant's idle connections were closed.
            if open.is_cancelled() {
                let (tenant, generation) = (target.tenant, target.generation);
                self.prune(|key, _| key.tenant == tenant && key.generation <= generation);
            }
        }
        out
    }
}

fn stats(cluster: String, pool: &Pool<Link>) -> ClusterConnections {
    let pool::Counts { max, open, idle, waiting } = pool.counts();
    ClusterConnections { cluster, max, open, idle, waiting }
}

fn changed(cause: &str) -> Error {
    Error::unavailable(
        "placement_changed",
        "the tenant's data was moved, suspended or deleted meanwhile; retry",
        cause,
    )
}

fn busy(cluster: &str, why: &Busy) -> Error {
    metrics::counter!("tenantry_connection_wait_timeouts_total", "cluster" => cluster.to_owned())
        .increment(1);
    let cause = match why {
        Busy::Waited => "no connection fell free in time",
        Busy::Crowded => "too many statements wait already",
    };
    Error::unavailable(
        "database_busy",
        "too many statements are running on this tenant's database; retry shortly",
        format!("cluster {cluster}: {cause}"),
    )
}
