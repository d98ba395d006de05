//! Whatever is done to a log or its seals is found, and named.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::bad::{Bad, Known, Wrong, name};
use super::chain::{Hash, Reach, Seal, canonical, link};
use super::walk::{Fault, walk};
use crate::kernel::clock::Ts;
use crate::kernel::id::{EventId, TenantId};
use crate::log::{Entry, Place};

/// A log with its seals, all in memory.
#[derive(Debug, Clone)]
struct Kept {
    log: Vec<Entry>,
    seals: Vec<Seal>,
    head: Reach,
}

impl Kept {
    fn of(log: Vec<Entry>) -> Self {
        let (mut seals, mut head) = (Vec::new(), Reach::START);
        for entry in &log {
            let seal = head.seal(entry);
            head = seal.into();
            seals.push(seal);
        }
        Self { log, seals, head }
    }

    /// As the store would be walked, in stretches of this many seals.
    fn first_bad(&self, stretch: usize) -> Option<Bad> {
        let mut log = self.log.clone();
        log.sort_by_key(|entry| entry.place);
        let mut seals = self.seals.clone();
        seals.sort_by_key(|seal| seal.position);
        let mut at = Reach::START;
        loop {
            let next: Vec<Seal> =
                seals.iter().filter(|seal| seal.position > at.position).take(stretch).copied().collect();
            let last = next.len() < stretch;
            let furthest = next.iter().map(|seal| seal.place).max().unwrap_or(at.after());
            let until = if last { furthest.max(self.head.place) } else { furthest };
            let entries: Vec<Entry> = log
                .iter()
                .filter(|entry| entry.place > at.after() && entry.place <= until)
                .take(stretch + 1)
                .cloned()
                .collect();
            match walk(at, &next, &entries, last.then_some(&self.head)) {
                Ok(_) if last => return None,
                Ok(reached) => at = reached,
                Err((at, fault)) => return Some(name(&at, &fault, self.known(&at, &fault))),
            }
        }
    }

    fn known(&self, at: &Reach, fault: &Fault) -> Known {
        let sealed = |id: EventId| self.seals.iter().find(|seal| seal.event == id).map(|seal| seal.place);
        let stands = |id: EventId| self.log.iter().find(|entry| entry.id == id).map(|entry| entry.place);
        match fault {
            Fault::Extra(entry) => Known { sealed_at: sealed(entry.id), ..Known::default() },
            Fault::Gone(seal) => Known { stands_at: stands(seal.event), ..Known::default() },
            Fault::Other(seal, entry) => {
                Known { sealed_at: sealed(entry.id), stands_at: stands(seal.event), next_follows: false }
            }
            Fault::Unlike(_, _, hash) => {
                let position = at.position + 2;
                let next = self.seals.iter().find(|seal| seal.position == position);
                let follows = match next {
                    None => self.head.hash == *hash,
                    Some(next) => self
                        .log
                        .iter()
                        .find(|entry| entry.id == next.event)
                        .is_some_and(|entry| link(*hash, position, entry) == next.hash),
                };
                Known { next_follows: follows, ..Known::default() }
            }
            Fault::NoSeal(..) | Fault::Head(_) => Known::default(),
        }
    }
}

fn entry(at: i64, kind: &str, data: Value) -> Entry {
    Entry {
        place: Place { txid: at / 3, seq: at },
        id: EventId::mint(),
        kind: kind.to_owned(),
        version: 1,
        tenant: (at % 2 == 0).then(TenantId::mint),
        actor_kind: "user".to_owned(),
        actor_id: format!("user {at}"),
        address: (at % 3 == 0).then(|| "192.0.2.7".to_owned()),
        request_id: (at % 5 != 0).then(|| format!("req {at}")),
        at: Ts::from_micros(at * 1_000_003).unwrap(),
        data,
    }
}

fn log(len: usize) -> Vec<Entry> {
    (0..len)
        .map(|at| {
            let at = i64::try_from(at).unwrap() * 2 + 2;
            entry(at, "tenant.updated", json!({ "n": at, "deep": [{ "b": null, "a": "ä\u{1}" }] }))
        })
        .collect()
}

/// Everything that can be changed in one row.
fn changed(entry: &Entry, what: usize) -> Entry {
    let mut other = entry.clone();
    match what {
        0 => other.kind = "tenant.resumed".into(),
        1 => other.version += 1,
        2 => other.tenant = if other.tenant.is_some() { None } else { Some(TenantId::mint()) },
        3 => other.actor_kind = "operator".into(),
        4 => other.actor_id.push('x'),
        5 => other.address = if other.address.is_some() { None } else { Some(String::new()) },
        6 => other.request_id = if other.request_id.is_some() { None } else { Some(String::new()) },
        7 => other.at = Ts::from_micros(other.at.micros() + 1).unwrap(),
        8 => other.data["n"] = json!("2"),
        9 => other.data["more"] = Value::Null,
        _ => {
            // From one column into the next: the lengths tell them apart.
            let last = other.actor_kind.pop().unwrap();
            other.actor_id.insert(0, last);
        }
    }
    other
}

