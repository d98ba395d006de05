//! Changing invoices, and handing tenants over to whoever collects.

use serde_json::json;

use super::events::{Facts, InvoiceOpened, InvoicePaid, InvoiceVoided};
use super::model::{Invoice, NewInvoice, Wanted};
use super::settle::{receive_in, settle_in};
use super::{CHARGE_OPERATION, store};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::catalog::model::Plan;
use crate::config::settings::BillingProvider;
use crate::db::Conn;
use crate::http::IfMatch;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{InvoiceId, TenantId};
use crate::log::{self, NewEvent};
use crate::tenants::{self, Handle};
use crate::work::{self, NewOperation, Operation};

/// Opens an invoice in the caller's transaction, under the next number of the year (UTC). Credit and payments that
/// the tenant has left settle it at once when they cover it; a total below zero becomes such credit. A tenant with
/// an account at the provider is charged there for what the plan's price does not hold.
///
/// # Errors
/// The store's; as [`NewInvoice::open`]; not found for a tenant that is not there.
pub fn open_invoice_in(conn: &mut Conn, caller: &Caller, now: Ts, new: NewInvoice) -> Result<Invoice> {
    opened_in(conn, caller, now, new).map(|(invoice, _)| invoice)
}

/// The same with the invoices, this one or older ones, that are paid by it.
pub(super) fn opened_in(
    conn: &mut Conn,
    caller: &Caller,
    now: Ts,
    new: NewInvoice,
) -> Result<(Invoice, Vec<Invoice>)> {
    let tenant = tenants::get_in(conn, &Handle::Id(new.tenant))?;
    let year = year(now)?;
    let number = format!("INV-{year:04}-{:06}", store::next_number(conn, year)?);
    let invoice = new.open(number, tenant.name, now)?;
    store::insert(conn, &invoice)?;
    log::append_in(conn, caller, now, NewEvent::of(tenant.id, InvoiceOpened(Facts::of(&invoice))))?;
    if invoice.total < 0 {
        let credit = (invoice.number.as_str(), invoice.currency.as_str(), invoice.total.saturating_neg());
        receive_in(conn, caller, now, tenant.id, credit)?;
    }
    if store::account(conn, tenant.id)?.is_some() && invoice.extras().next().is_some() {
        charge_in(conn, now, &invoice)?;
    }
    let paid = settle_in(conn, caller, now, tenant.id, &invoice.currency)?;
    Ok((store::get(conn, invoice.id)?, paid))
}

fn charge_in(conn: &mut Conn, now: Ts, invoice: &Invoice) -> Result<()> {
    let operation = NewOperation {
        kind: CHARGE_OPERATION,
        tenant: Some(invoice.tenant_id),
        input: json!({ "invoice_id": invoice.id }),
        steps: vec!["charge_lines".to_owned()],
        begin: now,
        done: false,
    };
    work::store::open_in(conn, now, operation).map(drop)
}

fn year(now: Ts) -> Result<i32> {
    let text = now.to_string();
    text.get(..4).and_then(|year| year.parse().ok()).ok_or_else(|| Error::internal("a year out of range"))
}

/// Marks an open invoice paid in the caller's transaction.
///
/// # Errors
/// Not found; [`Error::Conflict`] unless it is open.
pub fn mark_paid_in(
    conn: &mut Conn,
    caller: &Caller,
    now: Ts,
    id: InvoiceId,
    paid_at: Ts,
    reference: Option<String>,
) -> Result<Invoice> {
    let mut invoice = store::get(conn, id)?.pay(paid_at, reference, now)?;
    store::save(conn, &mut invoice)?;
    let paid = InvoicePaid(Facts::of(&invoice));
    log::append_in(conn, caller, now, NewEvent::of(invoice.tenant_id, paid))?;
    Ok(invoice)
}

/// Takes an open invoice back in the caller's transaction. What the provider collects is not touched by it.
///
/// # Errors
/// As [`mark_paid_in`].
pub fn void_in(conn: &mut Conn, caller: &Caller, now: Ts, id: InvoiceId, reason: String) -> Result<Invoice> {
    let mut invoice = store::get(conn, id)?.void(reason, now)?;
    store::save(conn, &mut invoice)?;
    let voided = InvoiceVoided(Facts::of(&invoice));
    log::append_in(conn, caller, now, NewEvent::of(invoice.tenant_id, voided))?;
    Ok(invoice)
}

/// Marks an invoice paid: the money came in some way that we do not see.
///
/// # Errors
/// As [`Caller::may`]; as [`mark_paid_in`]; a payment in the future; another revision than `if_match` names.
pub async fn mark_paid(
    app: &App,
    caller: &Caller,
    id: InvoiceId,
    paid_at: Option<Ts>,
    reference: Option<String>,
    if_match: IfMatch,
) -> Result<Invoice> {
    caller.may(Verb::ManageInvoices)?;
    let now = app.clock.now();
    if paid_at.is_some_and(|at| at > now) {
        return Err(Error::field("/paid_at", "must not lie in the future"));
    }
    let (again, caller) = (app.clone(), caller.clone());
    let invoice = app
        .db
        .write(move |conn| {
            if_match.check(store::get(conn, id)?.rev())?;
            let at = paid_at.unwrap_or(now);
            let invoice = mark_paid_in(conn, &caller, now, id, at, reference.clone())?;
            tell_paid_in(conn, &again, &caller, now, &invoice)?;
            Ok(invoice)
        })
        .await?;
    after(app, invoice.tenant_id).await;
    Ok(invoice)
}

