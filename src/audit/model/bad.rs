//! What is wrong with the first bad row, in words.

use serde::Serialize;

use super::chain::Reach;
use super::walk::Fault;
use crate::kernel::id::EventId;
use crate::log::Place;
use crate::words;

words! {
    /// What is wrong with a row of the log, or its seal.
    Wrong as "AuditFault", "fault of the audit trail" {
        /// The event is not what was sealed.
        Changed = "changed",
        /// The event was sealed and is gone.
        Missing = "missing",
        /// The event, or its seal, stands elsewhere than it was sealed.
        OutOfOrder = "out_of_order",
        /// The event was never sealed, and stands before others that were.
        Inserted = "inserted",
        /// The event's seal is gone.
        SealMissing = "seal_missing",
        /// The seal is not the one that was made.
        SealChanged = "seal_changed",
        /// Log and seals end before something that was sealed.
        Cut = "cut",
        /// The chain holds, and is not the one that the checkpoint was taken of.
        Rewritten = "rewritten",
    }
}

/// The first bad row.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = AuditBadRow)]
pub struct Bad {
    /// The so-and-so-many-th event of the log.
    pub position: i64,
    /// Its place in the log, when it can be told.
    #[schema(value_type = Option<String>)]
    pub place: Option<Place>,
    /// The event, when it can be told.
    pub event_id: Option<EventId>,
    /// What is wrong.
    pub fault: Wrong,
    /// The same in words.
    pub detail: String,
}

/// What the store knows beside the stretch in which a fault was found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// Where the event that was met is sealed.
    pub sealed_at: Option<Place>,
    /// Where the event that was looked for stands.
    pub stands_at: Option<Place>,
    /// Whether the next seal, or what is noted of the newest, follows from the event as it is now.
    pub next_follows: bool,
}

/// Names what is wrong.
#[must_use]
pub fn name(at: &Reach, fault: &Fault, known: Known) -> Bad {
    let position = at.position.saturating_add(1);
    let bad = |place: Option<Place>, event_id: Option<EventId>, fault: Wrong, detail: String| Bad {
        position,
        place,
        event_id,
        fault,
        detail,
    };
    match fault {
        Fault::NoSeal(_, Some(entry)) => bad(
            Some(entry.place),
            Some(entry.id),
            Wrong::SealMissing,
            "the event is there and its seal is gone".into(),
        ),
        Fault::NoSeal(_, None) => bad(
            None,
            None,
            Wrong::SealMissing,
            "a seal is gone, and an event that could be its own too".into(),
        ),
        Fault::Extra(entry) => match known.sealed_at {
            Some(was) => bad(
                Some(entry.place),
                Some(entry.id),
                Wrong::OutOfOrder,
                format!("the event stands here, and was sealed at {was}"),
            ),
            None => bad(
                Some(entry.place),
                Some(entry.id),
                Wrong::Inserted,
                "the event stands before others that are sealed, and never was sealed".into(),
            ),
        },
        Fault::Gone(seal) => match known.stands_at {
            Some(now) => bad(
                Some(seal.place),
                Some(seal.event),
                Wrong::OutOfOrder,
                if now == seal.place {
                    "its seal does not stand where it was made".into()
                } else {
                    format!("the event was sealed here, and stands at {now}")
                },
            ),
            None => bad(
                Some(seal.place),
                Some(seal.event),
                Wrong::Missing,
                "the event was sealed and is not in the log".into(),
            ),
        },
        Fault::Other(seal, entry) => match (known.sealed_at, known.stands_at) {
            (None, None) => bad(
                Some(seal.place),
                Some(seal.event),
                Wrong::Changed,
                format!("{} stands where this event was sealed", entry.id),
            ),
            (Some(was), _) => bad(
                Some(seal.place),
                Some(seal.event),
                Wrong::OutOfOrder,
                format!("{} stands here, which was sealed at {was}", entry.id),
            ),
            (None, Some(now)) => bad(
                Some(seal.place),
                Some(seal.event),
                Wrong::OutOfOrder,
                format!("the event was sealed here, and stands at {now}"),
            ),
        },
        Fault::Unlike(seal, ..) if known.next_follows => bad(
            Some(seal.place),
            Some(seal.event),
            Wrong::SealChanged,
            "the event is as the next seal has it, and its own seal is not".into(),
        ),
        Fault::Unlike(seal, ..) => bad(
            Some(seal.place),
            Some(seal.event),
            Wrong::Changed,
            "the event is not what was sealed; or an event before it, and its seal, were taken out".into(),
        ),
        Fault::Head(head) => bad(
            Some(head.place),
            None,
            Wrong::SealChanged,
            format!("the newest seal is not the one that was noted, the {}th", head.position),
        ),
    }
}
