//! What is told of those who follow.

use serde::Serialize;
use utoipa::ToSchema;

use crate::kernel::clock::Ts;
use crate::log::Place;
use crate::log::lag::{Lag, Status};
use crate::words;

words! {
    /// What somebody is who follows.
    Kind as "ProjectionKind", "kind of projection" {
        /// It keeps what can be built anew from what was written.
        Projection = "projection",
        /// It acts on what happens, or keeps what happened once.
        Follower = "follower",
    }
}

words! {
    /// How it stands.
    Standing as "ProjectionState", "state of a projection" {
        /// It follows.
        Following = "following",
        /// It is built anew, beside what answers, which follows or is paused.
        Rebuilding = "rebuilding",
        /// It stands still because somebody asked for that.
        Paused = "paused",
        /// It cannot read what is written.
        Blind = "blind",
    }
}

/// A read model, or somebody else, that follows what is written.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Projection {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How it stands.
    pub state: Standing,
    /// Where what it took last stands; null for what keeps no place.
    #[schema(value_type = Option<String>)]
    pub place: Option<Place>,
    /// How much it has not taken yet; counted up to 100,000.
    pub lag_events: i64,
    /// How long the first of that has waited, in seconds.
    pub lag_seconds: f64,
    /// Since when what comes in waits to be taken; null when nothing does.
    pub behind_since: Option<Ts>,
    /// Since when it stands still.
    pub paused_at: Option<Ts>,
    /// How often it was built; null for what cannot be built anew.
    pub generation: Option<i64>,
    /// When that was begun.
    pub started_at: Option<Ts>,
    /// From this moment on it can be built anew; before, it stays as it is. Null when that is from the beginning.
    pub rebuilds_from: Option<Ts>,
    /// When another was begun that is built beside it; null when none is.
    pub rebuilding_since: Option<Ts>,
    /// How much of what was written is in that one, from 0 to 1.
    pub rebuilt: Option<f64>,
}

/// All who follow.
#[derive(Debug, Serialize, ToSchema)]
pub struct Projections {
    /// Each: projections first, then the others.
    pub data: Vec<Projection>,
    /// Always null: they are one page.
    pub next_cursor: Option<String>,
}

/// Which part of what is written one place is of another.
fn part(of: Place, whole: Option<Place>) -> f64 {
    let seq = |place: Place| {
        i32::try_from(place.seq / 1_000).map_or(f64::MAX, |some| {
            f64::from(some) * 1_000.0 + i32::try_from(place.seq % 1_000).map_or(0.0, f64::from)
        })
    };
    match whole {
        Some(whole) if whole.seq > 0 => (seq(of) / seq(whole)).clamp(0.0, 1.0),
        _ => 1.0,
    }
}

impl Projection {
    /// One that stands so.
    #[must_use]
    pub fn of(status: Status, kind: Kind, now: Ts) -> Self {
        let Lag { events, oldest } = status.lag;
        let state = match (&status.building, status.paused_at) {
            (Some(_), _) => Standing::Rebuilding,
            (None, Some(_)) => Standing::Paused,
            (None, None) => Standing::Following,
        };
        let first = (kind == Kind::Projection).then_some(1);
        Self {
            name: status.name,
            kind,
            state,
            place: status.place,
            lag_events: events,
            lag_seconds: oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64()),
            behind_since: oldest,
            paused_at: status.paused_at,
            generation: status.live.map(|(number, _)| number).or(first),
            started_at: status.live.map(|(_, at)| at),
            rebuilds_from: status.rebuilds_from,
            rebuilding_since: status.building.map(|(_, at, _)| at),
            rebuilt: status.building.map(|(.., place)| part(place, status.place)),
        }
    }

    /// The memory of a replica that looked at the end of the log so long ago; `None` when it cannot look.
    #[must_use]
    pub fn memory(age: Option<std::time::Duration>) -> Self {
        Self {
            name: super::MEMORY.to_owned(),
            kind: Kind::Follower,
            state: if age.is_some() { Standing::Following } else { Standing::Blind },
            place: None,
            lag_events: 0,
            lag_seconds: age.unwrap_or_default().as_secs_f64(),
            behind_since: None,
            paused_at: None,
            generation: None,
            started_at: None,
            rebuilds_from: None,
            rebuilding_since: None,
            rebuilt: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_goes_from_nothing_to_all() {
        let at = |seq| Place { txid: 7, seq };
        assert!((part(at(0), Some(at(1_000_001)))).abs() < 1e-9);
        assert!((part(at(500_000), Some(at(1_000_000))) - 0.5).abs() < 1e-9);
        assert!((part(at(5), Some(at(4))) - 1.0).abs() < 1e-9);
        assert!((part(at(0), None) - 1.0).abs() < 1e-9);
    }
}
