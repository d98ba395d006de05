//! An invoice: what is charged, in which state it stands, and the moves it has.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{InvoiceId, SubscriptionId, TenantId};
use crate::words;

/// The most lines of an invoice.
pub const MOST_LINES: usize = 500;

words! {
    /// Where an invoice stands. It is numbered and open from its first moment, and ends paid or void.
    State as "InvoiceState", "state of an invoice" {
        /// To be paid.
        Open = "open",
        /// Paid, or nothing was to be paid.
        Paid = "paid",
        /// Taken back: nobody owes it.
        Void = "void",
    }
}

words! {
    /// What a line charges for.
    LineKind as "InvoiceLineKind", "kind of line" {
        /// The plan's price for a period.
        Plan = "plan",
        /// The difference that a change within a period makes.
        Proration = "proration",
        /// What was used beside what the plan holds.
        Usage = "usage",
        /// What the tenant is given back.
        Credit = "credit",
    }
}

/// From a moment until before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BillingPeriod)]
pub struct Period {
    /// The first moment.
    pub start: Ts,
    /// The moment at which it is over.
    pub end: Ts,
}

/// One line of an invoice. Amounts are in the currency's minor unit (4900 is 49.00 EUR).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InvoiceLine)]
pub struct Line {
    /// What it charges for.
    pub kind: LineKind,
    /// In words for people.
    pub description: String,
    /// How much of it.
    pub quantity: i64,
    /// The price of one.
    pub unit_price: i64,
    /// What the line comes to; below zero for what is given back.
    pub amount: i64,
    /// The time it is for.
    pub period: Option<Period>,
}

/// An invoice about to be opened.
#[derive(Debug, Clone)]
pub struct NewInvoice {
    /// Who owes it.
    pub tenant: TenantId,
    /// The subscription it is for.
    pub subscription: Option<SubscriptionId>,
    /// ISO 4217.
    pub currency: String,
    /// The time it is for.
    pub period: Period,
    /// What is charged.
    pub lines: Vec<Line>,
    /// How long there is to pay it.
    pub due_in: Duration,
}

/// What a tenant owes, or owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Invoice {
    /// Its id.
    pub id: InvoiceId,
    /// Its number, for people: one after the other within a year, without a gap.
    #[schema(example = "INV-2026-000001")]
    pub number: String,
    /// Who owes it.
    pub tenant_id: TenantId,
    /// The subscription it is for.
    pub subscription_id: Option<SubscriptionId>,
    /// The tenant's name when it was opened.
    pub customer: String,
    /// Where it stands.
    pub state: State,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
    /// What is charged.
    pub lines: Vec<Line>,
    /// The lines without credits, in the currency's minor unit.
    pub subtotal: i64,
    /// All lines, in the currency's minor unit. No tax is in it.
    pub total: i64,
    /// The time it is for.
    pub period: Period,
    /// Until when it is to be paid.
    pub due_at: Ts,
    /// When it was paid.
    pub paid_at: Option<Ts>,
    /// What names the payment where it came in.
    pub payment_reference: Option<String>,
    /// When it was taken back.
    pub voided_at: Option<Ts>,
    /// Why it was taken back.
    pub void_reason: Option<String>,
    /// When it was opened.
    pub created_at: Ts,
    /// When it last changed.
    pub updated_at: Ts,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) rev: i64,
}

fn sum<'a>(lines: impl Iterator<Item = &'a Line>) -> Result<i64> {
    let mut total = 0i64;
    for line in lines {
        total =
            total.checked_add(line.amount).ok_or_else(|| Error::internal("an invoice's total overflows"))?;
    }
    Ok(total)
}

