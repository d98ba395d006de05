//! Reading invitations.

use super::model::Invitation;
use super::store;
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::kernel::error::Result;
use crate::kernel::id::InvitationId;
use crate::kernel::page::{Page, PageRequest};
use crate::tenants::{self, Handle};

/// A page of the caller's tenant's invitations.
///
/// # Errors
/// As [`Caller::tenant`].
pub async fn list(app: &App, caller: &Caller, request: PageRequest) -> Result<Page<Invitation>> {
    let tenant = caller.tenant(Verb::ManageMembers)?;
    let now = app.clock.now();
    let page = app.db.read(move |conn| store::page(conn, tenant, request)).await?;
    Ok(page.map(|one| one.at(now)))
}

/// One invitation of the caller's tenant.
///
/// # Errors
/// As [`Caller::tenant`]; not found, also for another tenant's.
pub async fn one(app: &App, caller: &Caller, id: InvitationId) -> Result<Invitation> {
    let tenant = caller.tenant(Verb::ManageMembers)?;
    let now = app.clock.now();
    Ok(app.db.read(move |conn| store::get(conn, tenant, id)).await?.at(now))
}

/// A page of any tenant's invitations.
///
/// # Errors
/// As [`Caller::may`]; not found.
pub async fn of_any(
    app: &App,
    caller: &Caller,
    handle: Handle,
    request: PageRequest,
) -> Result<Page<Invitation>> {
    caller.may(Verb::ReadTenants)?;
    let now = app.clock.now();
    let page = app
        .db
        .read(move |conn| {
            let tenant = tenants::get_in(conn, &handle)?;
            store::page(conn, tenant.id, request)
        })
        .await?;
    Ok(page.map(|one| one.at(now)))
}
