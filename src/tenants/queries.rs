//! Reading tenants.

use super::model::Tenant;
use super::store::{self, Filter, Handle};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::kernel::error::Result;
use crate::kernel::page::{Page, PageRequest};

/// A page of tenants, newest first.
///
/// # Errors
/// As [`Caller::may`]; the store's.
pub async fn list(app: &App, caller: &Caller, filter: Filter, request: PageRequest) -> Result<Page<Tenant>> {
    caller.may(Verb::ReadTenants)?;
    app.db.read(move |conn| store::page(conn, &filter, request)).await
}

/// One tenant.
///
/// # Errors
/// As [`Caller::may`]; not found.
pub async fn get(app: &App, caller: &Caller, handle: Handle) -> Result<Tenant> {
    caller.may(Verb::ReadTenants)?;
    app.db.read(move |conn| store::get(conn, &handle)).await
}

/// The caller's own tenant.
///
/// # Errors
/// As [`Caller::tenant`].
pub async fn own(app: &App, caller: &Caller) -> Result<Tenant> {
    let id = caller.tenant(Verb::ReadTenant)?;
    app.db.read(move |conn| store::get(conn, &Handle::Id(id))).await
}
