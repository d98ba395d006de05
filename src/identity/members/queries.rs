//! Reading members.

use super::model::Member;
use super::store;
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::kernel::error::Result;
use crate::kernel::id::UserId;
use crate::kernel::page::{Page, PageRequest};
use crate::tenants::{self, Handle};

/// A page of the caller's tenant's members.
///
/// # Errors
/// As [`Caller::tenant`].
pub async fn list(app: &App, caller: &Caller, request: PageRequest) -> Result<Page<Member>> {
    let tenant = caller.tenant(Verb::ReadMembers)?;
    app.db.read(move |conn| store::page(conn, tenant, request)).await
}

/// One member of the caller's tenant.
///
/// # Errors
/// As [`Caller::tenant`]; not found, also for another tenant's.
pub async fn one(app: &App, caller: &Caller, user: UserId) -> Result<Member> {
    let tenant = caller.tenant(Verb::ReadMembers)?;
    app.db.read(move |conn| store::get(conn, tenant, user)).await
}

/// A page of any tenant's members.
///
/// # Errors
/// As [`Caller::may`]; not found.
pub async fn of_any(
    app: &App,
    caller: &Caller,
    handle: Handle,
    request: PageRequest,
) -> Result<Page<Member>> {
    caller.may(Verb::ReadTenants)?;
    app.db
        .read(move |conn| {
            let tenant = tenants::get_in(conn, &handle)?;
            store::page(conn, tenant.id, request)
        })
        .await
}
