//! Folding what happens again and again into few events: of each key one event at once, then at most one a minute,
//! which says how often it happened since the one before.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How far apart the events of one key are at least.
pub const APART: Duration = Duration::from_secs(60);
/// Keys that are remembered at most.
const KEYS: usize = 10_000;
/// First events of keys within [`APART`] at most; what comes of further keys is not kept.
const FIRSTS: usize = 1_000;

/// An event that stands for so many.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded<T> {
    /// The last of them.
    pub last: T,
    /// How many.
    pub count: u64,
}

struct Slot<T> {
    since: Instant,
    folded: Option<Folded<T>>,
}

/// What becomes of something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate<T> {
    /// It is an event now.
    Now(Folded<T>),
    /// It will be counted in one.
    Later,
    /// There is too much of it all.
    Lost,
}

/// What was folded, and not told yet.
pub struct Fold<T> {
    slots: HashMap<String, Slot<T>>,
    since: Instant,
    firsts: usize,
}

impl<T> Fold<T> {
    /// Nothing yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { slots: HashMap::new(), since: now, firsts: 0 }
    }

    /// Takes something that happened.
    pub fn take(&mut self, key: String, one: T, now: Instant) -> Fate<T> {
        if let Some(slot) = self.slots.get_mut(&key) {
            let count = slot.folded.as_ref().map_or(0, |folded| folded.count).saturating_add(1);
            let folded = Folded { last: one, count };
            if now.duration_since(slot.since) < APART {
                slot.folded = Some(folded);
                return Fate::Later;
            }
            *slot = Slot { since: now, folded: None };
            return Fate::Now(folded);
        }
        if now.duration_since(self.since) >= APART {
            self.since = now;
            self.firsts = 0;
        }
        if self.firsts >= FIRSTS || self.slots.len() >= KEYS {
            return Fate::Lost;
        }
        self.firsts += 1;
        self.slots.insert(key, Slot { since: now, folded: None });
        Fate::Now(Folded { last: one, count: 1 })
    }

    /// What has waited for its minute; keys that were silent for one are forgotten.
    pub fn due(&mut self, now: Instant) -> Vec<Folded<T>> {
        let mut due = Vec::new();
        self.slots.retain(|_, slot| {
            if now.duration_since(slot.since) < APART {
                return true;
            }
            let Some(folded) = slot.folded.take() else { return false };
            due.push(folded);
            slot.since = now;
            true
        });
        due
    }

    /// All that waits, because this is the end.
    pub fn rest(&mut self) -> Vec<Folded<T>> {
        self.slots.drain().filter_map(|(_, slot)| slot.folded).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_key_has_two_events_within_a_minute(
            steps in prop::collection::vec((0u8..4, 0u64..40), 0..300),
        ) {
            let began = Instant::now();
            let (mut fold, mut now) = (Fold::new(began), began);
            let mut told: HashMap<u8, Vec<(Instant, u64)>> = HashMap::new();
            let mut given: HashMap<u8, u64> = HashMap::new();
            for (key, seconds) in steps {
                now += Duration::from_secs(seconds);
                for folded in fold.due(now) {
                    told.entry(folded.last).or_default().push((now, folded.count));
                }
                *given.entry(key).or_default() += 1;
                if let Fate::Now(folded) = fold.take(key.to_string(), key, now) {
                    told.entry(key).or_default().push((now, folded.count));
                }
            }
            for of_key in told.values() {
                prop_assert!(of_key.windows(2).all(|two| two[1].0 - two[0].0 >= APART));
            }
            let mut counted: HashMap<u8, u64> = told
                .into_iter()
                .map(|(key, events)| (key, events.into_iter().map(|(_, count)| count).sum()))
                .collect();
            for folded in fold.rest() {
                *counted.entry(folded.last).or_default() += folded.count;
            }
            prop_assert_eq!(counted, given);
        }
    }

    #[test]
    fn a_flood_of_keys_is_bounded() {
        let began = Instant::now();
        let mut fold = Fold::new(began);
        let mut of = |at: usize, minutes: u32| fold.take(at.to_string(), at, began + APART * minutes);
        let first = (0..2 * FIRSTS).filter(|at| of(*at, 0) != Fate::Lost).count();
        assert_eq!(first, FIRSTS);
        assert!(matches!(of(0, 0), Fate::Later), "those that are known go on");
        assert!(matches!(of(2 * FIRSTS, 1), Fate::Now(_)), "and the next minute has room again");
    }
}
