//! What a process may spend of a quota without asking anybody: units that it was given beforehand, in one number.
//! Spending is a compare-and-swap on that number: no lock, nothing to wait for. A purse that is empty, or whose
//! time is over, says so; whoever asked then goes to where it is filled.
//!
//! Where nothing bounds the spending (a soft quota, or none) the purse is *open*: it holds more than anybody can
//! spend, and what is missing from that is what was spent.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use uuid::Uuid;

use super::clock::Ts;

/// What an open purse is filled with.
const OPEN: i64 = i64::MAX / 2;
const SHARDS: usize = 16;
/// Purses of a shard below which it is not swept.
const FEW: usize = 1024;

/// What became of an attempt to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It is spent.
    Yes {
        /// Time to have the purse filled, before it is empty. Told to one of those who spend.
        low: bool,
    },
    /// It was asked not long ago, and there is not that much.
    Dry,
    /// The purse does not know: ask where it is filled.
    Ask,
}

/// Units in hand.
#[derive(Debug, Default)]
pub struct Purse {
    left: AtomicI64,
    /// Microseconds since 1970; what is in hand may be spent before this moment.
    until: AtomicI64,
    /// With so little left it is time to fill it.
    low: AtomicI64,
    told: AtomicBool,
    /// So much was refused, and is not worth asking for before `dry_until`.
    dry: AtomicI64,
    dry_until: AtomicI64,
    /// Counts how often what it was filled by may have changed.
    generation: AtomicU64,
    /// Of a soft quota, what is used beside what was spent from this purse since it was opened, less the limit.
    beyond: AtomicI64,
}

impl Purse {
    /// Spends `cost` at `now`, all of it or nothing.
    pub fn spend(&self, cost: u32, now: Ts) -> Spent {
        let (cost, now) = (i64::from(cost), now.micros());
        if now < self.until.load(Ordering::Acquire) {
            let mut left = self.left.load(Ordering::Relaxed);
            while left >= cost {
                match self.left.compare_exchange_weak(left, left - cost, Ordering::Relaxed, Ordering::Relaxed)
                {
                    Ok(_) => {
                        let low = left - cost < self.low.load(Ordering::Relaxed)
                            && !self.told.swap(true, Ordering::Relaxed);
                        return Spent::Yes { low };
                    }
                    Err(seen) => left = seen,
                }
            }
        }
        let dry = now < self.dry_until.load(Ordering::Relaxed) && cost >= self.dry.load(Ordering::Relaxed);
        if dry { Spent::Dry } else { Spent::Ask }
    }

    /// Gives it `units` more to spend before `until`, and asks to be told when a quarter of them is left.
    pub fn fill(&self, units: i64, until: Ts) {
        self.low.store(units / 4, Ordering::Relaxed);
        self.told.store(false, Ordering::Relaxed);
        self.beyond.store(i64::MIN, Ordering::Relaxed);
        self.dry_until.store(0, Ordering::Relaxed);
        self.left.fetch_add(units, Ordering::Relaxed);
        self.until.store(until.micros(), Ordering::Release);
    }

    /// Opens it until `until`; `beyond` is how far the use of a soft quota is beyond its limit, negative below.
    pub fn open(&self, until: Ts, beyond: Option<i64>) {
        self.low.store(i64::MIN, Ordering::Relaxed);
        self.beyond.store(beyond.unwrap_or(i64::MIN), Ordering::Relaxed);
        self.dry_until.store(0, Ordering::Relaxed);
        self.left.store(OPEN, Ordering::Relaxed);
        self.until.store(until.micros(), Ordering::Release);
    }

    /// What was spent from an open purse since this was last asked.
    pub fn take_spent(&self) -> i64 {
        // Never negative: an open purse is only spent from.
        OPEN - self.left.swap(OPEN, Ordering::Relaxed)
    }

