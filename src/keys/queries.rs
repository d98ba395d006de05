//! Reading keys. Their text is never among what is read.

use super::model::KeyView;
use super::store::{self, Filter};
use super::whose::{Act, Whose};
use crate::app::App;
use crate::auth::Caller;
use crate::kernel::error::Result;
use crate::kernel::id::KeyId;
use crate::kernel::page::{Page, PageRequest};

/// A page of keys, newest first.
///
/// # Errors
/// As [`Whose::open`]; not found for a tenant that is not there.
pub async fn list(
    app: &App,
    caller: &Caller,
    whose: Whose,
    filter: Filter,
    request: PageRequest,
) -> Result<Page<KeyView>> {
    let drawer = whose.open(caller, Act::Read)?;
    let now = app.clock.now();
    let page = app
        .db
        .read(move |conn| {
            let tenant = drawer.tenant_id_in(conn)?;
            store::page(conn, drawer.kind, tenant, &filter, now, request)
        })
        .await?;
    Ok(page.map(|key| key.view(now)))
}

/// One key.
///
/// # Errors
/// As [`Whose::open`]; not found, also for another tenant's.
pub async fn one(app: &App, caller: &Caller, whose: Whose, id: KeyId) -> Result<KeyView> {
    let drawer = whose.open(caller, Act::Read)?;
    let key = app
        .db
        .read(move |conn| {
            let tenant = drawer.tenant_id_in(conn)?;
            store::get(conn, drawer.kind, tenant, id)
        })
        .await?;
    Ok(key.view(app.clock.now()))
}
