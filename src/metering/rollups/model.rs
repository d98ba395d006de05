//! Adding up. Sums of two sets of events make the sum of both, in whichever order: so hours make days, a roll-up and
//! what is not in it yet make the whole, and building anew makes the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;
use crate::log::Place;
use crate::metering::counted::{self, Mark};

/// An hour in microseconds.
pub const HOUR: i64 = 3_600_000_000;

/// An event as it is stored.
#[derive(Debug, Clone)]
pub struct Raw {
    /// Where it stands.
    pub place: Place,
    /// Whose use it is.
    pub tenant: TenantId,
    /// When it happened.
    pub at: Ts,
    /// When it came in.
    pub received_at: Ts,
    /// What it counts as.
    pub counts: String,
}

/// What is added up apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// Whose use.
    pub tenant: TenantId,
    /// Of what.
    pub meter: String,
    /// In which hour: its first moment.
    pub hour: Ts,
    /// Told apart by what: see [`crate::metering::counted::Counted::group`].
    pub group: String,
}

/// What events come to, whatever is asked of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub events: i64,
    /// Their values added up; stays at the greatest number when it overflows, after nine million of the greatest.
    pub total: i64,
    /// The greatest value.
    pub most: i64,
    /// When the last one happened, its number (the later of those at the same moment), and its value.
    pub last: (Ts, i64, i64),
}

impl Sum {
    /// Of one event.
    #[must_use]
    pub fn one(at: Ts, seq: i64, value: i64) -> Self {
        Self { events: 1, total: value, most: value, last: (at, seq, value) }
    }

    /// Of these and those.
    pub fn merge(&mut self, other: &Self) {
        self.events = self.events.saturating_add(other.events);
        self.total = self.total.saturating_add(other.total);
        self.most = self.most.max(other.most);
        self.last = self.last.max(other.last);
    }
}

/// The hour that a moment is in.
#[must_use]
pub fn hour_of(at: Ts) -> Ts {
    Ts::from_micros(at.micros().div_euclid(HOUR).saturating_mul(HOUR)).unwrap_or(at)
}

/// Sums by cell, and the different values of meters that count those.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// The sums.
    pub cells: BTreeMap<Cell, Sum>,
    /// The values.
    pub uniques: BTreeSet<(Cell, Mark)>,
}

impl Tally {
    /// Adds an event.
    ///
    /// # Errors
    /// [`crate::kernel::error::Error::Internal`] for one whose counts cannot be read.
    pub fn add(&mut self, raw: &Raw) -> Result<()> {
        for counted in counted::read(&raw.counts)? {
            let cell = Cell {
                tenant: raw.tenant,
                meter: counted.meter,
                hour: hour_of(raw.at),
                group: counted.group,
            };
            if let Some(mark) = counted.unique {
                self.uniques.insert((cell.clone(), mark));
            }
            self.put(cell, Sum::one(raw.at, raw.place.seq, counted.value));
        }
        Ok(())
    }

    /// Adds a sum.
    pub fn put(&mut self, cell: Cell, sum: Sum) {
        self.cells.entry(cell).and_modify(|known| known.merge(&sum)).or_insert(sum);
    }
}
