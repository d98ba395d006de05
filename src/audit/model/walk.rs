//! Log and seals side by side, a stretch at a time.

use super::chain::{Hash, Reach, Seal, link};
use crate::log::Entry;

/// Where log and seals part for the first time.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The seal of this position is not there; if it can be told, this is the event that it was of.
    NoSeal(i64, Option<Entry>),
    /// An event stands where no seal is.
    Extra(Entry),
    /// The event of a seal is not where it was sealed.
    Gone(Seal),
    /// Another event stands where a seal's event was.
    Other(Seal, Entry),
    /// The event is there, and its seal should have this hash.
    Unlike(Seal, Entry, Hash),
    /// The newest seal is not the one that was noted as the newest.
    Head(Reach),
}

/// Walks on from `at` over the next seals and all events up to the last of them. `head` is what was noted of the
/// newest seal, when this stretch is the last. Answers how far all was well.
pub fn walk(
    mut at: Reach,
    seals: &[Seal],
    entries: &[Entry],
    head: Option<&Reach>,
) -> Result<Reach, (Reach, Box<Fault>)> {
    let mut entries = entries.iter().peekable();
    let bad = |at: Reach, fault: Fault| Err((at, Box::new(fault)));
    for seal in seals {
        let next = entries.peek().copied();
        let position = at.position.saturating_add(1);
        if seal.position != position {
            let its = next.filter(|entry| entry.place < seal.place).cloned();
            return bad(at, Fault::NoSeal(position, its));
        }
        let entry = match next {
            None => return bad(at, Fault::Gone(*seal)),
            Some(entry) if entry.place > seal.place => return bad(at, Fault::Gone(*seal)),
            Some(entry) if entry.place < seal.place => return bad(at, Fault::Extra(entry.clone())),
            Some(entry) => entry,
        };
        if entry.id != seal.event {
            return bad(at, Fault::Other(*seal, entry.clone()));
        }
        let hash = link(at.hash, position, entry);
        if hash != seal.hash {
            return bad(at, Fault::Unlike(*seal, entry.clone(), hash));
        }
        at = Reach::from(*seal);
        entries.next();
    }
    let left = entries.next();
    match (head, left) {
        (Some(head), left) if at.position < head.position => {
            bad(at, Fault::NoSeal(at.position.saturating_add(1), left.cloned()))
        }
        (Some(head), _) if at != *head => bad(at, Fault::Head(*head)),
        (_, Some(left)) => bad(at, Fault::Extra(left.clone())),
        _ => Ok(at),
    }
}
