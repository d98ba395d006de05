//! An invoice as a page that prints well: one document without scripts, images or anything from elsewhere.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use sha2::{Digest as _, Sha256};

use super::model::money::written;
use super::model::{Invoice, State};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};

const TEMPLATE: &str = include_str!("invoice.html");
const STYLE: &str = include_str!("invoice.css");

static PAGES: LazyLock<std::result::Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::Html);
    env.add_template("invoice.html", TEMPLATE)?;
    Ok(env)
});

/// What the page may load: its own style, by its digest.
pub static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// The day of a moment, in UTC.
fn day(at: Ts) -> String {
    at.to_string().chars().take(10).collect()
}

/// The page. `issuer` is whose invoice it is: a name, or name and address in lines.
///
/// # Errors
/// [`Error::Internal`] when it cannot be written.
pub fn html(invoice: &Invoice, issuer: &str) -> Result<String> {
    let money = |amount: i64| written(amount, &invoice.currency);
    let lines: Vec<_> = invoice
        .lines
        .iter()
        .map(|line| {
            let period = line.period.map(|period| format!("{} – {}", day(period.start), day(period.end)));
            context! {
                description => line.description.clone(),
                period => period,
                quantity => line.quantity,
                unit_price => money(line.unit_price),
                amount => money(line.amount),
            }
        })
        .collect();
    let stands = match invoice.state {
        State::Open => format!("Open, due on {}", day(invoice.due_at)),
        State::Paid => format!("Paid on {}", invoice.paid_at.map_or_else(String::new, day)),
        State::Void => "Void".to_owned(),
    };
    let page =
        PAGES.as_ref().map_err(Error::internal)?.get_template("invoice.html").map_err(Error::internal)?;
    page.render(context! {
        style => minijinja::Value::from_safe_string(STYLE.to_owned()),
        number => invoice.number.clone(),
        issuer => issuer.lines().map(str::to_owned).collect::<Vec<String>>(),
        customer => invoice.customer.clone(),
        stands => stands,
        opened => day(invoice.created_at),
        period => format!("{} – {}", day(invoice.period.start), day(invoice.period.end)),
        lines => lines,
        subtotal => money(invoice.subtotal),
        total => money(invoice.total),
        credited => (invoice.subtotal != invoice.total).then(|| money(invoice.total.saturating_sub(invoice.subtotal))),
        reference => invoice.payment_reference.clone(),
        void_reason => invoice.void_reason.clone(),
    })
    .map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::model::{Line, LineKind, NewInvoice, Period};
    use crate::kernel::id::TenantId;

    #[test]
    fn nothing_that_others_wrote_becomes_markup() {
        let now = Ts::from_micros(1_700_000_000_000_000).unwrap();
        let period = Period { start: now, end: now };
        let evil = "<script>alert(1)</script>\"'&";
        let line = Line {
            kind: LineKind::Usage,
            description: evil.into(),
            quantity: 3,
            unit_price: 400,
            amount: 1_200,
            period: Some(period),
        };
        let new = NewInvoice {
            tenant: TenantId::mint(),
            subscription: None,
            currency: "JPY".into(),
            period,
            lines: vec![line],
            due_in: std::time::Duration::from_secs(86_400),
        };
        let invoice = new.open("INV-2023-000001".into(), evil.into(), now).unwrap();
        let void = invoice.clone().void(evil.into(), now).unwrap();
        let paid = invoice.pay(now, Some(evil.into()), now).unwrap();
        for invoice in [void, paid] {
            let page = html(&invoice, evil).unwrap();
            assert!(!page.contains("<script") && !page.contains("\"'&"), "{page}");
            assert!(
                page.contains("&lt;script&gt;") && page.contains("1,200 JPY") && page.contains("2023-11-14")
            );
            assert!(page.contains(&format!("<style>{STYLE}</style>")), "the policy's digest is of this text");
        }
    }
}
