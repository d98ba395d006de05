//! Reading sessions.

use super::model::SessionView;
use super::store::{self, Of};
use crate::app::App;
use crate::auth::{Caller, Verb, Who};
use crate::kernel::error::Result;
use crate::kernel::page::{Page, PageRequest};

/// A page of the caller's open sessions, in all their tenants, and of visits in their stead.
///
/// # Errors
/// As [`Caller::person`].
pub async fn own(app: &App, caller: &Caller, request: PageRequest) -> Result<Page<SessionView>> {
    let (user, current) = caller.person(Verb::ManageOwnSessions)?;
    let now = app.clock.now();
    app.db.read(move |conn| store::page(conn, Of::User(user), Some(current), now, request)).await
}

/// A page of the open sessions in the caller's tenant: members', and operators' visits.
///
/// # Errors
/// As [`Caller::tenant`].
pub async fn of_tenant(app: &App, caller: &Caller, request: PageRequest) -> Result<Page<SessionView>> {
    let tenant = caller.tenant(Verb::ManageSessions)?;
    let current = match &caller.who {
        Who::User { session, .. } => Some(*session),
        _ => None,
    };
    let now = app.clock.now();
    app.db.read(move |conn| store::page(conn, Of::Tenant(tenant), current, now, request)).await
}
