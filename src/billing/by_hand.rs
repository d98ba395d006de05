//! Invoices that an operator opens: what no plan holds, such as a setup fee or a refund.

use std::sync::Arc;

use super::commands::{after, opened_in, tell_paid_in};
use super::model::{Invoice, Line, LineKind, NewInvoice, Period};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::http::{Answer, Attempt, Outcome};
use crate::kernel::error::{Error, FieldError, Result};
use crate::tenants::{self, Handle, State};

/// The largest price of one, in minor units, either way.
pub const MOST_PRICE: i64 = 1_000_000_000_000;
/// The largest quantity.
pub const MOST_QUANTITY: i64 = 1_000_000;

/// A line as an operator writes it.
#[derive(Debug, Clone)]
pub struct Written {
    /// What it charges for.
    pub kind: LineKind,
    /// In words.
    pub description: String,
    /// How much of it.
    pub quantity: i64,
    /// The price of one.
    pub unit_price: i64,
}

/// What an operator wants to charge.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Whom.
    pub tenant: Handle,
    /// ISO 4217.
    pub currency: String,
    /// The time it is for; the present when absent.
    pub period: Option<Period>,
    /// For what.
    pub lines: Vec<Written>,
}

impl Draft {
    fn lines(&self) -> Result<Vec<Line>> {
        let mut wrong = Vec::new();
        let mut fault =
            |pointer: String, detail: &str| wrong.push(FieldError { pointer, detail: detail.to_owned() });
        if !self.currency.bytes().all(|letter| letter.is_ascii_alphabetic()) {
            fault("/currency".to_owned(), "must be three letters of ISO 4217, for instance EUR");
        }
        if self.period.is_some_and(|period| period.end < period.start) {
            fault("/period/end".to_owned(), "must not lie before the start");
        }
        for (at, line) in self.lines.iter().enumerate() {
            if line.description.trim().is_empty() {
                fault(format!("/lines/{at}/description"), "must not be blank");
            }
            if (line.kind == LineKind::Credit) != (line.unit_price < 0) {
                let detail = "must be below zero for a credit, and for nothing else";
                fault(format!("/lines/{at}/unit_price"), detail);
            }
        }
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        let line = |line: &Written| {
            let amount = line.quantity.checked_mul(line.unit_price);
            Ok(Line {
                kind: line.kind,
                description: line.description.trim().to_owned(),
                quantity: line.quantity,
                unit_price: line.unit_price,
                amount: amount.ok_or_else(|| Error::internal("a line's amount overflows"))?,
                period: None,
            })
        };
        self.lines.iter().map(line).collect()
    }
}

/// Opens an invoice.
///
/// # Errors
/// As [`Caller::may`]; [`Error::Invalid`]; not found; [`Error::Conflict`] for a tenant that was deleted.
pub async fn open(
    app: &App,
    caller: &Caller,
    draft: Draft,
    attempt: Arc<Attempt>,
) -> Result<Answer<Invoice>> {
    caller.may(Verb::ManageInvoices)?;
    let lines = draft.lines()?;
    let (now, again, caller) = (app.clock.now(), app.clone(), caller.clone());
    let answer = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                let tenant = tenants::get_in(conn, &draft.tenant)?;
                if tenant.state == State::Deleted {
                    return Err(Error::conflict("wrong_state", "the tenant was deleted"));
                }
                let new = NewInvoice {
                    tenant: tenant.id,
                    subscription: None,
                    currency: draft.currency.clone(),
                    period: draft.period.unwrap_or(Period { start: now, end: now }),
                    lines: lines.clone(),
                    due_in: again.settings.billing.due_after,
                };
                let (invoice, paid) = opened_in(conn, &caller, now, new)?;
                paid.iter().try_for_each(|invoice| tell_paid_in(conn, &again, &caller, now, invoice))?;
                Ok(invoice)
            })
        })
        .await?;
    if let Answer::Fresh { body, .. } = &answer {
        after(app, body.tenant_id).await;
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::clock::Ts;

    fn draft(kind: LineKind, unit_price: i64) -> Draft {
        let lines = vec![Written { kind, description: " Setup ".into(), quantity: 2, unit_price }];
        let (start, end) = (Ts::from_micros(0).unwrap(), Ts::from_micros(1).unwrap());
        let period = Some(Period { start, end });
        Draft { tenant: Handle::parse("acme"), currency: "EUR".into(), period, lines }
    }

    #[test]
    fn credits_are_below_zero_and_nothing_else_is() {
        let lines = draft(LineKind::Usage, 300).lines().unwrap();
        assert_eq!((lines[0].amount, lines[0].description.as_str()), (600, "Setup"));
        assert_eq!(draft(LineKind::Credit, -300).lines().unwrap()[0].amount, -600);
        assert!(draft(LineKind::Credit, 300).lines().is_err() && draft(LineKind::Plan, -1).lines().is_err());
        assert_eq!(MOST_PRICE.checked_mul(MOST_QUANTITY), Some(1_000_000_000_000_000_000));
    }
}
