//! What becomes of a subscription by itself: the end of a trial, the next period, the rungs of what is unpaid,
//! a cancellation that was scheduled. One step at a time, each at its own moment.

use super::bill::{self, Bill};
use super::{Rules, Standing, Subscription, dunning, period};
use crate::catalog::{Interval, PlanVersion};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;

/// What a move made of a subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    /// The subscription after it.
    pub one: Subscription,
    /// What happened, in the words of events.
    pub facts: Vec<&'static str>,
    /// What is due at once.
    pub bill: Option<Bill>,
}

/// What a subscription is on, and what it will be on when its plan changes with the period.
#[derive(Debug, Clone, Copy)]
pub struct Editions<'a> {
    /// Now.
    pub now: &'a PlanVersion,
    /// The newest edition of the plan that is to come.
    pub pending: Option<&'a PlanVersion>,
}

impl Subscription {
    /// When something is due next.
    ///
    /// # Errors
    /// As [`period::days`].
    pub fn due(&self, rules: &Rules) -> Result<Option<Ts>> {
        let rung = dunning::next(self, rules)?.map(|(_, at)| at);
        Ok(match self.state {
            Standing::Canceled | Standing::Paused => None,
            Standing::Suspended => rung,
            Standing::Trialing => self.trial_ends_at,
            Standing::Active | Standing::PastDue | Standing::Restricted => {
                [Some(self.period_end), self.cancel_at, rung].into_iter().flatten().min()
            }
        })
    }

    /// The same, with what is due next written down.
    pub(super) fn armed(mut self, rules: &Rules, now: Ts) -> Result<Self> {
        self.next_at = self.due(rules)?;
        self.updated_at = now;
        Ok(self)
    }

    /// The next thing that is due by `now`, done; `None` when nothing is.
    ///
    /// # Errors
    /// As [`period::nth`] and [`bill::share`].
    pub fn advance(self, editions: Editions<'_>, rules: &Rules, now: Ts) -> Result<Option<Moved>> {
        let Some(at) = self.due(rules)?.filter(|at| *at <= now) else { return Ok(None) };
        let rung = dunning::next(&self, rules)?.filter(|(_, climbed)| *climbed == at);
        let moved = if self.cancel_at.is_some_and(|cancel| cancel <= at) {
            Moved { one: self.ended(now), facts: vec!["subscription.canceled"], bill: None }
        } else if self.state == Standing::Trialing {
            self.next_period(editions, rules, "subscription.trial_ended")?
        } else if let Some((state, _)) = rung {
            self.climb(state, now)
        } else {
            self.next_period(editions, rules, "subscription.renewed")?
        };
        Ok(Some(Moved { one: moved.one.armed(rules, now)?, ..moved }))
    }

    /// Ended, with what was unpaid still unpaid.
    pub(super) fn ended(mut self, now: Ts) -> Self {
        self.state = Standing::Canceled;
        self.canceled_at = Some(now);
        self.cancel_at = None;
        self.paused_at = None;
        self.pending_plan = None;
        self
    }

    fn climb(mut self, to: Standing, now: Ts) -> Moved {
        let fact = match to {
            Standing::Canceled => {
                return Moved { one: self.ended(now), facts: vec!["subscription.canceled"], bill: None };
            }
            Standing::Suspended => {
                // Nothing goes on from here but payment or the end.
                self.cancel_at = None;
                self.pending_plan = None;
                "subscription.suspended"
            }
            Standing::Restricted => "subscription.restricted",
            _ => "subscription.past_due",
        };
        self.state = to;
        Moved { one: self, facts: vec![fact], bill: None }
    }

    fn next_period(mut self, editions: Editions<'_>, rules: &Rules, fact: &'static str) -> Result<Moved> {
        let mut facts = vec![fact];
        if self.state == Standing::Trialing {
            self.state = Standing::Active;
        }
        let version = match (self.pending_plan.take(), editions.pending) {
            (Some(_), Some(pending)) => {
                self.switch(pending, editions.now.plan.interval);
                facts.push("subscription.changed");
                pending
            }
            _ => editions.now,
        };
        self.period_start = self.period_end;
        self.periods += 1;
        self.period_end = period::nth(self.anchor_at, &rules.zone, version.plan.interval, self.periods)?;
        let bill = bill::of_period(&self, version)?;
        Ok(Moved { one: self, facts, bill })
    }

    /// On another edition from the next period on. Intervals of another length count from there.
    pub(super) fn switch(&mut self, to: &PlanVersion, interval: Interval) {
        self.version = to.id;
        if to.plan.interval != interval {
            self.anchor_at = self.period_end;
            self.periods = 0;
        }
    }

    /// A first period that begins now.
    pub(super) fn afresh(&mut self, version: &PlanVersion, rules: &Rules, now: Ts) -> Result<()> {
        self.version = version.id;
        self.state = Standing::Active;
        self.anchor_at = now;
        self.periods = 1;
        self.period_start = now;
        self.period_end = period::nth(now, &rules.zone, version.plan.interval, 1)?;
        Ok(())
    }

    /// An invoice was opened: since when one is open and unpaid.
    ///
    /// # Errors
    /// As [`period::days`].
    pub fn owe(mut self, open_since: Option<Ts>, rules: &Rules, now: Ts) -> Result<Self> {
        self.unpaid_since = open_since;
        self.armed(rules, now)
    }
}
