//! Changing subscriptions: what tenants do with their own, and operators with any.

use std::sync::Arc;

use super::apply::{Applied, apply_in, rules};
use super::model::life::Moved;
use super::model::{Rules, Standing, Subscription, moves, period};
use super::store;
use super::view::SubscriptionView;
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::catalog::PlanVersion;
use crate::db::Conn;
use crate::http::IfMatch;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::tenants::{self, BILLING_REASON, Handle, State, Tenant};
use crate::words;

words! {
    /// When a change comes.
    When as "SubscriptionWhen", "moment" {
        /// At once.
        Now = "now",
        /// With the end of the period.
        PeriodEnd = "period_end",
    }
}

/// Whose subscription a call is about, as its path says.
#[derive(Debug, Clone)]
pub enum Whose {
    /// The caller's own tenant's.
    Own,
    /// That of the tenant that an operator names.
    Of(Handle),
}

impl Whose {
    /// Authorises a change.
    fn open(self, caller: &Caller) -> Result<Subject> {
        match self {
            Self::Own => {
                let handle = Handle::Id(caller.tenant(Verb::ManageSubscription)?);
                Ok(Subject { handle, own: true })
            }
            Self::Of(handle) => {
                caller.may(Verb::ManageSubscriptions)?;
                Ok(Subject { handle, own: false })
            }
        }
    }
}

/// The subscription that a caller may change: told by an authorised call alone.
#[derive(Debug, Clone)]
struct Subject {
    handle: Handle,
    own: bool,
}

/// What a move is decided by.
struct Scene<'a> {
    app: &'a App,
    one: Subscription,
    version: Arc<PlanVersion>,
    rules: Rules,
    now: Ts,
    own: bool,
}

impl Scene<'_> {
    /// The edition in which a plan is sold to this caller.
    fn wanted_in(&self, conn: &mut Conn, key: &str) -> Result<Arc<PlanVersion>> {
        let found = self.app.catalogue.sold_in(conn, key)?;
        // What strangers do not see they cannot buy; the plan one has already is no secret.
        let shown = |version: &Arc<PlanVersion>| {
            version.plan.public || !self.own || version.plan.key == self.version.plan.key
        };
        found
            .filter(shown)
            .ok_or_else(|| Error::field("/plan", format!("there is no plan `{key}`; see GET /v1/plans")))
    }
}

/// Puts the subscription on another plan. When it comes is, unless the caller says, now for one that costs as much
/// or more and within a trial, and else the end of the period.
///
/// # Errors
/// As [`Whose::open`]; not found; [`Error::Invalid`] for a plan that is not sold; as [`Subscription::change_now`]
/// and [`Subscription::change_later`].
pub async fn change(
    app: &App,
    caller: &Caller,
    whose: Whose,
    plan: String,
    when: Option<When>,
    if_match: IfMatch,
) -> Result<SubscriptionView> {
    let subject = whose.open(caller)?;
    turn(app, caller, subject, if_match, move |conn, scene| {
        let new = scene.wanted_in(conn, &plan)?;
        let at_once = matches!(scene.one.state, Standing::Trialing | Standing::Canceled)
            || moves::is_upgrade(&scene.version.plan, &new.plan);
        let when = when.unwrap_or(if at_once { When::Now } else { When::PeriodEnd });
        let (one, old) = (scene.one.clone(), &scene.version);
        match when {
            When::Now => one.change_now(old, &new, &scene.rules, scene.now),
            When::PeriodEnd => one.change_later(old, &new, &scene.rules, scene.now),
        }
    })
    .await
}

/// Ends the subscription: with the period unless the caller says now.
///
/// # Errors
/// As [`change`]; as [`Subscription::cancel`].
pub async fn cancel(
    app: &App,
    caller: &Caller,
    whose: Whose,
    when: Option<When>,
    if_match: IfMatch,
) -> Result<SubscriptionView> {
    let subject = whose.open(caller)?;
    let at_end = when.unwrap_or(When::PeriodEnd) == When::PeriodEnd;
    turn(app, caller, subject, if_match, move |_, scene| {
        scene.one.clone().cancel(at_end, &scene.rules, scene.now)
    })
    .await
}

