//! A subscription's life against a slow model of it that lives from day to day.

use proptest::prelude::*;

use super::{DAY, FIRST, at, months_after, plan, plans, rules};
use crate::catalog::{Interval, PlanVersion};
use crate::kernel::clock::Ts;
use crate::kernel::id::TenantId;
use crate::subscriptions::model::bill::{self, share};
use crate::subscriptions::model::life::{Editions, Moved};
use crate::subscriptions::model::moves::is_upgrade;
use crate::subscriptions::model::{Rules, Standing, Subscription};

const LADDER: [(Standing, i64); 4] =
    [(Standing::PastDue, 5), (Standing::Restricted, 9), (Standing::Suspended, 20), (Standing::Canceled, 50)];

fn day(at: Ts) -> i64 {
    at.micros().div_euclid(DAY)
}

/// What happens on one day.
#[derive(Debug, Clone)]
enum Deed {
    Wait(i64),
    ChangeNow(usize),
    ChangeLater(usize),
    CancelNow,
    CancelAtEnd,
    Resume,
    Pause,
    Unpause,
    Pay,
    Extend(i64),
    Zone,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (1i64..70).prop_map(Deed::Wait),
        2 => (0usize..4).prop_map(Deed::ChangeNow),
        2 => (0usize..4).prop_map(Deed::ChangeLater),
        1 => Just(Deed::CancelNow),
        1 => Just(Deed::CancelAtEnd),
        2 => Just(Deed::Resume),
        1 => Just(Deed::Pause),
        1 => Just(Deed::Unpause),
        4 => Just(Deed::Pay),
        1 => (1i64..20).prop_map(Deed::Extend),
        1 => Just(Deed::Zone),
    ]
}

/// Lives from day to day.
#[derive(Debug, Clone)]
struct Slow {
    today: i64,
    state: Standing,
    plan: usize,
    /// From where months count, and how many have passed.
    anchor: i64,
    passed: i64,
    start: i64,
    end: i64,
    cancel: bool,
    pending: Option<usize>,
    unpaid: Option<i64>,
    paused: Option<i64>,
    /// All that was ever charged.
    charged: i64,
}

struct Tag {
    price: u64,
    months: i64,
    trial: i64,
}

const TAGS: [Tag; 4] = [
    Tag { price: 0, months: 1, trial: 0 },
    Tag { price: 1_000, months: 1, trial: 14 },
    Tag { price: 3_333, months: 1, trial: 0 },
    Tag { price: 29_999, months: 12, trial: 30 },
];

impl Slow {
    fn begin(plan: usize, today: i64) -> Self {
        let trial = TAGS[plan].trial;
        let mut one = Self {
            today,
            state: Standing::Trialing,
            plan,
            anchor: today + trial,
            passed: 0,
            start: today,
            end: today + trial,
            cancel: false,
            pending: None,
            unpaid: None,
            paused: None,
            charged: 0,
        };
        if trial == 0 {
            one.afresh(plan, 0);
        }
        one
    }

    fn charge(&mut self, amount: i64) {
        self.charged += amount;
        if amount > 0 && self.unpaid.is_none() {
            self.unpaid = Some(self.today);
        }
    }

    fn afresh(&mut self, plan: usize, given_back: i64) {
        self.plan = plan;
        self.state = Standing::Active;
        (self.anchor, self.passed, self.start) = (self.today, 1, self.today);
        self.end = months_after(self.anchor, TAGS[plan].months);
        self.charge(i64::try_from(TAGS[plan].price).unwrap() - given_back);
    }

    fn rank(&self) -> usize {
        LADDER.iter().position(|(state, _)| *state == self.state).map_or(0, |rung| rung + 1)
    }

    fn unused(&self, price: u64) -> i64 {
        share(price, self.end - self.today, self.end - self.start).unwrap()
    }

    /// On another plan: other months count from the end of the period.
    fn switch(&mut self, plan: usize) {
        if TAGS[plan].months != TAGS[self.plan].months {
            (self.anchor, self.passed) = (self.end, 0);
        }
        self.plan = plan;
    }

    fn end_now(&mut self) {
        self.state = Standing::Canceled;
        (self.cancel, self.pending, self.paused) = (false, None, None);
    }

