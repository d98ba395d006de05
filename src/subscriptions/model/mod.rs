//! The subscription and the moves its life allows. No I/O, and no clock: the present is an argument.

pub mod bill;
pub mod dunning;
pub mod life;
pub mod moves;
pub mod period;

use jiff::tz::TimeZone;

use crate::catalog::PlanVersion;
use crate::config::settings::Dunning;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{PlanVersionId, SubscriptionId, TenantId};
use crate::kernel::isolation::Isolation;
use crate::words;

words! {
    /// Where a subscription stands.
    Standing as "SubscriptionState", "state" {
        /// Before the first charge.
        Trialing = "trialing",
        /// In use; an invoice may be open.
        Active = "active",
        /// An invoice is overdue: people were told.
        PastDue = "past_due",
        /// Overdue for longer: data can be read, not written.
        Restricted = "restricted",
        /// Overdue for longer still: the tenant is stopped.
        Suspended = "suspended",
        /// Put to rest by an operator.
        Paused = "paused",
        /// Ended.
        Canceled = "canceled",
    }
}

/// What time is measured by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// By whose calendar.
    pub zone: TimeZone,
    /// The ladder of what is unpaid.
    pub ladder: Dunning,
}

/// A tenant on an edition of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The edition that was bought.
    pub version: PlanVersionId,
    /// Where it stands.
    pub state: Standing,
    /// By whose calendar its periods count.
    pub time_zone: String,
    /// From when its periods count.
    pub anchor_at: Ts,
    /// How many intervals the present period ends after the anchor.
    pub periods: i32,
    /// When the present period began.
    pub period_start: Ts,
    /// When it ends.
    pub period_end: Ts,
    /// When its trial ends, or ended.
    pub trial_ends_at: Option<Ts>,
    /// When it will be canceled.
    pub cancel_at: Option<Ts>,
    /// When it was canceled.
    pub canceled_at: Option<Ts>,
    /// Since when it is paused.
    pub paused_at: Option<Ts>,
    /// The plan from the next period on.
    pub pending_plan: Option<String>,
    /// Since when something is unpaid.
    pub unpaid_since: Option<Ts>,
    /// The isolation model that its plan asks for and its tenant has not.
    pub wanted_isolation: Option<Isolation>,
    /// When something is due next.
    pub next_at: Option<Ts>,
    /// When it was made.
    pub created_at: Ts,
    /// When it last changed.
    pub updated_at: Ts,
    pub(crate) rev: i64,
}

impl Subscription {
    /// A new one: with a trial when its plan has one, else with its first period.
    ///
    /// # Errors
    /// As [`period::nth`].
    pub fn begin(
        tenant: TenantId,
        version: &PlanVersion,
        time_zone: &str,
        zone: &TimeZone,
        now: Ts,
    ) -> Result<Self> {
        let plan = &version.plan;
        let trial_ends_at = match plan.trial_days {
            0 => None,
            days => Some(period::days(now, zone, days)?),
        };
        let period_end = match trial_ends_at {
            Some(end) => end,
            None => period::nth(now, zone, plan.interval, 1)?,
        };
        Ok(Self {
            id: SubscriptionId::mint(),
            tenant,
            version: version.id,
            state: if trial_ends_at.is_some() { Standing::Trialing } else { Standing::Active },
            time_zone: time_zone.to_owned(),
            // Periods count from the end of the trial.
            anchor_at: trial_ends_at.unwrap_or(now),
            periods: i32::from(trial_ends_at.is_none()),
            period_start: now,
            period_end,
            trial_ends_at,
            cancel_at: None,
            canceled_at: None,
            paused_at: None,
            pending_plan: None,
            unpaid_since: None,
            wanted_isolation: None,
            next_at: Some(period_end),
            created_at: now,
            updated_at: now,
            rev: 1,
        })
    }

    /// The revision that its ETag shows.
    #[must_use]
    pub fn rev(&self) -> i64 {
        self.rev
    }
}

#[cfg(test)]
mod tests;
