//! Reading subscriptions.

use super::apply::rules;
use super::store;
use super::view::SubscriptionView;
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::kernel::error::{Error, Result};
use crate::tenants::{self, Handle, State};

/// The caller's own tenant's subscription.
///
/// # Errors
/// As [`Caller::tenant`]; not found before there is one.
pub async fn own(app: &App, caller: &Caller) -> Result<SubscriptionView> {
    let id = caller.tenant(Verb::ReadTenant)?;
    read(app, Handle::Id(id)).await
}

/// Any tenant's subscription.
///
/// # Errors
/// As [`Caller::may`]; not found.
pub async fn of(app: &App, caller: &Caller, handle: Handle) -> Result<SubscriptionView> {
    caller.may(Verb::ReadTenants)?;
    read(app, handle).await
}

async fn read(app: &App, handle: Handle) -> Result<SubscriptionView> {
    let again = app.clone();
    app.db
        .read(move |conn| {
            let tenant = tenants::get_in(conn, &handle)?;
            if tenant.state == State::Deleted {
                return Err(Error::NotFound("tenant"));
            }
            let one = store::get(conn, tenant.id)?;
            let version = again.catalogue.version_in(conn, one.version)?;
            let rules = rules(&again, &one.time_zone)?;
            SubscriptionView::of(one, &version, &rules)
        })
        .await
}
