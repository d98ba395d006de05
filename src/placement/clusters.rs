//! The clusters of the configuration, the application's schema they all carry, and how a placement is
//! chosen and begun.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::Mutex;

use super::app_schema::AppSchema;
use super::cluster::Cluster;
use super::door::Server;
use super::place::{PlaceState, Placement};
use super::postgres::Limits;
use crate::config::Settings;
use crate::kernel::clock::Ts;
use crate::kernel::engine::Engine;
use crate::kernel::entropy;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;
use crate::kernel::vault::Vault;

/// What the sealing of a role's password is bound to.
pub(super) const PASSWORD_PURPOSE: &str = "placements.password";
/// Length of a role's password in base 62: 190 bits.
const PASSWORD_LENGTH: usize = 32;

/// One configured cluster.
pub struct Configured {
    /// How to work on it.
    pub cluster: Cluster,
    /// How tenants' statements reach it; none on SQLite.
    pub server: Option<Arc<Server>>,
    /// Its settings.
    pub settings: crate::config::Cluster,
    prepared: Mutex<BTreeSet<Isolation>>,
}

/// All configured clusters.
pub struct Clusters {
    by_name: BTreeMap<String, Configured>,
    schema: Arc<AppSchema>,
    default: String,
}

/// What a new tenant asks of its placement.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The model.
    pub isolation: Isolation,
    /// A cluster by name.
    pub cluster: Option<String>,
    /// A region.
    pub region: Option<String>,
}

impl Clusters {
    /// Reads the application's schema and the clusters' settings; connects to nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] for a schema that is unreadable or unsafe.
    pub fn open(settings: &Settings) -> Result<Self> {
        let schema = Arc::new(AppSchema::load(&settings.application.migrations_dir)?);
        let mut by_name = BTreeMap::new();
        for (name, of_cluster) in &settings.clusters {
            let limits = Limits { connect: of_cluster.connect_timeout, ..Limits::default() };
            let cluster =
                Cluster::new(name, &SecretString::from(of_cluster.url.expose().to_owned()), limits)?;
            schema.refuse_unsafe(cluster.engine())?;
            let configured = Configured {
                server: cluster.server()?.map(Arc::new),
                cluster,
                settings: of_cluster.clone(),
                prepared: Mutex::new(BTreeSet::new()),
            };
            by_name.insert(name.clone(), configured);
        }
        Ok(Self { by_name, schema, default: settings.tenancy.default_cluster.clone() })
    }

    /// The application's schema.
    #[must_use]
    pub fn schema(&self) -> &AppSchema {
        &self.schema
    }

    /// All clusters by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Configured)> {
        self.by_name.iter()
    }

    /// One cluster.
    ///
    /// # Errors
    /// [`Error::Refused`] when the configuration has none of that name.
    pub fn get(&self, name: &str) -> Result<&Configured> {
        self.by_name.get(name).ok_or_else(|| {
            let known: Vec<_> = self.by_name.keys().map(String::as_str).collect();
            Error::refused(
                "unknown_cluster",
                format!("no cluster `{name}` is configured; there is {}", known.join(", ")),
            )
        })
    }

    /// Chooses the cluster of a new tenant: the one it asks for; else, for a region, one there by weight;
    /// else the default cluster; else, when that takes none, any that does, by weight.
    ///
    /// # Errors
    /// [`Error::Refused`] in plain words when none fits.
    pub fn choose(&self, wanted: &Wanted) -> Result<&str> {
        if let Some(name) = &wanted.cluster {
            let configured = self.get(name)?;
            if !configured.cluster.supports(wanted.isolation) {
                return Err(super::home::unsupported_on_sqlite(wanted.isolation));
            }
            if let Some(region) = &wanted.region
                && configured.settings.region.as_ref() != Some(region)
            {
                return Err(Error::refused(
                    "wrong_region",
                    format!("the cluster `{name}` is not in region `{region}`"),
                ));
            }
            return self
                .by_name
                .get_key_value(name)
                .map(|(name, _)| name.as_str())
                .ok_or(Error::NotFound("cluster"));
        }
        let fits = |configured: &Configured| {
            configured.settings.accepts_new
                && configured.cluster.supports(wanted.isolation)
                && wanted
                    .region
                    .as_ref()
                    .is_none_or(|region| configured.settings.region.as_ref() == Some(region))
        };
        if wanted.region.is_none()
            && let Some((name, configured)) = self.by_name.get_key_value(&self.default)
            && fits(configured)
        {
            return Ok(name);
        }
        let open: Vec<_> = self.by_name.iter().filter(|(_, configured)| fits(configured)).collect();
        let total: u64 = open.iter().map(|(_, configured)| u64::from(configured.settings.weight)).sum();
        let mut draw = u64::from_le_bytes(entropy::bytes()).checked_rem(total).unwrap_or(0);
        for (name, configured) in &open {
            let weight = u64::from(configured.settings.weight);
            if draw < weight {
                return Ok(name);
            }
            draw -= weight;
        }
        open.first().map(|(name, _)| name.as_str()).ok_or_else(|| {
            let place =
                wanted.region.as_ref().map_or_else(String::new, |region| format!(" in region `{region}`"));
            Error::refused(
                "no_cluster",
                format!("no cluster{place} takes new tenants in the `{}` model", wanted.isolation),
            )
        })
    }

    /// Begins a placement on a chosen cluster: names and a password, nothing on the cluster yet.
    ///
    /// # Errors
    /// [`Error::Refused`] when the cluster's engine cannot keep the model.
    pub fn begin(
        &self,
        vault: &Vault,
        tenant: TenantId,
        cluster: &str,
        isolation: Isolation,
        now: Ts,
    ) -> Result<Placement> {
        let configured = self.get(cluster)?;
        let home = configured.cluster.home(tenant, isolation)?;
        let password = match configured.cluster.engine() {
            Engine::Sqlite => None,
            Engine::Postgres => {
                Some(vault.seal(PASSWORD_PURPOSE, entropy::base62(PASSWORD_LENGTH).as_bytes())?)
            }
        };
        Ok(Placement {
            home,
            cluster: cluster.to_owned(),
            state: PlaceState::Building,
            generation: 1,
            app_version: self.schema.version().to_owned(),
            password,
            created_at: now,
        })
    }

    /// Makes a cluster ready for homes of one model, once in the life of this process.
    ///
    /// # Errors
    /// The cluster's.
    pub async fn prepare(&self, cluster: &str, isolation: Isolation) -> Result<()> {
        let configured = self.get(cluster)?;
        let mut prepared = configured.prepared.lock().await;
        if !prepared.contains(&isolation) {
            for warning in configured.cluster.prepare(&self.schema, &[isolation]).await?.warnings {
                tracing::warn!(cluster, "{warning}");
            }
            prepared.insert(isolation);
        }
        Ok(())
    }
}