/// Takes an invoice back.
///
/// # Errors
/// As [`Caller::may`]; as [`void_in`]; another revision than `if_match` names.
pub async fn void(
    app: &App,
    caller: &Caller,
    id: InvoiceId,
    reason: String,
    if_match: IfMatch,
) -> Result<Invoice> {
    caller.may(Verb::ManageInvoices)?;
    let (now, again, caller) = (app.clock.now(), app.clone(), caller.clone());
    let invoice = app
        .db
        .write(move |conn| {
            if_match.check(store::get(conn, id)?.rev())?;
            let invoice = void_in(conn, &caller, now, id, reason.clone())?;
            again
                .payment_news
                .iter()
                .try_for_each(|news| news.voided_in(conn, &again, &caller, now, &invoice))?;
            // What was paid meanwhile waited behind this one.
            for paid in settle_in(conn, &caller, now, invoice.tenant_id, &invoice.currency)? {
                tell_paid_in(conn, &again, &caller, now, &paid)?;
            }
            Ok(invoice)
        })
        .await?;
    after(app, invoice.tenant_id).await;
    Ok(invoice)
}

/// Tells those who want to know that an invoice is paid.
pub(super) fn tell_paid_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    now: Ts,
    invoice: &Invoice,
) -> Result<()> {
    app.payment_news.iter().try_for_each(|news| news.paid_in(conn, app, caller, now, invoice))
}

/// After a commit that may have changed what a tenant may do.
pub(super) async fn after(app: &App, tenant: TenantId) {
    if let Err(error) = tenants::commands::settled(app, tenant).await {
        tracing::warn!(tenant = %tenant, error = %error, "what followed from a payment is left to its operation");
    }
    app.wake.work();
}

/// Tells the provider, by an operation, what a tenant has bought from now on; nothing when nobody but people
/// collect. Wake the workers after the commit.
///
/// # Errors
/// The store's.
pub fn hand_over_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    now: Ts,
    tenant: TenantId,
    wanted: Wanted,
) -> Result<Option<Operation>> {
    app.billing.hand_over_in(conn, caller, now, tenant, wanted)
}

/// Ends a tenant's account at the provider, if it has one.
///
/// # Errors
/// The store's.
pub fn end_in(conn: &mut Conn, app: &App, caller: &Caller, now: Ts, tenant: TenantId) -> Result<()> {
    let Some(account) = store::account(conn, tenant)? else { return Ok(()) };
    if account.wanted.ended && account.subscription_ref.is_none() {
        return Ok(());
    }
    hand_over_in(conn, app, caller, now, tenant, Wanted { ended: true, ..account.wanted }).map(drop)
}

/// Hands a tenant over to the provider again: what it was last told, or what the tenant's plan is sold as.
///
/// # Errors
/// As [`Caller::may`]; not found; [`Error::Conflict`] when nobody but people collect, or the tenant's plan is not
/// in the catalogue.
pub async fn hand_over(app: &App, caller: &Caller, handle: Handle) -> Result<Operation> {
    caller.may(Verb::ManageInvoices)?;
    let (now, again, caller) = (app.clock.now(), app.clone(), caller.clone());
    let operation = app
        .db
        .write(move |conn| {
            let tenant = tenants::get_in(conn, &handle)?;
            if matches!(tenant.state, tenants::State::Deleting | tenants::State::Deleted) {
                return Err(Error::conflict("wrong_state", "the tenant is being deleted, or is"));
            }
            let wanted = match store::account(conn, tenant.id)? {
                Some(account) if !account.wanted.ended => account.wanted,
                _ => of_plan(again.catalogue.on_sale(&tenant.plan).as_deref().map(|version| &version.plan))?,
            };
            let manual = again.settings.billing.provider == BillingProvider::Manual;
            hand_over_in(conn, &again, &caller, now, tenant.id, wanted)?.ok_or_else(|| match manual {
                true => {
                    Error::conflict("billing_is_manual", "only people collect: billing.provider is manual")
                }
                false => Error::conflict("nothing_to_collect", "the tenant pays nothing"),
            })
        })
        .await?;
    app.wake.work();
    Ok(operation)
}

fn of_plan(plan: Option<&Plan>) -> Result<Wanted> {
    let plan =
        plan.ok_or_else(|| Error::conflict("unknown_plan", "the tenant's plan is not in the catalogue"))?;
    Ok(Wanted {
        plan: plan.key.clone(),
        name: plan.name.clone(),
        price: i64::try_from(plan.price).map_err(Error::internal)?,
        currency: plan.currency.clone().unwrap_or_else(|| "USD".to_owned()),
        interval: plan.interval,
        trial_ends_at: None,
        cancel_at_period_end: false,
        paused: false,
        ended: false,
    })
}