/// Takes a scheduled cancellation back, or begins a canceled subscription anew; for operators, lets a paused one go
/// on.
///
/// # Errors
/// As [`change`]; as [`Subscription::resume`].
pub async fn resume(app: &App, caller: &Caller, whose: Whose, if_match: IfMatch) -> Result<SubscriptionView> {
    let subject = whose.open(caller)?;
    turn(app, caller, subject, if_match, move |conn, scene| {
        let one = scene.one.clone();
        match one.state {
            Standing::Paused if scene.own => {
                let detail = "the subscription was paused by an operator, who can resume it";
                Err(Error::conflict("wrong_state", detail))
            }
            Standing::Paused => one.unpause(&scene.rules, scene.now),
            _ => {
                let newest = scene.app.catalogue.sold_in(conn, &scene.version.plan.key)?;
                one.resume(newest.as_deref(), &scene.rules, scene.now)
            }
        }
    })
    .await
}

/// Puts the subscription to rest.
///
/// # Errors
/// As [`change`]; as [`Subscription::pause`].
pub async fn pause(
    app: &App,
    caller: &Caller,
    handle: Handle,
    if_match: IfMatch,
) -> Result<SubscriptionView> {
    let subject = Whose::Of(handle).open(caller)?;
    turn(app, caller, subject, if_match, |_, scene| scene.one.clone().pause(&scene.rules, scene.now)).await
}

/// Moves the end of the trial.
///
/// # Errors
/// As [`change`]; as [`Subscription::extend_trial`].
pub async fn extend_trial(
    app: &App,
    caller: &Caller,
    handle: Handle,
    until: Ts,
    if_match: IfMatch,
) -> Result<SubscriptionView> {
    let subject = Whose::Of(handle).open(caller)?;
    turn(app, caller, subject, if_match, move |_, scene| {
        scene.one.clone().extend_trial(until, &scene.rules, scene.now)
    })
    .await
}

/// Lets the periods follow another time zone's calendar.
///
/// # Errors
/// As [`change`]; [`Error::Invalid`] for a name that is none; as [`Subscription::in_zone`].
pub async fn set_time_zone(
    app: &App,
    caller: &Caller,
    handle: Handle,
    name: String,
    if_match: IfMatch,
) -> Result<SubscriptionView> {
    let subject = Whose::Of(handle).open(caller)?;
    let zone = period::zone(&name)
        .map_err(|_| Error::field("/time_zone", "must be a name of the tz database, as Europe/Berlin"))?;
    turn(app, caller, subject, if_match, move |_, scene| {
        let rules = Rules { zone: zone.clone(), ladder: scene.rules.ladder };
        scene.one.clone().in_zone(&name, &rules, scene.now)
    })
    .await
}

/// Refuses what a tenant in this state may not do with its subscription.
fn must_live(tenant: &Tenant, own: bool) -> Result<()> {
    match tenant.state {
        State::Deleted => Err(Error::NotFound("tenant")),
        State::Deleting => Err(Error::conflict("wrong_state", "the tenant is being deleted")),
        State::Suspended if own => {
            let by_billing =
                tenant.suspend_reason.as_ref().is_some_and(|why| why.starts_with(BILLING_REASON));
            if by_billing {
                return Ok(());
            }
            Err(Error::forbidden("tenant_suspended", "the tenant is suspended"))
        }
        _ => Ok(()),
    }
}

async fn turn(
    app: &App,
    caller: &Caller,
    subject: Subject,
    if_match: IfMatch,
    decide: impl Fn(&mut Conn, &Scene<'_>) -> Result<Moved> + Send + Sync + 'static,
) -> Result<SubscriptionView> {
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let (applied, view): (Applied, SubscriptionView) = app
        .db
        .write(move |conn| {
            let tenant = tenants::get_in(conn, &subject.handle)?;
            must_live(&tenant, subject.own)?;
            let one = store::get(conn, tenant.id)?;
            if_match.check(one.rev())?;
            let version = again.catalogue.version_in(conn, one.version)?;
            let rules = rules(&again, &one.time_zone)?;
            let scene = Scene { app: &again, one, version, rules, now, own: subject.own };
            let moved = decide(conn, &scene)?;
            let applied = apply_in(conn, &again, &caller, now, &scene.one, moved)?;
            let version = again.catalogue.version_in(conn, applied.one.version)?;
            let view = SubscriptionView::of(applied.one.clone(), &version, &scene.rules)?;
            Ok((applied, view))
        })
        .await?;
    applied.carried_out(app).await;
    Ok(view)
}
