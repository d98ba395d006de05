//! What becomes of those who ask something of counters, one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Bound, crossed, slice};
use crate::kernel::clock::Ts;
use crate::kernel::id::TenantId;
use crate::metering::quota::Counter;

/// Something asked of the counters of one tenant's meter: all of them, since what is used counts in each.
#[derive(Debug, Clone)]
pub struct Deed {
    /// Which; the first is the one that is asked about.
    pub of: Arc<[Bound]>,
    /// What.
    pub act: Act,
    /// What the verify call spent of the meter and usage does not tell of yet, under a name that nothing else has. A
    /// take tells of itself.
    pub spent: Option<(Arc<str>, i64)>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub enum Act {
    /// Take `amount`, once by this key.
    Take {
        /// How much; at least 1.
        amount: i64,
        /// The caller's name for it.
        key: Arc<str>,
    },
    /// Lend for the verify call: so much for those who wait, and some more.
    Lend(i64),
    /// Give back what was lent and not spent.
    Back(i64),
    /// Count what was used already, whatever the limits.
    Count(i64),
}

/// What became of a take, as it is kept for whoever asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether it was taken.
    pub taken: bool,
    /// The limit that held.
    pub limit: i64,
    /// What is used, this included when it was taken.
    pub used: i64,
    /// What all hard quotas of the meter leave; of a soft one alone what is left below its limit.
    pub remaining: i64,
    /// When the window ends.
    pub resets_at: Ts,
}

/// What became of a [`Deed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Of a take: what is answered, and whether it had been asked before.
    Took(Outcome, bool),
    /// The key was used for something else.
    KeyReused,
    /// So much was lent.
    Lent(i64),
    /// It was counted or given back; so far is the use of the soft quotas beyond their limit, negative below.
    Counted(i64),
}

/// A take by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The feature.
    pub feature: Arc<str>,
    /// How much.
    pub amount: i64,
    /// What is answered.
    pub outcome: Outcome,
}

/// A threshold that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// What bounds what.
    pub bound: Bound,
    /// Which, in per cent.
    pub percent: u16,
    /// What was used then.
    pub used: i64,
}

/// The present state of all counters that some deeds are about, and of the keys they bear. Whoever made it holds
/// the counters, so that what is decided here is so when it is written.
#[derive(Debug, Default)]
pub struct Sheet {
    /// What is used.
    pub used: BTreeMap<Counter, i64>,
    /// Takes of before, by tenant and key; and those that are decided here.
    pub kept: BTreeMap<(TenantId, Arc<str>), Kept>,
    /// Those of `kept` that are new.
    pub fresh: Vec<(TenantId, Arc<str>)>,
    /// Thresholds that were reached here.
    pub reached: Vec<Reached>,
}

impl Sheet {
    /// Decides one deed.
    pub fn decide(&mut self, deed: &Deed, thresholds: &[u16]) -> Done {
        match &deed.act {
            Act::Take { amount, key } => self.take(&deed.of, *amount, key, thresholds),
            Act::Lend(wanted) => {
                let lent = slice(self.remaining(&deed.of).unwrap_or(i64::MAX), *wanted);
                self.add(&deed.of, lent, thresholds);
                Done::Lent(lent)
            }
            Act::Back(amount) => {
                self.add(&deed.of, amount.saturating_neg(), &[]);
                Done::Counted(self.beyond(&deed.of))
            }
            Act::Count(amount) => {
                self.add(&deed.of, *amount, thresholds);
                Done::Counted(self.beyond(&deed.of))
            }
        }
    }

    fn take(&mut self, of: &[Bound], amount: i64, key: &Arc<str>, thresholds: &[u16]) -> Done {
        let Some(first) = of.first() else { return Done::KeyReused };
        let name = (first.counter.tenant, Arc::clone(key));
        if let Some(kept) = self.kept.get(&name) {
            let same = kept.amount == amount && kept.feature == first.quota.feature;
            return if same { Done::Took(kept.outcome, true) } else { Done::KeyReused };
        }
        let fits = self.remaining(of).is_none_or(|remaining| amount <= remaining);
        let fits = fits && of.iter().all(|bound| self.used(&bound.counter).checked_add(amount).is_some());
        if fits {
            self.add(of, amount, thresholds);
        }
        let (used, limit) = (self.used(&first.counter), first.quota.limit);
        let outcome = Outcome {
            taken: fits,
            limit,
            used,
            remaining: self.remaining(of).unwrap_or(limit.saturating_sub(used)).max(0),
            resets_at: first.counter.window.end(),
        };
        if fits {
            let kept = Kept { feature: Arc::clone(&first.quota.feature), amount, outcome };
            self.kept.insert(name.clone(), kept);
            self.fresh.push(name);
        }
        Done::Took(outcome, false)
    }

    fn used(&self, counter: &Counter) -> i64 {
        self.used.get(counter).copied().unwrap_or(0)
    }

    /// What the hard quotas leave; negative when they stand beyond. None when there is no hard one.
    fn remaining(&self, of: &[Bound]) -> Option<i64> {
        let hard = of.iter().filter(|bound| bound.quota.hard);
        hard.map(|bound| bound.quota.limit.saturating_sub(self.used(&bound.counter))).min()
    }

    fn beyond(&self, of: &[Bound]) -> i64 {
        let soft = of.iter().filter(|bound| !bound.quota.hard);
        let beyond = soft.map(|bound| self.used(&bound.counter).saturating_sub(bound.quota.limit)).max();
        beyond.unwrap_or(i64::MIN)
    }

    /// Adds to each counter once, however many quotas bound it.
    fn add(&mut self, of: &[Bound], amount: i64, thresholds: &[u16]) {
        if amount == 0 {
            return;
        }
        for (at, bound) in of.iter().enumerate() {
            let counter = &bound.counter;
            let first = of.iter().take(at).all(|other| other.counter != *counter);
            let before = if first { self.used(counter) } else { self.used(counter).saturating_sub(amount) };
            let after = before.saturating_add(amount).max(0);
            let reached = crossed(thresholds, bound.quota.limit, before, after);
            self.reached.extend(reached.map(|percent| Reached {
                bound: bound.clone(),
                percent,
                used: after,
            }));
            if first {
                self.used.insert(counter.clone(), after);
            }
        }
    }
}
