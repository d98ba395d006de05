//! What callers make of a subscription: change, cancel, resume, pause, pay. A move that its state does not
//! allow is a conflict that says why.

use super::life::Moved;
use super::{Rules, Standing, Subscription, bill, dunning};
use crate::catalog::{Interval, Plan, PlanVersion};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};

fn wrong_state(one: &Subscription, done: &str) -> Error {
    let detail = format!("the subscription is {}, so it cannot be {done}", one.state.word());
    Error::conflict("wrong_state", detail)
}

fn unpaid(done: &str) -> Error {
    Error::conflict(
        "unpaid",
        format!("an invoice is unpaid: pay it first, then the subscription can be {done}"),
    )
}

/// Whether the new plan costs as much as the old one or more, by time.
#[must_use]
pub fn is_upgrade(old: &Plan, new: &Plan) -> bool {
    let months = |plan: &Plan| match plan.interval {
        Interval::Month => 1u128,
        Interval::Year => 12,
    };
    u128::from(new.price) * months(old) >= u128::from(old.price) * months(new)
}

impl Subscription {
    /// Another plan, at once. Within a trial nothing is charged, and the trial goes on. With the same interval the
    /// period stays and the rest of it is settled; else, and from a plan that is free of charge, a period begins.
    ///
    /// # Errors
    /// [`Error::Conflict`] `same_plan`, `wrong_state`, `unpaid`, `currency_differs`.
    pub fn change_now(self, old: &PlanVersion, new: &PlanVersion, rules: &Rules, now: Ts) -> Result<Moved> {
        let mut one = self.clone();
        let mut facts = vec!["subscription.changed"];
        let bill = match self.state {
            Standing::PastDue | Standing::Restricted | Standing::Suspended => {
                return Err(unpaid("changed at once"));
            }
            Standing::Paused => return Err(wrong_state(&self, "changed")),
            Standing::Canceled => {
                self.settled("begun anew")?;
                one.canceled_at = None;
                one.afresh(new, rules, now)?;
                facts = vec!["subscription.resumed", "subscription.changed"];
                bill::of_period(&one, new)?
            }
            Standing::Trialing => {
                self.another(old, new)?;
                one.switch(new, old.plan.interval);
                None
            }
            Standing::Active => {
                self.another(old, new)?;
                self.same_money(&old.plan, &new.plan)?;
                if old.plan.price == 0 || old.plan.interval != new.plan.interval {
                    one.afresh(new, rules, now)?;
                    bill::of_new_period(&one, &self, &old.plan, new, now)?
                } else {
                    one.version = new.id;
                    bill::of_change(&one, &old.plan, &new.plan, now)?
                }
            }
        };
        one.pending_plan = None;
        one.cancel_at = None;
        Ok(Moved { one: one.armed(rules, now)?, facts, bill })
    }

    /// Another plan from the next period on; naming the present one takes that back.
    ///
    /// # Errors
    /// [`Error::Conflict`] `same_plan`, `wrong_state`.
    pub fn change_later(
        mut self,
        old: &PlanVersion,
        new: &PlanVersion,
        rules: &Rules,
        now: Ts,
    ) -> Result<Moved> {
        if !matches!(self.state, Standing::Active | Standing::PastDue | Standing::Restricted) {
            return Err(wrong_state(&self, "changed with the period"));
        }
        if old.plan.key == new.plan.key && self.pending_plan.is_some() {
            self.pending_plan = None;
        } else {
            self.another(old, new)?;
            self.pending_plan = Some(new.plan.key.clone());
            self.cancel_at = None;
        }
        Ok(Moved { one: self.armed(rules, now)?, facts: vec!["subscription.change_scheduled"], bill: None })
    }

    fn another(&self, old: &PlanVersion, new: &PlanVersion) -> Result<()> {
        if old.id == new.id {
            let detail = format!("the subscription is on the plan `{}` already", new.plan.key);
            return Err(Error::conflict("same_plan", detail));
        }
        Ok(())
    }