    fn next_day(&mut self) {
        self.today += 1;
        loop {
            let over = self.end <= self.today;
            match self.state {
                Standing::Canceled | Standing::Paused => return,
                Standing::Suspended => {}
                _ if over && self.cancel => {
                    self.end_now();
                    return;
                }
                _ => {}
            }
            let climbed = LADDER[self.rank()..]
                .iter()
                .find(|_| true)
                .filter(|(_, days)| self.unpaid.is_some_and(|since| since + days <= self.today));
            if let Some((state, _)) = climbed {
                match state {
                    Standing::Canceled => self.end_now(),
                    Standing::Suspended => {
                        (self.state, self.cancel, self.pending) = (*state, false, None);
                    }
                    _ => self.state = *state,
                }
            } else if over && self.state != Standing::Suspended {
                if self.state == Standing::Trialing {
                    self.state = Standing::Active;
                }
                if let Some(plan) = self.pending.take() {
                    self.switch(plan);
                }
                self.start = self.end;
                self.passed += 1;
                self.end = months_after(self.anchor, TAGS[self.plan].months * self.passed);
                self.charge(i64::try_from(TAGS[self.plan].price).unwrap());
            } else {
                return;
            }
        }
    }

    /// Whether it was allowed.
    fn act(&mut self, deed: &Deed) -> bool {
        match *deed {
            Deed::Wait(days) => (0..days).for_each(|_| self.next_day()),
            Deed::ChangeNow(plan) => {
                match self.state {
                    Standing::Trialing if plan != self.plan => self.switch(plan),
                    Standing::Canceled if self.unpaid.is_none() => self.afresh(plan, 0),
                    Standing::Active if plan != self.plan => {
                        let (old, new) = (TAGS[self.plan].price, TAGS[plan].price);
                        if old == 0 || TAGS[plan].months != TAGS[self.plan].months {
                            self.afresh(plan, self.unused(old));
                        } else {
                            self.charge(self.unused(new) - self.unused(old));
                            self.plan = plan;
                        }
                    }
                    _ => return false,
                }
                (self.cancel, self.pending) = (false, None);
            }
            Deed::ChangeLater(plan) => {
                if !matches!(self.state, Standing::Active | Standing::PastDue | Standing::Restricted) {
                    return false;
                }
                if plan == self.plan {
                    return self.pending.take().is_some();
                }
                (self.pending, self.cancel) = (Some(plan), false);
            }
            Deed::CancelNow if self.state != Standing::Canceled => self.end_now(),
            Deed::CancelAtEnd => {
                if matches!(self.state, Standing::Canceled | Standing::Suspended | Standing::Paused) {
                    return false;
                }
                (self.cancel, self.pending) = (true, None);
            }
            Deed::Resume if self.cancel => self.cancel = false,
            Deed::Resume if self.state == Standing::Canceled && self.unpaid.is_none() => {
                self.afresh(self.plan, 0);
            }
            Deed::Pause if self.state == Standing::Active && self.unpaid.is_none() && !self.cancel => {
                (self.state, self.paused) = (Standing::Paused, Some(self.today));
            }
            Deed::Unpause => {
                let Some(since) = self.paused.take() else { return false };
                self.state = Standing::Active;
                self.start += self.today - since;
                self.end += self.today - since;
                (self.anchor, self.passed) = (self.end, 0);
            }
            Deed::Pay => {
                if self.unpaid.take().is_none() {
                    return false;
                }
                let was = self.state;
                if self.rank() > 0 && was != Standing::Canceled {
                    self.state = Standing::Active;
                    if was == Standing::Suspended && self.end <= self.today {
                        self.afresh(self.plan, 0);
                    }
                }
            }
            Deed::Zone if self.state != Standing::Canceled => (self.anchor, self.passed) = (self.end, 0),
            Deed::Extend(days) if self.state == Standing::Trialing => {
                self.end = self.today + days;
                (self.anchor, self.passed) = (self.end, 0);
            }
            _ => return false,
        }
        true
    }
}

/// The rules, driven as the product drives them.
struct Quick {
    one: Subscription,
    plans: Vec<PlanVersion>,
    rules: Rules,
    today: i64,
    charged: i64,
    steps: usize,
}

impl Quick {
    fn begin(plan: usize, today: i64) -> Self {
        let (plans, rules) = (plans(), rules());
        let one = Subscription::begin(TenantId::mint(), &plans[plan], "UTC", &rules.zone, at(today)).unwrap();
        let bill =
            (one.state == Standing::Active).then(|| bill::of_period(&one, &plans[plan]).unwrap()).flatten();
        let mut quick = Self { one: one.clone(), plans, rules, today, charged: 0, steps: 0 };
        quick.take(Moved { one, facts: Vec::new(), bill });
        quick
    }

    fn on(&self) -> PlanVersion {
        self.plans.iter().find(|plan| plan.id == self.one.version).unwrap().clone()
    }

    fn take(&mut self, moved: Moved) {
        self.one = moved.one;
        if let Some(bill) = moved.bill {
            self.charged += bill.total();
            if bill.total() > 0 {
                let since = self.one.unpaid_since.unwrap_or(at(self.today));
                self.one = self.one.clone().owe(Some(since), &self.rules, at(self.today)).unwrap();
            }
        }
        assert_eq!(self.one.next_at, self.one.due(&self.rules).unwrap(), "what is due is written down");
    }

