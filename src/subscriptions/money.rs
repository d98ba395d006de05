//! The hand-off to billing: what is due becomes an invoice, and who collects is told what a tenant has bought.

use super::model::bill::{Bill, Charge, ChargeKind};
use super::model::{Standing, Subscription};
use crate::app::App;
use crate::auth::Caller;
use crate::billing::{self, Line, LineKind, NewInvoice, Period, Wanted};
use crate::catalog::PlanVersion;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};

/// Opens the invoice of a bill; answers since when an invoice of the subscription is open.
///
/// # Errors
/// As [`billing::open_invoice_in`].
pub fn invoice_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    now: Ts,
    one: &Subscription,
    (bill, used): (Bill, Vec<Line>),
) -> Result<Option<Ts>> {
    let new = NewInvoice {
        tenant: one.tenant,
        subscription: Some(one.id),
        currency: bill.currency,
        period: Period { start: bill.from, end: bill.to },
        lines: bill.charges.into_iter().map(line).chain(used).collect(),
        due_in: app.settings.billing.due_after,
    };
    billing::open_invoice_in(conn, caller, now, new)?;
    billing::open_since_in(conn, one.tenant, one.id)
}

/// What was used in the period that `one` has left behind, when it has.
///
/// # Errors
/// The store's.
pub fn used_in(
    conn: &mut Conn,
    app: &App,
    before: &Subscription,
    one: &Subscription,
    old: &PlanVersion,
) -> Result<Vec<Line>> {
    if one.period_start != before.period_end {
        return Ok(Vec::new());
    }
    let period = Period { start: before.period_start, end: before.period_end };
    billing::usage_lines_in(conn, app, one.tenant, &old.plan, period)
}

fn line(charge: Charge) -> Line {
    Line {
        kind: match charge.kind {
            ChargeKind::Plan => LineKind::Plan,
            ChargeKind::Proration if charge.amount < 0 => LineKind::Credit,
            ChargeKind::Proration => LineKind::Proration,
        },
        description: charge.description,
        quantity: 1,
        unit_price: charge.amount,
        amount: charge.amount,
        period: Some(Period { start: charge.from, end: charge.to }),
    }
}

/// Tells who collects what a tenant has bought from now on, when that is another thing than `before`.
///
/// # Errors
/// The store's.
pub fn hand_over_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    now: Ts,
    before: Option<&Subscription>,
    one: &Subscription,
    version: &PlanVersion,
) -> Result<()> {
    let about = |one: &Subscription| {
        let ends = (one.state == Standing::Canceled, one.cancel_at.is_some(), one.paused_at.is_some());
        (one.version, one.trial_ends_at, ends)
    };
    if before.is_some_and(|before| about(before) == about(one)) {
        return Ok(());
    }
    let plan = &version.plan;
    let wanted = Wanted {
        plan: plan.key.clone(),
        name: plan.name.clone(),
        price: i64::try_from(plan.price).map_err(Error::internal)?,
        currency: plan.currency.clone().unwrap_or_else(|| "USD".to_owned()),
        interval: plan.interval,
        trial_ends_at: one.trial_ends_at.filter(|_| one.state == Standing::Trialing),
        cancel_at_period_end: one.cancel_at.is_some(),
        paused: one.paused_at.is_some(),
        ended: one.state == Standing::Canceled,
    };
    billing::hand_over_in(conn, app, caller, now, one.tenant, wanted).map(drop)
}