proptest! {
    #[test]
    fn an_untouched_log_is_intact_in_stretches_of_any_length(len in 0usize..40, stretch in 1usize..50) {
        prop_assert_eq!(Kept::of(log(len)).first_bad(stretch), None);
    }

    #[test]
    fn any_change_of_any_column_is_found(len in 1usize..30, at: prop::sample::Index, what in 0usize..11, stretch in 1usize..40) {
        let mut kept = Kept::of(log(len));
        let at = at.index(len);
        kept.log[at] = changed(&kept.log[at], what);
        let bad = kept.first_bad(stretch).unwrap();
        prop_assert_eq!((bad.fault, bad.place, bad.event_id), (Wrong::Changed, Some(kept.log[at].place), Some(kept.log[at].id)));
        prop_assert_eq!(bad.position, i64::try_from(at).unwrap() + 1);
    }

    #[test]
    fn any_removal_is_found(len in 1usize..30, at: prop::sample::Index, stretch in 1usize..40) {
        let mut kept = Kept::of(log(len));
        let gone = kept.log.remove(at.index(len));
        let bad = kept.first_bad(stretch).unwrap();
        prop_assert_eq!((bad.fault, bad.place, bad.event_id), (Wrong::Missing, Some(gone.place), Some(gone.id)));
    }

    #[test]
    fn any_insertion_is_found(len in 1usize..30, at: prop::sample::Index, stretch in 1usize..40) {
        let mut kept = Kept::of(log(len));
        let at = i64::try_from(at.index(len)).unwrap() * 2 + 1;
        let mut new = entry(at, "tenant.updated", json!({}));
        new.place.txid = (at + 1) / 3;
        kept.log.push(new.clone());
        let bad = kept.first_bad(stretch).unwrap();
        prop_assert_eq!((bad.fault, bad.place, bad.event_id), (Wrong::Inserted, Some(new.place), Some(new.id)));
    }

    #[test]
    fn any_swap_is_found_at_the_first_of_the_two(len in 2usize..30, one: prop::sample::Index, other: prop::sample::Index, stretch in 1usize..40) {
        let mut kept = Kept::of(log(len));
        let (one, other) = (one.index(len), other.index(len));
        prop_assume!(one != other);
        let (first, second) = (kept.log[one].place, kept.log[other].place);
        kept.log[one].place = second;
        kept.log[other].place = first;
        let bad = kept.first_bad(stretch).unwrap();
        prop_assert_eq!((bad.fault, bad.place), (Wrong::OutOfOrder, Some(first.min(second))));
    }

    #[test]
    fn what_is_done_to_seals_is_found(len in 1usize..30, at: prop::sample::Index, what in 0usize..3, stretch in 1usize..40) {
        let mut kept = Kept::of(log(len));
        let at = at.index(len);
        let fault = match what {
            0 => {
                kept.seals.remove(at);
                Wrong::SealMissing
            }
            1 => {
                kept.seals[at].hash = Hash::START;
                Wrong::SealChanged
            }
            _ => {
                // As if the rows from here on never were: the noted end tells.
                kept.seals.truncate(at);
                kept.log.truncate(at);
                Wrong::SealMissing
            }
        };
        let bad = kept.first_bad(stretch).unwrap();
        prop_assert_eq!((bad.fault, bad.position), (fault, i64::try_from(at).unwrap() + 1));
    }

    #[test]
    fn a_row_taken_out_with_its_seal_is_found_at_the_next(len in 2usize..30, at: prop::sample::Index, stretch in 1usize..40) {
        let mut kept = Kept::of(log(len));
        let at = at.index(len - 1);
        kept.log.remove(at);
        kept.seals.remove(at);
        for seal in &mut kept.seals[at..] {
            seal.position -= 1;
        }
        kept.head.position -= 1;
        let bad = kept.first_bad(stretch).unwrap();
        prop_assert_eq!((bad.fault, bad.place), (Wrong::Changed, Some(kept.log[at].place)));
    }

    #[test]
    fn a_hash_reads_back(bytes: [u8; 32]) {
        let hash = Hash::of_slice(&bytes).unwrap();
        prop_assert_eq!(hash.to_string().parse(), Ok(hash));
    }
}

#[test]
fn the_form_is_one_for_one_value_and_another_for_another() {
    let one: Value = serde_json::from_str(r#"{"b": [1, 2.5], "a": {"y": "\u00e4", "x": null}}"#).unwrap();
    assert_eq!(canonical(&one), r#"{"a":{"x":null,"y":"ä"},"b":[1,2.5]}"#);
    let alike = ["[1]", "[\"1\"]", "[[1]]", "{\"1\":null}", "[1,null]", "[1.5]", "[true]", "[]", "{}"];
    let mut forms: Vec<String> =
        alike.iter().map(|text| canonical(&serde_json::from_str(text).unwrap())).collect();
    forms.sort();
    forms.dedup();
    assert_eq!(forms.len(), alike.len());
}

#[test]
fn the_hash_of_a_row_stays_what_it_is() {
    let mut entry = entry(6, "tenant.updated", json!({ "b": 1, "a": "ä" }));
    entry.id = "evt_01h455vb4pex5vsknk084sn02q".parse().unwrap();
    entry.tenant = Some("tenant_01h455vb4pex5vsknk084sn02q".parse().unwrap());
    let first = link(Hash::START, 1, &entry);
    // Worked out apart, from the words above `link`: what is sealed by one release is proved by the next.
    assert_eq!(first.to_string(), "4205fe54c2a761a808a9791a856bfaeda665f6e5c2eae5841a072eb069f8e7a9");
    assert_ne!(link(first, 1, &entry), first);
    assert_ne!(link(Hash::START, 2, &entry), first);
}
