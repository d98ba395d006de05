//! A bounded table of what memory holds, made to be small: a slot per entry, and an index of four bytes and
//! one per slot. When it is full the clock hand goes round: whoever was used since its last visit stays, the
//! first that was not makes room.

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashTable;

struct Slot<K, V> {
    key: K,
    value: V,
    used: AtomicBool,
}

/// At most so many values by key. Hashes are the caller's, all by the same `S`.
pub(super) struct Table<K, V, S> {
    index: HashTable<u32>,
    slots: Vec<Option<Slot<K, V>>>,
    free: Vec<u32>,
    hand: usize,
    capacity: usize,
    hasher: S,
}

fn at(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

impl<K: Hash + Eq, V, S: BuildHasher> Table<K, V, S> {
    pub(super) fn new(capacity: usize, hasher: S) -> Self {
        let capacity = capacity.clamp(1, at(u32::MAX - 1));
        Self { index: HashTable::new(), slots: Vec::new(), free: Vec::new(), hand: 0, capacity, hasher }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    fn position(&self, hash: u64, key: &K) -> Option<u32> {
        let is_it = |slot: &u32| matches!(self.slots.get(at(*slot)), Some(Some(held)) if held.key == *key);
        self.index.find(hash, is_it).copied()
    }

    /// The value of `key`, which counts as used.
    pub(super) fn get(&self, hash: u64, key: &K) -> Option<&V> {
        let slot = self.slots.get(at(self.position(hash, key)?))?.as_ref()?;
        // Written once between two rounds of the hand: readers would fight over the line otherwise.
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(&slot.value)
    }

    pub(super) fn insert(&mut self, hash: u64, key: K, value: V) {
        let slot = Slot { key, value, used: AtomicBool::new(false) };
        if let Some(known) = self.position(hash, &slot.key) {
            if let Some(place) = self.slots.get_mut(at(known)) {
                *place = Some(slot);
            }
            return;
        }
        if self.index.len() >= self.capacity {
            self.make_room();
        }
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                let Ok(number) = u32::try_from(self.slots.len()) else { return };
                if self.slots.len() == self.slots.capacity() {
                    // By a quarter, not by doubling: what is reserved and empty costs as much as what is full.
                    self.slots.reserve_exact(self.slots.len() / 4 + 16);
                }
                self.slots.push(None);
                number
            }
        };
        if let Some(place) = self.slots.get_mut(at(number)) {
            *place = Some(slot);
        }
        let (slots, hasher) = (&self.slots, &self.hasher);
        let rehash = |number: &u32| match slots.get(at(*number)) {
            Some(Some(held)) => hasher.hash_one(&held.key),
            _ => 0,
        };
        self.index.insert_unique(hash, number, rehash);
    }

    pub(super) fn remove(&mut self, hash: u64, key: &K) -> bool {
        let slots = &self.slots;
        let is_it = |slot: &u32| matches!(slots.get(at(*slot)), Some(Some(held)) if held.key == *key);
        let Ok(entry) = self.index.find_entry(hash, is_it) else { return false };
        let (number, _) = entry.remove();
        if let Some(place) = self.slots.get_mut(at(number)) {
            *place = None;
        }
        self.free.push(number);
        true
    }

    pub(super) fn clear(&mut self) {
        self.index = HashTable::new();
        self.slots = Vec::new();
        self.free = Vec::new();
        self.hand = 0;
    }

    fn make_room(&mut self) {
        // After one whole round nobody counts as used any more.
        for _ in 0..self.slots.len().saturating_mul(2) {
            let number = self.hand;
            self.hand = (number + 1) % self.slots.len().max(1);
            let Some(Some(slot)) = self.slots.get(number) else { continue };
            if slot.used.swap(false, Ordering::Relaxed) {
                continue;
            }
            let hash = self.hasher.hash_one(&slot.key);
            if let Ok(entry) = self.index.find_entry(hash, |held| at(*held) == number) {
                let (number, _) = entry.remove();
                self.free.push(number);
            }
            if let Some(place) = self.slots.get_mut(number) {
                *place = None;
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::hash::RandomState;

    #[test]
    fn what_is_used_stays_and_what_is_not_makes_room() {
        let hasher = RandomState::new();
        let mut table = Table::new(100, hasher.clone());
        let put =
            |table: &mut Table<u32, u32, RandomState>, n: u32| table.insert(hasher.hash_one(n), n, n * 2);
        for n in 0..100 {
            put(&mut table, n);
        }
        for n in 100..10_000 {
            for kept in 0..10 {
                assert_eq!(table.get(hasher.hash_one(kept), &kept), Some(&(kept * 2)), "at {n}");
            }
            put(&mut table, n);
            assert!(table.len() <= 100 && table.slots.len() <= 101);
        }
    }

    proptest::proptest! {
        #[test]
        fn it_is_a_map(moves in proptest::collection::vec((0u8..3, 0u8..40), 0..400)) {
            let hasher = RandomState::new();
            let (mut table, mut model) = (Table::new(64, hasher.clone()), HashMap::new());
            for (step, (what, key)) in moves.into_iter().enumerate() {
                let hash = hasher.hash_one(key);
                match what {
                    0 => { table.insert(hash, key, step); model.insert(key, step); }
                    1 => proptest::prop_assert_eq!(table.remove(hash, &key), model.remove(&key).is_some()),
                    _ => proptest::prop_assert_eq!(table.get(hash, &key), model.get(&key)),
                }
                proptest::prop_assert_eq!(table.len(), model.len());
            }
        }
    }
}
