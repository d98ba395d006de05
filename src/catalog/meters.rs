//! Meters: which usage events are counted, and how.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words;

words! {
    /// What a meter makes of the events of a stretch of time.
    Aggregation as "MeterAggregation", "aggregation" {
        /// How many there were.
        Count = "count",
        /// Their values added up.
        Sum = "sum",
        /// The greatest value.
        Max = "max",
        /// How many different values there were.
        Unique = "unique",
        /// The value of the last one.
        Latest = "latest",
    }
}

impl Aggregation {
    /// Whether what was used in two stretches of time is the sum of both: only that can be held against a quota as
    /// it comes in.
    #[must_use]
    pub fn adds_up(self) -> bool {
        matches!(self, Self::Count | Self::Sum)
    }
}

/// A meter, as the catalogue's file declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Meter {
    /// What it makes of the events.
    pub aggregation: Aggregation,
    /// The property of an event's `data` that it takes; none for `count`.
    pub value: Option<String>,
    /// The properties of an event's `data` that use is told apart by, up to 8.
    #[serde(default)]
    pub group_by: Vec<String>,
    /// The `type` of the events that it takes; the meter's key when absent.
    pub event_type: Option<String>,
}
