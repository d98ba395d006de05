//! Runs one named step of building or removing a home. Operations of several kinds are made of these.

use secrecy::SecretString;

use super::clusters::PASSWORD_PURPOSE;
use super::home::Home;
use super::place::{PlaceState, Placement};
use super::steps::{BuildStep, RemovalStep};
use super::store;
use crate::app::App;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;
use crate::kernel::vault::Vault;

/// The first step of every building.
pub const PREPARE: &str = "prepare_cluster";

/// The names of the steps that build a home of this kind.
///
/// # Errors
/// [`Error::Refused`] for an unknown cluster or a model it cannot keep.
pub fn build_names(app: &App, cluster: &str, home: &Home) -> Result<Vec<String>> {
    let engine = app.clusters.get(cluster)?.cluster.engine();
    let steps = BuildStep::of(engine, home).into_iter().map(|step| step.name().to_owned());
    Ok(std::iter::once(PREPARE.to_owned()).chain(steps).collect())
}

/// The names of the steps that remove a tenant's home.
///
/// # Errors
/// As [`build_names`].
pub fn removal_names(
    app: &App,
    cluster: &str,
    tenant: TenantId,
    isolation: Isolation,
) -> Result<Vec<String>> {
    let cluster = &app.clusters.get(cluster)?.cluster;
    let home = cluster.home(tenant, isolation)?;
    Ok(RemovalStep::of(cluster.engine(), &home).into_iter().map(|step| step.name().to_owned()).collect())
}

/// The password of a placement's role; empty on SQLite, which has none.
///
/// # Errors
/// As [`unseal`].
pub fn password(vault: &Vault, placement: &Placement) -> Result<SecretString> {
    unseal(vault, placement.password.as_deref())
}

/// The password in `sealed`; empty when there is none.
///
/// # Errors
/// [`Error::Internal`] when it was sealed under a key that is not configured.
pub(super) fn unseal(vault: &Vault, sealed: Option<&[u8]>) -> Result<SecretString> {
    let Some(sealed) = sealed else { return Ok(SecretString::from(String::new())) };
    let plain = vault.open(PASSWORD_PURPOSE, sealed)?;
    Ok(SecretString::from(String::from_utf8_lossy(&plain).into_owned()))
}

/// Runs a building step by name.
///
/// # Errors
/// The cluster's; [`Error::Internal`] for a name that is no step.
pub async fn build(app: &App, tenant: TenantId, step: &str) -> Result<()> {
    let placement = app.db.read(move |conn| store::get(conn, tenant)).await?;
    if step == PREPARE {
        return app.clusters.prepare(&placement.cluster, placement.home.isolation).await;
    }
    let step: BuildStep = step.parse().map_err(Error::internal)?;
    // A process that did not run the first step itself still needs what it made.
    app.clusters.prepare(&placement.cluster, placement.home.isolation).await?;
    let password = password(&app.vault, &placement)?;
    let cluster = &app.clusters.get(&placement.cluster)?.cluster;
    cluster.run_build_step(step, &placement.home, &password, app.clusters.schema()).await
}

/// Brings a home that was begun with another version of the application's schema to the present one: the
/// steps before may have been done by a process of that version.
///
/// # Errors
/// As [`build`].
pub async fn catch_up(app: &App, tenant: TenantId) -> Result<()> {
    let Some(placement) = app.db.read(move |conn| store::find(conn, tenant)).await? else { return Ok(()) };
    if placement.state != PlaceState::Building || placement.app_version == app.clusters.schema().version() {
        return Ok(());
    }
    build(app, tenant, PREPARE).await?;
    let cluster = &app.clusters.get(&placement.cluster)?.cluster;
    cluster.migrate(&placement.home, app.clusters.schema()).await.map(drop)
}

/// Runs a removal step by name. A placement that is not there any more is removed already.
///
/// # Errors
/// As [`build`].
pub async fn remove(app: &App, tenant: TenantId, step: &str) -> Result<()> {
    let Some(placement) = app.db.read(move |conn| store::find(conn, tenant)).await? else { return Ok(()) };
    let step: RemovalStep = step.parse().map_err(Error::internal)?;
    app.connections.close_tenant(tenant);
    let cluster = &app.clusters.get(&placement.cluster)?.cluster;
    cluster.run_removal_step(step, &placement.home).await
}
