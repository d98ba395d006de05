//! The verify call's side of quotas: purses from which a process spends without asking the store.
//!
//! Of a hard quota a process is lent a slice, which counts as used from then on: a thousand at most, and one
//! sixty-fourth of what remains. It spends the slice in memory, is lent another before that one is empty, and gives
//! back what it does not need for a second, when the window ends, and when it stops. So what processes hold and do
//! not use is refused to others for a moment, and what a process held that was killed is lost until the window
//! ends; more than the quota is never spent.
//!
//! A soft quota, or none, refuses nobody. What is spent is counted twice a second.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::model::{Bound, Quota, bounds, quota_of};
use super::till::Ask;
use crate::app::App;
use crate::catalog::Catalogue;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::purse::{Grip, Purse, Spent};
use crate::placement::router::Resident;
use crate::subscriptions::overrides::Resolved;

/// How often purses are looked at.
const TICK: Duration = Duration::from_millis(500);
/// A purse from which nothing was spent at so many looks is idle: for a second.
const STILL: u8 = 2;
/// Usage is told of what was spent of a slice after so many looks more: every five seconds.
const TOLD: u8 = 9;
/// The longest that a purse is spent from without asking what its tenant is granted.
const LONGEST: Duration = Duration::from_secs(60);

/// What a purse was filled by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A slice of a hard quota.
    Lent,
    /// It is open, and what is spent is counted.
    Counted,
    /// It is open, and nobody counts.
    Free,
}

impl Kind {
    pub(super) fn of(bounds: &[Bound]) -> Self {
        if bounds.is_empty() {
            Self::Free
        } else if bounds.iter().any(|bound| bound.quota.hard) {
            Self::Lent
        } else {
            Self::Counted
        }
    }
}

/// A purse that was filled.
#[derive(Debug)]
pub(super) struct Loan {
    pub(super) purse: Arc<Purse>,
    pub(super) of: Arc<[Bound]>,
    pub(super) kind: Kind,
    /// When its window ends, or what is granted changes.
    pub(super) ends: Ts,
    /// What was put into it and usage does not tell of yet; what is missing from that was spent.
    pub(super) given: i64,
    /// What was left at the last look, and for how many looks.
    pub(super) seen: i64,
    pub(super) still: u8,
    /// Looks since usage was told.
    pub(super) looks: u8,
}

impl Loan {
    /// Whether it is time to settle it at `now`, and if so, to close it.
    fn due(&mut self, now: Ts) -> Option<bool> {
        let left = self.purse.left();
        self.still = if left == self.seen { self.still.saturating_add(1) } else { 0 };
        self.seen = left;
        if self.ends <= now || !self.purse.in_use() {
            return Some(true);
        }
        match self.kind {
            Kind::Lent if self.still >= STILL => Some(true),
            Kind::Lent => {
                self.looks = if self.looks >= TOLD { 0 } else { self.looks.saturating_add(1) };
                (self.looks == 0 && self.given > left).then_some(false)
            }
            Kind::Counted => (Purse::spent_of(left) > 0).then_some(false),
            Kind::Free => None,
        }
    }
}

/// A purse to fill.
pub(super) struct Borrowing {
    pub(super) tenant: TenantId,
    pub(super) grip: Grip,
    pub(super) of: Arc<[Bound]>,
    /// Until when it may be spent from, and when it has to be settled.
    pub(super) until: Ts,
    pub(super) ends: Ts,
    /// What whoever waits wants to spend.
    pub(super) cost: i64,
    pub(super) reply: Option<oneshot::Sender<Result<bool>>>,
}

/// The quotas that a tenant has on a meter at `now`.
#[must_use]
pub fn quotas_of(resident: &Resident, catalogue: &Catalogue, meter: &str, now: Ts) -> Vec<Quota> {
    let granted = resident.grants(catalogue).all(now).into_iter();
    let on_meter = |(key, resolved): (&str, Resolved<'_>)| match resolved {
        Resolved::Granted(feature, _) => {
            quota_of(key, feature).filter(|(of, _)| *of == meter).map(|(_, quota)| quota)
        }
        Resolved::Revoked | Resolved::Absent => None,
    };
    granted.filter_map(on_meter).collect()
}

/// What a tenant's quotas on `meter` are held against at `now`.
#[must_use]
pub fn bounds_of(app: &App, resident: &Resident, meter: &str, now: Ts) -> Arc<[Bound]> {
    let quotas = quotas_of(resident, &app.catalogue.current(), meter, now);
    bounds(resident.id, &meter.into(), &quotas, now)
}

/// Spends `cost` of the quota that the verify call takes from: whether it may. From memory, but for the first of a
/// slice. A cost of 0 asks nothing.
///
/// # Errors
/// The store's, when it has to be asked.
pub async fn spend(app: &App, resident: &Resident, cost: u32, now: Ts) -> Result<bool> {
    let Some(grip) = &resident.purse else { return Ok(true) };
    if cost == 0 {
        return Ok(true);
    }
    match grip.purse.spend(cost, now) {
        Spent::Yes { low } => {
            if low {
                // Should nobody take it, the next one who finds the purse empty asks again.
                drop(app.till.asks.send(Ask::Borrow(borrowing(app, resident, grip, 0, None, now))));
            }
            Ok(true)
        }
        Spent::Dry => Ok(false),
        Spent::Ask => Box::pin(ask(app, resident, grip, cost, now)).await,
    }
}

async fn ask(app: &App, resident: &Resident, grip: &Grip, cost: u32, now: Ts) -> Result<bool> {
    let stopped =
        || Error::unavailable("stopping", "the server is stopping; retry on another one", "the till");
    let (reply, answer) = oneshot::channel();
    let asked = borrowing(app, resident, grip, i64::from(cost), Some(reply), now);
    app.till.asks.send(Ask::Borrow(asked)).map_err(|_| stopped())?;
    answer.await.map_err(|_| stopped())?
}

fn borrowing(
    app: &App,
    resident: &Resident,
    grip: &Grip,
    cost: i64,
    reply: Option<oneshot::Sender<Result<bool>>>,
    now: Ts,
) -> Borrowing {
    let of = bounds_of(app, resident, &app.settings.keys.verify_meter, now);
    let windows = of.iter().map(|bound| bound.counter.window.end());
    let change = resident.grants(&app.catalogue.current()).next_change(now);
    let longest = now.plus(LONGEST);
    let ends = windows.chain(change).min().unwrap_or(longest);
    Borrowing { tenant: resident.id, grip: grip.clone(), of, until: ends.min(longest), ends, cost, reply }
}

/// Looks after purses, and after what memory knows of counters, until the process stops.
pub async fn keep(app: App) {
    while app.stopping.run_until_cancelled(tokio::time::sleep(TICK)).await.is_some() {
        let now = app.clock.now();
        let due: Vec<(TenantId, bool)> = {
            let mut loans = app.till.loans.lock();
            loans.iter_mut().filter_map(|(tenant, loan)| Some((*tenant, loan.due(now)?))).collect()
        };
        for (tenant, close) in due {
            drop(app.till.asks.send(Ask::Settle { tenant, close }));
        }
        if let Err(error) = app.till.gauge.refresh(&app.db).await {
            tracing::debug!(error = %error, "counters could not be read again");
        }
    }
}
