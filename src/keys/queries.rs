//! Reading keys. Their text is never among what is read.

use super::model::Key;
use super::store;
use crate::app::App;
use crate::auth::secret_key::KeyKind;
use crate::auth::{Caller, Verb};
use crate::kernel::error::Result;
use crate::kernel::id::KeyId;
use crate::kernel::page::{Page, PageRequest};

/// A page of the caller's tenant's keys.
///
/// # Errors
/// As [`Caller::tenant`].
pub async fn of_tenant(app: &App, caller: &Caller, request: PageRequest) -> Result<Page<Key>> {
    let tenant = caller.tenant(Verb::ManageKeys)?;
    app.db.read(move |conn| store::page(conn, KeyKind::Tenant, Some(tenant), request)).await
}

/// One key of the caller's tenant.
///
/// # Errors
/// As [`Caller::tenant`]; not found, also for another tenant's.
pub async fn one_of_tenant(app: &App, caller: &Caller, id: KeyId) -> Result<Key> {
    let tenant = caller.tenant(Verb::ManageKeys)?;
    app.db.read(move |conn| store::get(conn, KeyKind::Tenant, Some(tenant), id)).await
}

/// A page of service keys.
///
/// # Errors
/// As [`Caller::may`].
pub async fn of_services(app: &App, caller: &Caller, request: PageRequest) -> Result<Page<Key>> {
    caller.may(Verb::ReadServiceKeys)?;
    app.db.read(move |conn| store::page(conn, KeyKind::Service, None, request)).await
}

/// A page of operator keys.
///
/// # Errors
/// As [`Caller::may`].
pub async fn of_operators(app: &App, caller: &Caller, request: PageRequest) -> Result<Page<Key>> {
    caller.may(Verb::ReadOperators)?;
    app.db.read(move |conn| store::page(conn, KeyKind::Operator, None, request)).await
}
