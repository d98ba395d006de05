//! The tables of invoices, their lines and their numbers.

use diesel::prelude::*;

use crate::billing::model::{Invoice, Line, LineKind, Period, State};
use crate::db::Conn;
use crate::db::schema::{invoice_lines as lines, invoice_numbers as numbers, invoices};
use crate::each;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{InvoiceId, SubscriptionId, TenantId};
use crate::kernel::page::{Page, PageRequest};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = invoices)]
#[diesel(treat_none_as_null = true)]
struct Row {
    id: InvoiceId,
    number: String,
    tenant_id: TenantId,
    subscription_id: Option<SubscriptionId>,
    customer: String,
    state: State,
    currency: String,
    subtotal: i64,
    total: i64,
    period_start: Ts,
    period_end: Ts,
    due_at: Ts,
    paid_at: Option<Ts>,
    payment_reference: Option<String>,
    voided_at: Option<Ts>,
    void_reason: Option<String>,
    rev: i64,
    created_at: Ts,
    updated_at: Ts,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = lines)]
struct LineRow {
    invoice_id: InvoiceId,
    position: i32,
    kind: LineKind,
    description: String,
    quantity: i64,
    unit_price: i64,
    amount: i64,
    period_start: Option<Ts>,
    period_end: Option<Ts>,
}

impl Row {
    fn of(invoice: &Invoice) -> Self {
        let invoice = invoice.clone();
        Self {
            id: invoice.id,
            number: invoice.number,
            tenant_id: invoice.tenant_id,
            subscription_id: invoice.subscription_id,
            customer: invoice.customer,
            state: invoice.state,
            currency: invoice.currency,
            subtotal: invoice.subtotal,
            total: invoice.total,
            period_start: invoice.period.start,
            period_end: invoice.period.end,
            due_at: invoice.due_at,
            paid_at: invoice.paid_at,
            payment_reference: invoice.payment_reference,
            voided_at: invoice.voided_at,
            void_reason: invoice.void_reason,
            rev: invoice.rev,
            created_at: invoice.created_at,
            updated_at: invoice.updated_at,
        }
    }

    fn with(self, rows: Vec<LineRow>) -> Invoice {
        let line = |row: LineRow| Line {
            kind: row.kind,
            description: row.description,
            quantity: row.quantity,
            unit_price: row.unit_price,
            amount: row.amount,
            period: row.period_start.zip(row.period_end).map(|(start, end)| Period { start, end }),
        };
        Invoice {
            id: self.id,
            number: self.number,
            tenant_id: self.tenant_id,
            subscription_id: self.subscription_id,
            customer: self.customer,
            state: self.state,
            currency: self.currency,
            lines: rows.into_iter().map(line).collect(),
            subtotal: self.subtotal,
            total: self.total,
            period: Period { start: self.period_start, end: self.period_end },
            due_at: self.due_at,
            paid_at: self.paid_at,
            payment_reference: self.payment_reference,
            voided_at: self.voided_at,
            void_reason: self.void_reason,
            created_at: self.created_at,
            updated_at: self.updated_at,
            rev: self.rev,
        }
    }
}

fn contended(error: diesel::result::Error) -> Error {
    match Error::from(error) {
        // A crossing transaction took the number; running again takes the next.
        Error::Conflict { detail, .. } => Error::contended(detail),
        other => other,
    }
}

/// The next number of `year`. It belongs to the transaction: one that fails leaves no gap.
///
/// # Errors
/// The store's; [`Error::Unavailable`] (run again) when another transaction took the year's first.
pub fn next_number(conn: &mut Conn, year: i32) -> Result<i64> {
    let raised =
        diesel::update(numbers::table.find(year)).set(numbers::last.eq(numbers::last + 1)).execute(conn)?;
    if raised == 0 {
        diesel::insert_into(numbers::table)
            .values((numbers::year.eq(year), numbers::last.eq(1i64)))
            .execute(conn)
            .map_err(contended)?;
        return Ok(1);
    }
    numbers::table.find(year).select(numbers::last).first(conn).map_err(Into::into)
}

/// Writes a new invoice with its lines.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, invoice: &Invoice) -> Result<()> {
    diesel::insert_into(invoices::table).values(Row::of(invoice)).execute(conn).map_err(contended)?;
    let rows: Vec<LineRow> = (0i32..)
        .zip(&invoice.lines)
        .map(|(position, line)| LineRow {
            invoice_id: invoice.id,
            position,
            kind: line.kind,
            description: line.description.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
            amount: line.amount,
            period_start: line.period.map(|period| period.start),
            period_end: line.period.map(|period| period.end),
        })
        .collect();
    each!(conn, |c| diesel::insert_into(lines::table).values(rows).execute(c))?;
    Ok(())
}