    /// The unused rest of one plan cannot be settled with another that is sold in another currency.
    fn same_money(&self, old: &Plan, new: &Plan) -> Result<()> {
        let differs = matches!((&old.currency, &new.currency), (Some(old), Some(new)) if old != new);
        if differs && old.price > 0 {
            let detail = "the plans are sold in different currencies: change with the end of the period";
            return Err(Error::conflict("currency_differs", detail));
        }
        Ok(())
    }

    fn settled(&self, done: &str) -> Result<()> {
        if self.unpaid_since.is_some() { Err(unpaid(done)) } else { Ok(()) }
    }

    /// The newest edition of the plan that it is on, without a charge: what is granted changes now, what is
    /// charged with the next period. `None` when it is on that already.
    ///
    /// # Errors
    /// [`Error::Conflict`] `wrong_state` when it has ended.
    pub fn renew_edition(
        mut self,
        old: &PlanVersion,
        new: &PlanVersion,
        rules: &Rules,
        now: Ts,
    ) -> Result<Option<Moved>> {
        if self.state == Standing::Canceled {
            return Err(wrong_state(&self, "moved"));
        }
        if old.id == new.id {
            return Ok(None);
        }
        self.switch(new, old.plan.interval);
        Ok(Some(Moved { one: self.armed(rules, now)?, facts: vec!["subscription.changed"], bill: None }))
    }

    /// Ends it, now or when what was paid for is over.
    ///
    /// # Errors
    /// [`Error::Conflict`] `wrong_state`.
    pub fn cancel(mut self, at_period_end: bool, rules: &Rules, now: Ts) -> Result<Moved> {
        if self.state == Standing::Canceled {
            return Err(wrong_state(&self, "canceled"));
        }
        if !at_period_end {
            return Ok(Moved {
                one: self.ended(now).armed(rules, now)?,
                facts: vec!["subscription.canceled"],
                bill: None,
            });
        }
        if matches!(self.state, Standing::Suspended | Standing::Paused) {
            return Err(wrong_state(&self, "canceled with its period: cancel it now"));
        }
        self.cancel_at = Some(self.period_end);
        self.pending_plan = None;
        Ok(Moved { one: self.armed(rules, now)?, facts: vec!["subscription.cancel_scheduled"], bill: None })
    }

    /// Takes a scheduled cancellation back, or begins an ended one anew on `newest`, the edition in which its plan
    /// is sold.
    ///
    /// # Errors
    /// [`Error::Conflict`] `wrong_state`, `unpaid`, `plan_archived`.
    pub fn resume(mut self, newest: Option<&PlanVersion>, rules: &Rules, now: Ts) -> Result<Moved> {
        let facts = vec!["subscription.resumed"];
        if self.cancel_at.take().is_some() {
            return Ok(Moved { one: self.armed(rules, now)?, facts, bill: None });
        }
        if self.state != Standing::Canceled {
            return Err(wrong_state(&self, "resumed"));
        }
        self.settled("begun anew")?;
        let Some(newest) = newest else {
            let detail = "its plan is no longer sold: change to another";
            return Err(Error::conflict("plan_archived", detail));
        };
        self.canceled_at = None;
        self.afresh(newest, rules, now)?;
        let bill = bill::of_period(&self, newest)?;
        Ok(Moved { one: self.armed(rules, now)?, facts, bill })
    }

    /// Puts it to rest: time stands still for it.
    ///
    /// # Errors
    /// [`Error::Conflict`] `wrong_state`, `unpaid`.
    pub fn pause(mut self, rules: &Rules, now: Ts) -> Result<Moved> {
        if self.state != Standing::Active {
            return Err(wrong_state(&self, "paused"));
        }
        self.settled("paused")?;
        if self.cancel_at.is_some() {
            return Err(Error::conflict("wrong_state", "it is about to be canceled: resume it first"));
        }
        self.state = Standing::Paused;
        self.paused_at = Some(now);
        Ok(Moved { one: self.armed(rules, now)?, facts: vec!["subscription.paused"], bill: None })
    }