impl NewInvoice {
    /// The invoice under this number, of a tenant of this name. When nothing is to be paid, it is paid.
    ///
    /// # Errors
    /// [`Error::Internal`] for one that no caller may make: without lines, with too many, in no currency, for a
    /// period that ends before it begins, or over what amounts can hold.
    pub fn open(self, number: String, customer: String, now: Ts) -> Result<Invoice> {
        let currency = self.currency.to_ascii_uppercase();
        let good_currency = currency.len() == 3 && currency.bytes().all(|letter| letter.is_ascii_uppercase());
        let good_lines = (1..=MOST_LINES).contains(&self.lines.len());
        if !good_currency || !good_lines || self.period.end < self.period.start {
            return Err(Error::internal("an invoice needs a currency, lines and a period"));
        }
        let subtotal = sum(self.lines.iter().filter(|line| line.kind != LineKind::Credit))?;
        let total = sum(self.lines.iter())?;
        let paid = total <= 0;
        Ok(Invoice {
            id: InvoiceId::mint(),
            number,
            tenant_id: self.tenant,
            subscription_id: self.subscription,
            customer,
            state: if paid { State::Paid } else { State::Open },
            currency,
            lines: self.lines,
            subtotal,
            total,
            period: self.period,
            due_at: now.plus(self.due_in),
            paid_at: paid.then_some(now),
            payment_reference: None,
            voided_at: None,
            void_reason: None,
            created_at: now,
            updated_at: now,
            rev: 1,
        })
    }
}

impl Invoice {
    /// Its revision, for the ETag.
    #[must_use]
    pub fn rev(&self) -> i64 {
        self.rev
    }

    /// What it charges beside the plan's price.
    pub fn extras(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().filter(|(_, line)| line.kind != LineKind::Plan && line.amount != 0)
    }

    /// It has been paid.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is open.
    pub fn pay(mut self, paid_at: Ts, reference: Option<String>, now: Ts) -> Result<Self> {
        self.must_be_open()?;
        (self.state, self.paid_at, self.payment_reference) = (State::Paid, Some(paid_at), reference);
        self.updated_at = now;
        Ok(self)
    }

    /// Nobody owes it any more.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is open.
    pub fn void(mut self, reason: String, now: Ts) -> Result<Self> {
        self.must_be_open()?;
        (self.state, self.voided_at, self.void_reason) = (State::Void, Some(now), Some(reason));
        self.updated_at = now;
        Ok(self)
    }

    fn must_be_open(&self) -> Result<()> {
        match self.state {
            State::Open => Ok(()),
            State::Paid => Err(Error::conflict("invoice_paid", "the invoice is paid")),
            State::Void => Err(Error::conflict("invoice_void", "the invoice is void")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: LineKind, amount: i64) -> Line {
        Line { kind, description: "x".into(), quantity: 1, unit_price: amount, amount, period: None }
    }

    fn opened(lines: Vec<Line>) -> Result<Invoice> {
        let now = Ts::from_micros(1_000_000).unwrap();
        let period = Period { start: now, end: now };
        let new = NewInvoice {
            tenant: TenantId::mint(),
            subscription: None,
            currency: "eur".into(),
            period,
            lines,
            due_in: Duration::from_secs(86_400),
        };
        new.open("INV-2026-000001".into(), "Acme".into(), now)
    }

    #[test]
    fn totals_are_the_sum_of_the_lines_and_what_is_nothing_is_paid() {
        let invoice = opened(vec![line(LineKind::Plan, 4_900), line(LineKind::Credit, -900)]).unwrap();
        assert_eq!((invoice.subtotal, invoice.total, invoice.state), (4_900, 4_000, State::Open));
        assert_eq!(invoice.currency, "EUR");
        let invoice = opened(vec![line(LineKind::Plan, 100), line(LineKind::Credit, -300)]).unwrap();
        assert_eq!((invoice.total, invoice.state), (-200, State::Paid));
        assert!(opened(vec![line(LineKind::Plan, i64::MAX), line(LineKind::Usage, 1)]).is_err());
        assert!(opened(vec![]).is_err());
    }

    #[test]
    fn only_an_open_invoice_moves() {
        let now = Ts::from_micros(2_000_000).unwrap();
        let open = opened(vec![line(LineKind::Plan, 1)]).unwrap();
        let paid = open.clone().pay(now, Some("wire 7".into()), now).unwrap();
        assert!(paid.clone().pay(now, None, now).is_err() && paid.void("x".into(), now).is_err());
        let void = open.void("mistake".into(), now).unwrap();
        assert!(void.clone().pay(now, None, now).is_err() && void.void("x".into(), now).is_err());
    }
}
