//! Payments meet invoices: the oldest open one first, and only whole.

use super::events::{Facts, InvoicePaid, PaymentReceived};
use super::model::{Invoice, Payment, payment};
use super::store;
use crate::auth::Caller;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{PaymentId, TenantId};
use crate::log::{self, NewEvent};

/// Records money for a tenant, once for each reference; false when it was recorded before.
///
/// # Errors
/// The store's.
pub fn receive_in(
    conn: &mut Conn,
    caller: &Caller,
    now: Ts,
    tenant: TenantId,
    (reference, currency, amount): (&str, &str, i64),
) -> Result<bool> {
    if amount <= 0 || store::is_known(conn, reference)? {
        return Ok(false);
    }
    let currency = currency.to_ascii_uppercase();
    let payment = Payment {
        id: PaymentId::mint(),
        tenant_id: tenant,
        reference: reference.to_owned(),
        currency: currency.clone(),
        amount,
        unapplied: amount,
        created_at: now,
    };
    store::insert_payment(conn, &payment)?;
    let received =
        PaymentReceived { payment_id: payment.id, reference: reference.to_owned(), currency, amount };
    log::append_in(conn, caller, now, NewEvent::of(tenant, received))?;
    Ok(true)
}

/// Settles what a tenant's payments cover, and answers the invoices that are paid by it.
///
/// # Errors
/// The store's.
pub fn settle_in(
    conn: &mut Conn,
    caller: &Caller,
    now: Ts,
    tenant: TenantId,
    currency: &str,
) -> Result<Vec<Invoice>> {
    let before = store::unapplied(conn, tenant, currency)?;
    if before.is_empty() {
        return Ok(Vec::new());
    }
    let mut payments = before.clone();
    let settled = payment::settled(store::open_of(conn, tenant, currency)?, &mut payments);
    let mut paid = Vec::new();
    for (invoice, reference) in settled {
        let mut invoice = invoice.pay(now, reference, now)?;
        store::save(conn, &mut invoice)?;
        log::append_in(conn, caller, now, NewEvent::of(tenant, InvoicePaid(Facts::of(&invoice))))?;
        paid.push(invoice);
    }
    for (payment, _) in payments.iter().zip(&before).filter(|(payment, before)| payment != before) {
        store::save_payment(conn, payment)?;
    }
    Ok(paid)
}