    /// Lets a paused one go on: its period is longer by the time it rested.
    ///
    /// # Errors
    /// [`Error::Conflict`] `wrong_state`.
    pub fn unpause(mut self, rules: &Rules, now: Ts) -> Result<Moved> {
        let Some(since) = self.paused_at.take() else { return Err(wrong_state(&self, "resumed")) };
        let rested = now.since(since);
        self.state = Standing::Active;
        self.period_start = self.period_start.plus(rested);
        self.period_end = self.period_end.plus(rested);
        self.anchor_at = self.period_end;
        self.periods = 0;
        Ok(Moved { one: self.armed(rules, now)?, facts: vec!["subscription.resumed"], bill: None })
    }

    /// Another end of its trial.
    ///
    /// # Errors
    /// [`Error::Conflict`] `wrong_state`; [`Error::Invalid`] for a moment that is past.
    pub fn extend_trial(mut self, until: Ts, rules: &Rules, now: Ts) -> Result<Moved> {
        if self.state != Standing::Trialing {
            return Err(wrong_state(&self, "given another end of its trial"));
        }
        if until <= now {
            return Err(Error::field("/until", "must be in the future"));
        }
        self.trial_ends_at = Some(until);
        self.period_end = until;
        self.anchor_at = until;
        self.periods = 0;
        if self.cancel_at.is_some() {
            self.cancel_at = Some(until);
        }
        Ok(Moved { one: self.armed(rules, now)?, facts: vec!["subscription.trial_extended"], bill: None })
    }

    /// By another calendar: the present period ends as it would have, and those after it count from there.
    ///
    /// # Errors
    /// [`Error::Conflict`] `wrong_state` when it has ended.
    pub fn in_zone(mut self, name: &str, rules: &Rules, now: Ts) -> Result<Moved> {
        if self.state == Standing::Canceled {
            return Err(wrong_state(&self, "given another time zone"));
        }
        name.clone_into(&mut self.time_zone);
        self.anchor_at = self.period_end;
        self.periods = 0;
        Ok(Moved { one: self.armed(rules, now)?, facts: vec!["subscription.updated"], bill: None })
    }

    /// Who collects tried, and could not: it is overdue from now on. `None` when it is no longer active, or nothing is
    /// unpaid.
    ///
    /// # Errors
    /// As [`super::period::days`].
    pub fn collection_failed(mut self, rules: &Rules, now: Ts) -> Result<Option<Moved>> {
        if self.state != Standing::Active || self.unpaid_since.is_none() {
            return Ok(None);
        }
        self.state = Standing::PastDue;
        Ok(Some(Moved { one: self.armed(rules, now)?, facts: vec!["subscription.past_due"], bill: None }))
    }

    /// Something was paid, or need not be: `unpaid_since` says what is left of it. What followed from it is
    /// cleared; a subscription that was suspended over the end of its period begins another, on `version`. `None`
    /// when nothing changes.
    ///
    /// # Errors
    /// As [`super::period::nth`] and [`bill::share`].
    pub fn paid(
        mut self,
        unpaid_since: Option<Ts>,
        version: &PlanVersion,
        rules: &Rules,
        now: Ts,
    ) -> Result<Option<Moved>> {
        if self.unpaid_since == unpaid_since || self.unpaid_since.is_none() {
            return Ok(None);
        }
        let before = self.state;
        self.unpaid_since = unpaid_since;
        let mut facts = Vec::new();
        let mut bill = None;
        if matches!(before, Standing::PastDue | Standing::Restricted | Standing::Suspended) {
            self.state = dunning::reached(&self, rules, now)?;
            if self.state != before {
                facts.push("subscription.recovered");
            }
            if before == Standing::Suspended && self.state != before && self.period_end <= now {
                let state = self.state;
                self.afresh(version, rules, now)?;
                self.state = state;
                bill = bill::of_period(&self, version)?;
                facts.push("subscription.renewed");
            }
        }
        Ok(Some(Moved { one: self.armed(rules, now)?, facts, bill }))
    }
}
