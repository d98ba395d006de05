//! Carries a move of a subscription out, in the transaction of whoever made it: the row, what is to be paid, the
//! tenant's plan and whether it may be served, the events, the letter. All of it, or nothing.

use super::events::{Facts, Turn, turned};
use super::model::life::Moved;
use super::model::{Rules, Standing, Subscription, dunning, period};
use super::money::{hand_over_in, invoice_in, used_in};
use super::store;
use crate::app::App;
use crate::auth::Caller;
use crate::catalog::PlanVersion;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::OperationId;
use crate::log;
use crate::mail::{self, Letter, LetterKind, NewMail};
use crate::tenants::{self, BILLING_REASON, Handle, State, Tenant, commands as tenant_commands};

/// What a letter about money is worth waiting for.
const LETTER_KEPT: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

/// What is left to do after the commit.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The subscription as it is now.
    pub one: Subscription,
    facts: Vec<&'static str>,
    tenant: State,
    access: Option<OperationId>,
}

impl Applied {
    /// Makes memory and cluster follow. To be awaited after the commit.
    pub async fn carried_out(&self, app: &App) {
        for fact in &self.facts {
            metrics::counter!("tenantry_subscription_moves_total", "event" => *fact).increment(1);
        }
        tenant_commands::carried_out(app, self.one.tenant, self.tenant, self.access).await;
        app.subscriptions_due.notify_one();
    }
}

/// The rules by which time counts for a subscription.
///
/// # Errors
/// As [`period::zone`].
pub fn rules(app: &App, time_zone: &str) -> Result<Rules> {
    Ok(Rules { zone: period::zone(time_zone)?, ladder: app.settings.billing.dunning })
}

/// Carries `moved` out over `before`.
///
/// # Errors
/// [`Error::PreconditionFailed`](crate::kernel::error::Error::PreconditionFailed) when somebody else changed it
/// meanwhile; the store's.
pub fn apply_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    now: Ts,
    before: &Subscription,
    moved: Moved,
) -> Result<Applied> {
    let rules = rules(app, &before.time_zone)?;
    let old = app.catalogue.version_in(conn, before.version)?;
    let mut one = moved.one;
    let version = app.catalogue.version_in(conn, one.version)?;
    if let Some(bill) = moved.bill {
        let used = used_in(conn, app, before, &one, &old)?;
        let open_since = invoice_in(conn, app, caller, now, &one, (bill, used))?;
        one = one.owe(open_since, &rules, now)?;
    }
    let mut tenant = tenants::get_in(conn, &Handle::Id(one.tenant))?;
    if old.id != version.id {
        one.wanted_isolation = version.plan.isolation.filter(|wanted| *wanted != tenant.isolation);
    }
    store::save(conn, &mut one)?;
    if tenant.plan != version.plan.key {
        version.plan.key.clone_into(&mut tenant.plan);
        tenant.updated_at = now;
        tenants::save_in(conn, &mut tenant)?;
    }
    for fact in &moved.facts {
        let turn = Turn {
            subscription_id: one.id,
            before: Some(Facts::of(before, &old)),
            after: Facts::of(&one, &version),
        };
        log::append_in(conn, caller, now, turned(&one, fact, turn)?)?;
    }
    if one.state != before.state && one.unpaid_since.is_some() {
        warn_in(conn, app, &rules, &one, &version, &tenant, now)?;
    }
    hand_over_in(conn, app, caller, now, Some(before), &one, &version)?;
    let access = serve_in(conn, caller, now, &one, tenant)?;
    let tenant = tenants::get_in(conn, &Handle::Id(one.tenant))?.state;
    Ok(Applied { one, facts: moved.facts, tenant, access })
}

/// Stops or lets go on the tenant as its subscription stands. What an operator stopped stays stopped.
fn serve_in(
    conn: &mut Conn,
    caller: &Caller,
    now: Ts,
    one: &Subscription,
    tenant: Tenant,
) -> Result<Option<OperationId>> {
    let why = match one.state {
        Standing::Suspended => Some("an invoice is unpaid"),
        Standing::Canceled => Some("the subscription was canceled"),
        _ => None,
    };
    let by_billing = tenant.suspend_reason.as_ref().is_some_and(|reason| reason.starts_with(BILLING_REASON));
    match (why, tenant.state) {
        (Some(why), State::Active) => {
            tenant_commands::suspend_in(conn, caller, now, tenant, format!("{BILLING_REASON}{why}")).map(Some)
        }
        (None, State::Suspended) if by_billing => {
            tenant_commands::resume_in(conn, caller, now, tenant).map(Some)
        }
        _ => Ok(None),
    }
}

/// Tells the owner what became of what is unpaid, and what comes next.
fn warn_in(
    conn: &mut Conn,
    app: &App,
    rules: &Rules,
    one: &Subscription,
    version: &PlanVersion,
    tenant: &Tenant,
    now: Ts,
) -> Result<()> {
    let said = match one.state {
        Standing::PastDue => "Nothing has followed from that so far.",
        Standing::Restricted => "Its data can be read, but not written, until it is paid.",
        Standing::Suspended => "It is suspended until it is paid.",
        Standing::Canceled => "Its subscription has ended.",
        Standing::Trialing | Standing::Active | Standing::Paused => return Ok(()),
    };
    let (Some(to), Some(since)) = (app.owner_email_in(conn, one.tenant)?, one.unpaid_since) else {
        return Ok(());
    };
    let next = match dunning::next(one, rules)? {
        Some((Standing::Restricted, at)) => format!("From {at} on its data can be read, but not written."),
        Some((Standing::Suspended, at)) => format!("It will be suspended at {at}."),
        Some((Standing::Canceled, at)) => format!("Its subscription will end at {at}."),
        _ => "Nothing further follows.".to_owned(),
    };
    let words = [
        ("slug", tenant.slug.clone()),
        ("plan", version.plan.name.clone()),
        ("since", since.to_string()),
        ("now", said.to_owned()),
        ("next", next),
    ];
    let letter = Letter::new(LetterKind::PaymentOverdue, &to, &words);
    let mail = NewMail { letter, tenant: Some(one.tenant), expires_at: now.plus(LETTER_KEPT) };
    mail::post_in(conn, &app.vault, now, &mail).map(drop)
}