    /// As the clock of a test passes: from one moment at which something is due to the next.
    fn wait(&mut self, days: i64) {
        let until = self.today + days;
        while let Some(next) = self.one.next_at.filter(|next| *next <= at(until)) {
            self.today = self.today.max(day(next));
            let version = self.on();
            let pending = self.one.pending_plan.as_ref();
            let pending =
                pending.and_then(|key| self.plans.iter().find(|plan| plan.plan.key == *key)).cloned();
            let editions = Editions { now: &version, pending: pending.as_ref() };
            let moved = self.one.clone().advance(editions, &self.rules, at(self.today)).unwrap();
            self.take(moved.expect("what is due is done"));
            self.steps += 1;
        }
        self.today = until;
    }

    fn act(&mut self, deed: &Deed) -> bool {
        let (one, now, version) = (self.one.clone(), at(self.today), self.on());
        let rules = self.rules.clone();
        let moved = match *deed {
            Deed::Wait(days) => {
                self.wait(days);
                return true;
            }
            Deed::ChangeNow(plan) => one.change_now(&version, &self.plans[plan], &rules, now),
            Deed::ChangeLater(plan) => one.change_later(&version, &self.plans[plan], &rules, now),
            Deed::CancelNow => one.cancel(false, &rules, now),
            Deed::CancelAtEnd => one.cancel(true, &rules, now),
            Deed::Resume => one.resume(Some(&version), &rules, now),
            Deed::Pause => one.pause(&rules, now),
            Deed::Unpause => one.unpause(&rules, now),
            Deed::Pay => match one.paid(None, &version, &rules, now).unwrap() {
                Some(moved) => Ok(moved),
                None => return false,
            },
            Deed::Zone => one.in_zone("UTC", &rules, now),
            Deed::Extend(days) => one.extend_trial(at(self.today + days), &rules, now),
        };
        moved.map(|moved| self.take(moved)).is_ok()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_is_asked_it_lives_as_the_slow_model_does(
        plan in 0usize..4,
        first in 0i64..1_500,
        deeds in prop::collection::vec(deed(), 1..40),
    ) {
        let (mut slow, mut quick) = (Slow::begin(plan, FIRST + first), Quick::begin(plan, FIRST + first));
        for deed in deeds {
            prop_assert_eq!(slow.act(&deed), quick.act(&deed), "{:?} on {:?}", deed, quick.one);
            let one = &quick.one;
            prop_assert_eq!(slow.state, one.state, "after {:?}", deed);
            prop_assert_eq!(TAGS[slow.plan].price, quick.on().plan.price);
            prop_assert_eq!((at(slow.start), at(slow.end)), (one.period_start, one.period_end), "after {:?}", deed);
            prop_assert_eq!(slow.cancel, one.cancel_at.is_some());
            prop_assert_eq!(slow.unpaid.map(at), one.unpaid_since, "after {:?}", deed);
            prop_assert_eq!(slow.charged, quick.charged, "after {:?}", deed);
            let pending = slow.pending.map(|plan| quick.plans[plan].plan.key.clone());
            prop_assert_eq!(pending.as_ref(), one.pending_plan.as_ref());
            prop_assert!(one.cancel_at.is_none_or(|at| at == one.period_end));
            prop_assert!(one.period_start < one.period_end);
            prop_assert_eq!(one.state == Standing::Canceled, one.canceled_at.is_some());
            prop_assert_eq!(one.state == Standing::Paused, one.paused_at.is_some());
        }
    }

    #[test]
    fn when_it_looks_does_not_matter(plan in 0usize..4, first in 0i64..1_500, days in 1i64..800) {
        let (mut once, mut daily) = (Quick::begin(plan, FIRST + first), Quick::begin(plan, FIRST + first));
        once.wait(days);
        (0..days).for_each(|_| daily.wait(1));
        let same = |mut one: Subscription| { one.id = once.one.id; one.tenant = once.one.tenant; one.version = once.one.version; one };
        prop_assert_eq!(same(daily.one), once.one.clone());
        prop_assert_eq!((daily.charged, daily.steps), (once.charged, once.steps));
    }

    #[test]
    fn of_two_plans_one_is_an_upgrade(a in 0u64..100_000, b in 0u64..100_000, yearly: bool) {
        let interval = if yearly { Interval::Year } else { Interval::Month };
        let (a, b) = (plan("a", a, interval, 0), plan("b", b, Interval::Month, 0));
        prop_assert!(is_upgrade(&a.plan, &b.plan) || is_upgrade(&b.plan, &a.plan));
    }
}