/// Writes a changed invoice over the revision it was read at, and raises that. Its lines never change.
///
/// # Errors
/// [`Error::PreconditionFailed`] when somebody else changed it meanwhile.
pub fn save(conn: &mut Conn, invoice: &mut Invoice) -> Result<()> {
    let read_at = invoice.rev;
    invoice.rev += 1;
    let rows =
        diesel::update(invoices::table.filter(invoices::id.eq(invoice.id)).filter(invoices::rev.eq(read_at)))
            .set(Row::of(invoice))
            .execute(conn)?;
    if rows == 1 { Ok(()) } else { Err(Error::PreconditionFailed) }
}

fn with_lines(conn: &mut Conn, rows: Vec<Row>) -> Result<Vec<Invoice>> {
    let ids: Vec<InvoiceId> = rows.iter().map(|row| row.id).collect();
    let mut all: Vec<LineRow> = lines::table
        .filter(lines::invoice_id.eq_any(ids))
        .order((lines::invoice_id.asc(), lines::position.asc()))
        .select(LineRow::as_select())
        .load(conn)?;
    let assembled = rows.into_iter().map(|row| {
        let (own, rest) = all.drain(..).partition(|line| line.invoice_id == row.id);
        all = rest;
        row.with(own)
    });
    Ok(assembled.collect())
}

/// Reads one invoice.
///
/// # Errors
/// [`Error::NotFound`].
pub fn get(conn: &mut Conn, id: InvoiceId) -> Result<Invoice> {
    let row: Option<Row> = invoices::table.find(id).select(Row::as_select()).first(conn).optional()?;
    with_lines(conn, row.into_iter().collect())?.pop().ok_or(Error::NotFound("invoice"))
}

/// Reads one invoice of `tenant`; another's is as absent as one that never was.
///
/// # Errors
/// [`Error::NotFound`].
pub fn of_tenant(conn: &mut Conn, tenant: TenantId, id: InvoiceId) -> Result<Invoice> {
    let invoice = get(conn, id)?;
    if invoice.tenant_id == tenant { Ok(invoice) } else { Err(Error::NotFound("invoice")) }
}

/// A tenant's open invoices in a currency, the oldest first; at most a thousand.
///
/// # Errors
/// The store's.
pub fn open_of(conn: &mut Conn, tenant: TenantId, currency: &str) -> Result<Vec<Invoice>> {
    let rows: Vec<Row> = invoices::table
        .filter(invoices::tenant_id.eq(tenant))
        .filter(invoices::state.eq(State::Open))
        .filter(invoices::currency.eq(currency.to_owned()))
        .order((invoices::created_at.asc(), invoices::id.asc()))
        .limit(1_000)
        .select(Row::as_select())
        .load(conn)?;
    with_lines(conn, rows)
}

/// Since when an invoice of this tenant's subscription is open; `None` when none is.
///
/// # Errors
/// The store's.
pub fn open_since(conn: &mut Conn, tenant: TenantId, subscription: SubscriptionId) -> Result<Option<Ts>> {
    invoices::table
        .filter(invoices::tenant_id.eq(tenant))
        .filter(invoices::subscription_id.eq(subscription))
        .filter(invoices::state.eq(State::Open))
        .select(invoices::created_at)
        .order(invoices::created_at.asc())
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// What a list of invoices is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
    /// Only in this state.
    pub state: Option<State>,
}

/// A page of invoices, newest first.
///
/// # Errors
/// The store's.
pub fn page(conn: &mut Conn, filter: &Filter, request: PageRequest) -> Result<Page<Invoice>> {
    let mut query = invoices::table.select(Row::as_select()).into_boxed();
    if let Some(tenant) = filter.tenant {
        query = query.filter(invoices::tenant_id.eq(tenant));
    }
    if let Some(state) = filter.state {
        query = query.filter(invoices::state.eq(state));
    }
    if let Some((at, id)) = request.after {
        let id = InvoiceId::from_uuid(id);
        query = query
            .filter(invoices::created_at.lt(at).or(invoices::created_at.eq(at).and(invoices::id.lt(id))));
    }
    let rows: Vec<Row> =
        query.order((invoices::created_at.desc(), invoices::id.desc())).limit(request.fetch()).load(conn)?;
    let all = with_lines(conn, rows)?;
    Ok(Page::cut(all, request, |invoice: &Invoice| (invoice.created_at, invoice.id.uuid())))
}
