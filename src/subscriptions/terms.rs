//! What a tenant has bought, for whoever decides by it.

use std::sync::Arc;

use super::model::Standing;
use super::store;
use crate::app::App;
use crate::catalog::PlanVersion;
use crate::db::Conn;
use crate::kernel::error::Result;
use crate::tenants::Tenant;

/// The edition a tenant is on and how its subscription stands; before there is one, what its plan is sold as.
///
/// # Errors
/// The store's.
pub fn terms_in(conn: &mut Conn, app: &App, tenant: &Tenant) -> Result<(Arc<PlanVersion>, Standing)> {
    match store::standing(conn, tenant.id)? {
        Some((version, standing)) => Ok((app.catalogue.version_in(conn, version)?, standing)),
        None => Ok((app.catalogue.newest_or_default_in(conn, &tenant.plan)?, Standing::Active)),
    }
}

/// The edition a tenant is on.
///
/// # Errors
/// The store's.
pub fn version_in(conn: &mut Conn, app: &App, tenant: &Tenant) -> Result<Arc<PlanVersion>> {
    terms_in(conn, app, tenant).map(|(version, _)| version)
}
