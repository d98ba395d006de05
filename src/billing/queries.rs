//! Reading invoices and accounts.

use super::model::{AccountView, Invoice};
use super::store::{self, Filter};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::InvoiceId;
use crate::kernel::page::{Page, PageRequest};
use crate::tenants::{self, Handle};

/// A page of invoices, newest first; of one tenant when it is named, none when there is no such tenant.
///
/// # Errors
/// As [`Caller::may`].
pub async fn list(
    app: &App,
    caller: &Caller,
    tenant: Option<Handle>,
    mut filter: Filter,
    request: PageRequest,
) -> Result<Page<Invoice>> {
    caller.may(Verb::ReadInvoices)?;
    app.db
        .read(move |conn| {
            match tenant.map(|handle| tenants::get_in(conn, &handle)) {
                Some(Ok(tenant)) => filter.tenant = Some(tenant.id),
                Some(Err(Error::NotFound(_))) => return Ok(Page { data: Vec::new(), next_cursor: None }),
                Some(Err(error)) => return Err(error),
                None => {}
            }
            store::page(conn, &filter, request)
        })
        .await
}

/// A page of a tenant's invoices, newest first.
///
/// # Errors
/// As [`Caller::may`]; not found for a tenant that is not there.
pub async fn list_of(
    app: &App,
    caller: &Caller,
    tenant: Handle,
    mut filter: Filter,
    request: PageRequest,
) -> Result<Page<Invoice>> {
    caller.may(Verb::ReadInvoices)?;
    app.db
        .read(move |conn| {
            filter.tenant = Some(tenants::get_in(conn, &tenant)?.id);
            store::page(conn, &filter, request)
        })
        .await
}

/// One invoice.
///
/// # Errors
/// As [`Caller::may`]; not found.
pub async fn one(app: &App, caller: &Caller, id: InvoiceId) -> Result<Invoice> {
    caller.may(Verb::ReadInvoices)?;
    app.db.read(move |conn| store::get(conn, id)).await
}

/// A page of the invoices of the caller's own tenant, newest first.
///
/// # Errors
/// As [`Caller::tenant`].
pub async fn list_own(
    app: &App,
    caller: &Caller,
    mut filter: Filter,
    request: PageRequest,
) -> Result<Page<Invoice>> {
    filter.tenant = Some(caller.tenant(Verb::ReadOwnInvoices)?);
    app.db.read(move |conn| store::page(conn, &filter, request)).await
}

/// One invoice of the caller's own tenant.
///
/// # Errors
/// As [`Caller::tenant`]; not found, also for another tenant's.
pub async fn own(app: &App, caller: &Caller, id: InvoiceId) -> Result<Invoice> {
    let tenant = caller.tenant(Verb::ReadOwnInvoices)?;
    app.db.read(move |conn| store::of_tenant(conn, tenant, id)).await
}

/// How a tenant's billing stands.
///
/// # Errors
/// As [`Caller::may`]; not found.
pub async fn account(app: &App, caller: &Caller, handle: Handle) -> Result<AccountView> {
    caller.may(Verb::ReadInvoices)?;
    let provider = app.billing.word();
    app.db
        .read(move |conn| {
            let tenant_id = tenants::get_in(conn, &handle)?.id;
            let unapplied = store::unapplied_of(conn, tenant_id)?;
            let account = store::account(conn, tenant_id)?;
            let in_step = account.as_ref().is_none_or(|account| account.synced_rev == account.wanted_rev);
            Ok(match account {
                None => AccountView {
                    tenant_id,
                    provider,
                    customer: None,
                    subscription: None,
                    status: None,
                    wanted: None,
                    in_step,
                    operation_id: None,
                    unapplied,
                },
                Some(account) => AccountView {
                    tenant_id,
                    provider,
                    customer: account.customer_ref,
                    subscription: account.subscription_ref,
                    status: account.status,
                    wanted: Some(account.wanted),
                    in_step,
                    operation_id: account.operation_id,
                    unapplied,
                },
            })
        })
        .await
}