    /// Notes how far the use of a soft quota is beyond its limit.
    pub fn note_beyond(&self, beyond: i64) {
        self.beyond.store(beyond, Ordering::Relaxed);
    }

    /// What is in hand, untouched.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Until when it may be spent from.
    #[must_use]
    pub fn until(&self) -> i64 {
        self.until.load(Ordering::Acquire)
    }

    /// From now on nothing is spent before somebody fills it: whatever it was filled by has changed.
    pub fn lapse(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.until.store(0, Ordering::Release);
        self.dry_until.store(0, Ordering::Relaxed);
    }

    /// Takes out all that is in hand. Who spends at this very moment has spent, or asks.
    pub fn empty(&self) -> i64 {
        self.until.store(0, Ordering::Release);
        self.left.swap(0, Ordering::Relaxed)
    }

    /// Spends from an open purse, whatever its time: it was said that it may be.
    pub fn force(&self, cost: i64) {
        self.left.fetch_sub(cost, Ordering::Relaxed);
    }

    /// What was spent from an open purse out of which this was taken.
    #[must_use]
    pub fn spent_of(out: i64) -> i64 {
        OPEN - out
    }

    /// Puts back what [`Purse::empty`] took out.
    pub fn put_back(&self, units: i64, until: i64) {
        self.left.fetch_add(units, Ordering::Relaxed);
        self.until.store(until, Ordering::Release);
    }

    /// Puts back what [`Purse::take_spent`] took: it is not accounted for yet.
    pub fn unspend(&self, spent: i64) {
        self.left.fetch_sub(spent, Ordering::Relaxed);
    }

    /// There was not `cost` to be had; nobody needs to ask for that much before `until`.
    pub fn dry(&self, cost: i64, until: Ts) {
        self.dry.store(cost, Ordering::Relaxed);
        self.dry_until.store(until.micros(), Ordering::Relaxed);
    }

    /// How far the use of a soft quota is beyond its limit; 0 below it, and for others.
    #[must_use]
    pub fn overage(&self) -> u64 {
        let beyond = self.beyond.load(Ordering::Relaxed);
        if beyond == i64::MIN || !self.in_use() {
            return 0;
        }
        let spent = OPEN - self.left.load(Ordering::Relaxed);
        u64::try_from(beyond.saturating_add(spent)).unwrap_or(0)
    }

    /// Whether something may be in it.
    #[must_use]
    pub fn in_use(&self) -> bool {
        self.until() != 0
    }
}

/// A purse in the hand of somebody who knows by what it may be filled.
#[derive(Debug, Clone)]
pub struct Grip {
    /// The purse.
    pub purse: Arc<Purse>,
    /// Which of the purse's changes they know of.
    pub generation: u64,
}

impl Grip {
    /// Lets the purse lapse again when there was a change that its holder, who has just filled it, did not know of.
    pub fn keep_up(&self) {
        if self.purse.generation.load(Ordering::Acquire) != self.generation {
            self.purse.lapse();
        }
    }
}

struct Shard {
    held: HashMap<Uuid, Arc<Purse>>,
    sweep_at: usize,
}

/// The purses of everything that spends, by id.
pub struct Purses {
    shards: [Mutex<Shard>; SHARDS],
}

impl Default for Purses {
    fn default() -> Self {
        let shard = || Mutex::new(Shard { held: HashMap::new(), sweep_at: FEW });
        Self { shards: std::array::from_fn(|_| shard()) }
    }
}

impl Purses {
    /// The purse of whatever bears this id, which is loaded anew: what it was filled by may have changed, so that it
    /// has to be asked before anything is spent.
    #[must_use]
    pub fn of(&self, id: Uuid) -> Grip {
        let at = id.as_bytes().last().map_or(0, |byte| usize::from(*byte) % SHARDS);
        let Some(shard) = self.shards.get(at) else { return Grip { purse: Arc::default(), generation: 0 } };
        let mut shard = shard.lock();
        let purse = Arc::clone(shard.held.entry(id).or_default());
        purse.lapse();
        let generation = purse.generation.load(Ordering::Acquire);
        if shard.held.len() >= shard.sweep_at {
            shard.held.retain(|_, purse| Arc::strong_count(purse) > 1);
            shard.sweep_at = FEW.max(shard.held.len().saturating_mul(2));
        }
        Grip { purse, generation }
    }

