//! The table of payments and credits.

use diesel::prelude::*;

use crate::billing::model::Payment;
use crate::db::Conn;
use crate::db::schema::billing_payments as payments;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{PaymentId, TenantId};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = payments)]
struct Row {
    id: PaymentId,
    tenant_id: TenantId,
    reference: String,
    currency: String,
    amount: i64,
    unapplied: i64,
    created_at: Ts,
}

impl From<Row> for Payment {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            tenant_id: row.tenant_id,
            reference: row.reference,
            currency: row.currency,
            amount: row.amount,
            unapplied: row.unapplied,
            created_at: row.created_at,
        }
    }
}

/// Whether a payment of this reference was recorded.
///
/// # Errors
/// The store's.
pub fn is_known(conn: &mut Conn, reference: &str) -> Result<bool> {
    let found: i64 = payments::table.filter(payments::reference.eq(reference)).count().get_result(conn)?;
    Ok(found > 0)
}

/// Records a payment. Ask [`is_known`] first.
///
/// # Errors
/// The store's; [`Error::Unavailable`] (run again) when a crossing transaction recorded it.
pub fn insert(conn: &mut Conn, payment: &Payment) -> Result<()> {
    let row = Row {
        id: payment.id,
        tenant_id: payment.tenant_id,
        reference: payment.reference.clone(),
        currency: payment.currency.clone(),
        amount: payment.amount,
        unapplied: payment.unapplied,
        created_at: payment.created_at,
    };
    diesel::insert_into(payments::table).values(row).execute(conn).map_err(|error| {
        match Error::from(error) {
            Error::Conflict { detail, .. } => Error::contended(detail),
            other => other,
        }
    })?;
    Ok(())
}

/// Writes what is left of a payment.
///
/// # Errors
/// The store's.
pub fn save(conn: &mut Conn, payment: &Payment) -> Result<()> {
    diesel::update(payments::table.find(payment.id))
        .set(payments::unapplied.eq(payment.unapplied))
        .execute(conn)?;
    Ok(())
}

/// A tenant's payments in a currency of which something is left, the oldest first.
///
/// # Errors
/// The store's.
pub fn unapplied(conn: &mut Conn, tenant: TenantId, currency: &str) -> Result<Vec<Payment>> {
    let rows: Vec<Row> = payments::table
        .filter(payments::tenant_id.eq(tenant))
        .filter(payments::currency.eq(currency.to_owned()))
        .filter(payments::unapplied.gt(0))
        .order((payments::created_at.asc(), payments::id.asc()))
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(Payment::from).collect())
}

/// The same in all currencies; the first hundred.
///
/// # Errors
/// The store's.
pub fn unapplied_of(conn: &mut Conn, tenant: TenantId) -> Result<Vec<Payment>> {
    let rows: Vec<Row> = payments::table
        .filter(payments::tenant_id.eq(tenant))
        .filter(payments::unapplied.gt(0))
        .order((payments::created_at.asc(), payments::id.asc()))
        .limit(100)
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(Payment::from).collect())
}
