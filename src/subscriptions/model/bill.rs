//! What a move of a subscription costs, in minor units, exactly: each charge is a whole number, and the total is
//! their sum.

use super::Subscription;
use crate::catalog::{Plan, PlanVersion};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};

/// What a charge is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeKind {
    /// A period of the plan.
    Plan,
    /// The rest of a period, after a change within it; below zero for what was not used of the plan before.
    Proration,
}

/// One line of a bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// What it is for.
    pub kind: ChargeKind,
    /// What people read.
    pub description: String,
    /// In minor units; below zero in the customer's favour.
    pub amount: i64,
    /// From when.
    pub from: Ts,
    /// Until when.
    pub to: Ts,
}

/// What is due at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// ISO 4217.
    pub currency: String,
    /// From when.
    pub from: Ts,
    /// Until when.
    pub to: Ts,
    /// The lines.
    pub charges: Vec<Charge>,
}

impl Bill {
    /// The sum.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.charges.iter().map(|charge| charge.amount).sum()
    }
}

/// The share of `price` that belongs to `some` of `whole`, rounded to the nearest whole number, halves to the
/// even one.
///
/// # Errors
/// [`Error::Internal`] for a period without length, or a price beyond what both engines can hold.
pub fn share(price: u64, some: i64, whole: i64) -> Result<i64> {
    let (product, whole) = (i128::from(price) * i128::from(some), i128::from(whole));
    if whole <= 0 || product < 0 {
        return Err(Error::internal("a share of nothing"));
    }
    let (quotient, twice) = (product / whole, 2 * (product % whole));
    let up = twice > whole || (twice == whole && quotient % 2 == 1);
    i64::try_from(quotient + i128::from(up)).map_err(Error::internal)
}

fn price(plan: &Plan) -> Result<i64> {
    i64::try_from(plan.price).map_err(Error::internal)
}

/// A bill without lines of nothing; `None` when none is left.
fn bill(currency: &str, from: Ts, to: Ts, charges: impl IntoIterator<Item = Charge>) -> Option<Bill> {
    let charges: Vec<Charge> = charges.into_iter().filter(|charge| charge.amount != 0).collect();
    (!charges.is_empty()).then(|| Bill { currency: currency.to_owned(), from, to, charges })
}

/// The bill of the period that has just begun.
///
/// # Errors
/// As [`share`].
pub fn of_period(one: &Subscription, version: &PlanVersion) -> Result<Option<Bill>> {
    let (from, to) = (one.period_start, one.period_end);
    let plan = &version.plan;
    let Some(currency) = &plan.currency else { return Ok(None) };
    let charge =
        Charge { kind: ChargeKind::Plan, description: plan.name.clone(), amount: price(plan)?, from, to };
    Ok(bill(currency, from, to, [charge]))
}

/// The unused rest of a plan's period, in the customer's favour.
fn unused(one: &Subscription, plan: &Plan, now: Ts) -> Result<Charge> {
    let (from, to) = (one.period_start, one.period_end);
    Ok(Charge {
        kind: ChargeKind::Proration,
        description: format!("Unused time on {}", plan.name),
        amount: -share(plan.price, left(now, to), left(from, to))?,
        from: now,
        to,
    })
}

fn left(from: Ts, to: Ts) -> i64 {
    to.micros().saturating_sub(from.micros()).max(0)
}

/// The bill of a change within a period that stays: the rest of the new plan for that of the old one.
///
/// # Errors
/// As [`share`].
pub fn of_change(one: &Subscription, old: &Plan, new: &Plan, now: Ts) -> Result<Option<Bill>> {
    let Some(currency) = new.currency.as_ref().or(old.currency.as_ref()) else { return Ok(None) };
    let (from, to) = (one.period_start, one.period_end);
    let rest = Charge {
        kind: ChargeKind::Proration,
        description: format!("Remaining time on {}", new.name),
        amount: share(new.price, left(now, to), left(from, to))?,
        from: now,
        to,
    };
    Ok(bill(currency, now, to, [unused(one, old, now)?, rest]))
}

/// The bill of a change that begins a period of its own: `before` is the subscription as it was.
///
/// # Errors
/// As [`share`].
pub fn of_new_period(
    one: &Subscription,
    before: &Subscription,
    old: &Plan,
    new: &PlanVersion,
    now: Ts,
) -> Result<Option<Bill>> {
    let plan = &new.plan;
    let Some(currency) = plan.currency.as_ref().or(old.currency.as_ref()) else { return Ok(None) };
    let (from, to) = (one.period_start, one.period_end);
    let whole =
        Charge { kind: ChargeKind::Plan, description: plan.name.clone(), amount: price(plan)?, from, to };
    Ok(bill(currency, from, to, [unused(before, old, now)?, whole]))
}