    /// How many are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().held.len()).sum()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Ts {
        Ts::from_micros(second * 1_000_000).unwrap()
    }

    #[test]
    fn a_purse_gives_what_is_in_it_until_its_time_is_over() {
        let purse = Purse::default();
        assert_eq!(purse.spend(1, at(1)), Spent::Ask, "an empty one knows nothing");
        purse.fill(8, at(10));
        assert_eq!(purse.spend(6, at(1)), Spent::Yes { low: false });
        assert_eq!(purse.spend(3, at(1)), Spent::Ask, "all or nothing");
        assert_eq!(purse.spend(1, at(1)), Spent::Yes { low: true });
        assert_eq!(purse.spend(1, at(1)), Spent::Yes { low: false }, "one is told, once");
        purse.fill(5, at(10));
        assert_eq!(purse.spend(1, at(10)), Spent::Ask, "its time is over");
        purse.fill(0, at(20));
        purse.lapse();
        assert_eq!((purse.spend(1, at(11)), purse.empty()), (Spent::Ask, 5));
    }

    #[test]
    fn what_was_refused_is_not_asked_for_again_at_once() {
        let purse = Purse::default();
        purse.dry(5, at(10));
        assert_eq!([4, 5, 9].map(|cost| purse.spend(cost, at(9))), [Spent::Ask, Spent::Dry, Spent::Dry]);
        assert_eq!(purse.spend(5, at(10)), Spent::Ask);
        purse.lapse();
        assert_eq!(purse.spend(5, at(9)), Spent::Ask, "a new limit may be another answer");
    }

    #[test]
    fn an_open_purse_counts_what_is_spent_and_how_far_beyond_the_limit() {
        let purse = Purse::default();
        purse.open(at(10), Some(-3));
        assert_eq!((purse.spend(2, at(1)), purse.overage()), (Spent::Yes { low: false }, 0));
        assert_eq!((purse.spend(5, at(1)), purse.overage()), (Spent::Yes { low: false }, 4));
        assert_eq!(purse.take_spent(), 7);
        purse.unspend(7);
        assert_eq!((purse.spend(1, at(1)), Purse::spent_of(purse.empty())), (Spent::Yes { low: false }, 8));
        assert_eq!(purse.spend(1, at(1)), Spent::Ask);
    }

    #[test]
    fn many_at_once_get_exactly_what_is_in_it() {
        let purse = Purse::default();
        purse.fill(500, at(10));
        let passed: usize = std::thread::scope(|scope| {
            let ask = || (0..1000).filter(|_| matches!(purse.spend(1, at(1)), Spent::Yes { .. })).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((passed, purse.left()), (500, 0));
    }

    #[test]
    fn purses_that_nobody_holds_go() {
        let purses = Purses::default();
        let kept = purses.of(Uuid::from_u128(7));
        kept.purse.fill(3, at(10));
        kept.keep_up();
        assert_eq!(kept.purse.spend(0, at(1)), Spent::Yes { low: false });
        for id in 0..100_000 {
            drop(purses.of(Uuid::from_u128(id * 1000 + 13)));
        }
        assert!(purses.len() < SHARDS * FEW * 2, "{} are held", purses.len());
        assert_eq!(purses.of(Uuid::from_u128(7)).purse.left(), 3, "it is the same, and asks first");
        assert_eq!(kept.purse.spend(1, at(1)), Spent::Ask);
        kept.purse.fill(0, at(10));
        kept.keep_up();
        assert_eq!(kept.purse.spend(1, at(1)), Spent::Ask, "whoever filled it knew an old state");
    }
}
