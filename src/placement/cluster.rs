//! A cluster of either engine, with one face, so that whoever builds, suspends or removes homes needs
//! no branch by engine.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;

use super::app_schema::AppSchema;
use super::door::Server;
use super::home::{Engine, Home};
use super::postgres::{Limits, PgCluster, Prepared};
use super::sqlite::SqliteCluster;
use super::steps::{BuildStep, Inventory, RemovalStep};

/// A place that tenants can be put: a PostgreSQL server or a directory of SQLite files.
#[derive(Debug)]
pub enum Cluster {
    /// A PostgreSQL server.
    Postgres(Box<PgCluster>),
    /// A directory of SQLite files.
    Sqlite(SqliteCluster),
}

/// Runs blocking work on a clone of the SQLite cluster, off the async threads.
async fn blocking<T: Send + 'static>(
    cluster: &SqliteCluster,
    work: impl FnOnce(&SqliteCluster) -> Result<T> + Send + 'static,
) -> Result<T> {
    let cluster = cluster.clone();
    tokio::task::spawn_blocking(move || work(&cluster)).await.map_err(Error::internal)?
}

impl Cluster {
    /// A cluster by its name and URL in the config: `postgres://…` or `sqlite://directory`. Touches
    /// nothing yet.
    ///
    /// # Errors
    /// `cluster_url_invalid`, `cluster_tls_missing`. The message never repeats the URL.
    pub fn new(name: &str, url: &SecretString, limits: Limits) -> Result<Self> {
        let text = url.expose_secret();
        if let Some(dir) = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"))
            && !dir.is_empty()
        {
            return Ok(Self::Sqlite(SqliteCluster::new(name, dir)));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(Box::new(PgCluster::new(name, url, limits)?)));
        }
        Err(Error::refused(
            "cluster_url_invalid",
            format!("clusters.{name}.url starts neither with postgres:// nor with sqlite:// and a directory"),
        ))
    }

    /// The cluster's name in the config.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Postgres(cluster) => cluster.name(),
            Self::Sqlite(cluster) => cluster.name(),
        }
    }

    /// Its engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self {
            Self::Postgres(_) => Engine::Postgres,
            Self::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// Whether the engine can keep the promise of `isolation`.
    #[must_use]
    pub fn supports(&self, isolation: Isolation) -> bool {
        self.engine() == Engine::Postgres || isolation == Isolation::Database
    }

    /// Where `tenant` lives here in the given model.
    ///
    /// # Errors
    /// `isolation_unsupported`, with the reason and the way out.
    pub fn home(&self, tenant: TenantId, isolation: Isolation) -> Result<Home> {
        match self {
            Self::Postgres(cluster) => Ok(cluster.home(tenant, isolation)),
            Self::Sqlite(cluster) => cluster.home(tenant, isolation),
        }
    }

    /// Whether the cluster answers.
    ///
    /// # Errors
    /// `cluster_unavailable`, `cluster_login_refused`.
    pub async fn ping(&self) -> Result<()> {
        match self {
            Self::Postgres(cluster) => cluster.ping().await,
            Self::Sqlite(cluster) => blocking(cluster, SqliteCluster::ping).await,
        }
    }

    /// Makes the cluster ready for homes of the given models at the application's latest version.
    /// Repeatable, and safe when several processes do it at once.
    ///
    /// # Errors
    /// `isolation_unsupported`, `cluster_rights_missing`, `cluster_too_old`, `migration_unsafe`,
    /// `migration_failed`, `migration_changed`, `cluster_unavailable`, `cluster_busy`.
    pub async fn prepare(&self, app: &AppSchema, models: &[Isolation]) -> Result<Prepared> {
        match self {
            Self::Postgres(cluster) => cluster.prepare(app, models).await,
            Self::Sqlite(cluster) => {
                let (app, models) = (app.clone(), models.to_vec());
                blocking(cluster, move |cluster| cluster.prepare(&app, &models)).await?;
                Ok(Prepared::default())
            }
        }
    }

    /// The steps that build `home`, in order.
    #[must_use]
    pub fn build_steps(&self, home: &Home) -> Vec<BuildStep> {
        BuildStep::of(self.engine(), home)
    }

    /// Takes one step towards `home`; taking it again changes nothing. `password` becomes the role's,
    /// where there is a role: it must be the same in all steps of one building.
    ///
    /// # Errors
    /// What the step met, in words for the operation's step.
    pub async fn run_build_step(
        &self,
        step: BuildStep,
        home: &Home,
        password: &SecretString,
        app: &AppSchema,
    ) -> Result<()> {
        match self {
            Self::Postgres(cluster) => cluster.build(step, home, password, app).await,
            Self::Sqlite(cluster) => {
                let (home, app) = (home.clone(), app.clone());
                blocking(cluster, move |cluster| cluster.build(step, &home, &app)).await
            }
        }
    }

    /// The steps that remove `home`, in order.
    #[must_use]
    pub fn removal_steps(&self, home: &Home) -> Vec<RemovalStep> {
        RemovalStep::of(self.engine(), home)
    }

    /// Takes one step towards no trace of `home`; taking it again changes nothing. On SQLite, close the
    /// home's connections first.
    ///
    /// # Errors
    /// What the step met, in words for the operation's step.
    pub async fn run_removal_step(&self, step: RemovalStep, home: &Home) -> Result<()> {
        match self {
            Self::Postgres(cluster) => cluster.remove(step, home).await,
            Self::Sqlite(cluster) => {
                let home = home.clone();
                blocking(cluster, move |cluster| cluster.remove(step, &home)).await
            }
        }
    }

    /// Brings a home to the application's latest version; answers the numbers it applied.
    ///
    /// # Errors
    /// `migration_unsafe`, `migration_failed`, `migration_changed`, `cluster_unavailable`, `cluster_busy`.
    pub async fn migrate(&self, home: &Home, app: &AppSchema) -> Result<Vec<i32>> {
        match self {
            Self::Postgres(cluster) => cluster.migrate(home, app).await,
            Self::Sqlite(cluster) => {
                let (home, app) = (home.clone(), app.clone());
                blocking(cluster, move |cluster| cluster.migrate(&home, &app)).await
            }
        }
    }

    /// The highest migration applied to `home`; 0 when none is.
    ///
    /// # Errors
    /// `cluster_unavailable`; on SQLite also `home_missing`.
    pub async fn applied(&self, home: &Home) -> Result<i32> {
        match self {
            Self::Postgres(cluster) => cluster.applied(home).await,
            Self::Sqlite(cluster) => {
                let home = home.clone();
                blocking(cluster, move |cluster| cluster.applied(&home)).await
            }
        }
    }

    /// Forbids signing in as the tenant and ends its connections. SQLite has no logins: there the
    /// control plane alone opens files, and it asks for the tenant's state first.
    ///
    /// # Errors
    /// `cluster_unavailable`, `cluster_busy`.
    pub async fn lock_out(&self, home: &Home) -> Result<()> {
        match self {
            Self::Postgres(cluster) => cluster.lock_out(home).await,
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Allows signing in as the tenant again.
    ///
    /// # Errors
    /// `role_missing`, `cluster_unavailable`, `cluster_busy`.
    pub async fn let_in(&self, home: &Home) -> Result<()> {
        match self {
            Self::Postgres(cluster) => cluster.let_in(home).await,
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Gives the home's role a new password and undoes what its holder may have set on it.
    ///
    /// # Errors
    /// `role_missing`, `cluster_unavailable`, `cluster_busy`.
    pub async fn reset_credentials(&self, home: &Home, password: &SecretString) -> Result<()> {
        match self {
            Self::Postgres(cluster) => cluster.reset_credentials(home, password).await,
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// What of tenants exists on the cluster, whatever the control store believes.
    ///
    /// # Errors
    /// `cluster_unavailable`, `cluster_login_refused`.
    pub async fn inventory(&self) -> Result<Inventory> {
        match self {
            Self::Postgres(cluster) => cluster.inventory().await,
            Self::Sqlite(cluster) => blocking(cluster, SqliteCluster::inventory).await,
        }
    }

    /// How tenants' statements reach a PostgreSQL server; `None` on SQLite.
    ///
    /// # Errors
    /// `cluster_url_invalid` for an address the driver cannot name.
    pub fn server(&self) -> Result<Option<Server>> {
        match self {
            Self::Postgres(cluster) => cluster.server().map(Some),
            Self::Sqlite(_) => Ok(None),
        }
    }

    /// The file of a home on SQLite; `None` on PostgreSQL.
    #[must_use]
    pub fn file_of(&self, home: &Home) -> Option<PathBuf> {
        match self {
            Self::Postgres(_) => None,
            Self::Sqlite(cluster) => Some(cluster.path(home)),
        }
    }

    /// A connection URL of a home, password included.
    ///
    /// # Errors
    /// As [`Cluster::server`]; internal when the home has no role.
    pub fn tenant_url(&self, home: &Home, password: &SecretString) -> Result<SecretString> {
        match self {
            Self::Postgres(cluster) => cluster.tenant_url(home, password),
            Self::Sqlite(cluster) => {
                Ok(SecretString::from(format!("sqlite://{}", cluster.path(home).display())))
            }
        }
    }
}
