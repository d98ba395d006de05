//! Notifications of the provider: each is proved, taken once, and has its effects in that one transaction. They come
//! late, twice and in any order, so each effect asks whether it is still news.

use super::commands::{after, tell_paid_in};
use super::events::{BillingStatusChanged, PaymentFailed};
use super::model::{Account, News, Notice, Status};
use super::settle::{receive_in, settle_in};
use super::store;
use crate::app::App;
use crate::auth::{Caller, Who};
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;
use crate::log::{self, NewEvent};

/// What became of a notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It changed something.
    Taken,
    /// It had been taken before.
    Repeated,
    /// It is about nothing of ours, or was overtaken by later news.
    Ignored,
}

impl Outcome {
    /// For answers and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Repeated => "repeated",
            Self::Ignored => "ignored",
        }
    }
}

/// Takes a notification. Its signature is its credential; the caller is whoever delivered it.
///
/// # Errors
/// As [`Provider::notice`](super::Provider::notice); the store's, and then nothing of it is taken.
pub async fn take(app: &App, caller: &Caller, signature: Option<&str>, raw: &[u8]) -> Result<Outcome> {
    let now = app.clock.now();
    let notice = app.billing.notice(signature, raw, now)?;
    let caller = Caller { who: Who::System(app.billing.word()), ..caller.clone() }.because(&notice.id);
    let again = app.clone();
    let (outcome, tenant) = app
        .db
        .write(move |conn| {
            if !store::first_time(conn, &notice, now)? {
                return Ok((Outcome::Repeated, None));
            }
            let tenant = effects_in(conn, &again, &caller, now, &notice)?;
            Ok((tenant.map_or(Outcome::Ignored, |_| Outcome::Taken), tenant))
        })
        .await?;
    metrics::counter!("tenantry_billing_notices_total", "outcome" => outcome.word()).increment(1);
    if let Some(tenant) = tenant {
        after(app, tenant).await;
    }
    Ok(outcome)
}

/// Answers whose matter it was, when it had an effect.
fn effects_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    now: Ts,
    notice: &Notice,
) -> Result<Option<TenantId>> {
    let customer = match &notice.news {
        News::Paid { customer, .. } | News::Failed { customer, .. } | News::Subscription { customer, .. } => {
            customer
        }
        News::Other => return Ok(None),
    };
    // The account at the provider may have customers that are none of ours.
    let Some(account) = store::by_customer(conn, customer)? else { return Ok(None) };
    let tenant = account.tenant_id;
    let news = match &notice.news {
        News::Paid { reference, currency, amount, .. } => {
            let fresh = receive_in(conn, caller, now, tenant, (reference, currency, *amount))?;
            for invoice in settle_in(conn, caller, now, tenant, &currency.to_ascii_uppercase())? {
                tell_paid_in(conn, app, caller, now, &invoice)?;
            }
            fresh
        }
        News::Failed { reference, .. } => failed_in(conn, app, caller, now, tenant, reference)?,
        News::Subscription { reference, status, .. } => {
            subscription_in(conn, app, caller, now, account, (reference, *status, notice.at))?
        }
        News::Other => false,
    };
    Ok(news.then_some(tenant))
}

fn failed_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    now: Ts,
    tenant: TenantId,
    reference: &str,
) -> Result<bool> {
    // Paid since: the failure is older, whenever it arrives.
    if store::is_known(conn, reference)? {
        return Ok(false);
    }
    let failed = PaymentFailed { reference: reference.to_owned() };
    log::append_in(conn, caller, now, NewEvent::of(tenant, failed))?;
    app.payment_news.iter().try_for_each(|news| news.failed_in(conn, app, caller, now, tenant))?;
    Ok(true)
}

fn subscription_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    now: Ts,
    mut account: Account,
    (reference, status, at): (&str, Status, Ts),
) -> Result<bool> {
    let (before, unasked) = (account.status, account.wanted.charges());
    if !account.hear(reference, status, at) {
        return Ok(false);
    }
    account.updated_at = now;
    store::save_account(conn, &account)?;
    if before != account.status {
        let changed = BillingStatusChanged { provider: app.billing.word().to_owned(), status };
        log::append_in(conn, caller, now, NewEvent::of(account.tenant_id, changed))?;
    }
    if status == Status::Ended && unasked {
        app.payment_news
            .iter()
            .try_for_each(|news| news.ended_in(conn, app, caller, now, account.tenant_id))?;
    }
    Ok(true)
}
