//! Which roll-ups there are, and how one takes another's place.

use diesel::prelude::*;

use crate::db::Conn;
use crate::db::schema::{usage_generations, usage_rollups, usage_uniques};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::log::Place;
use crate::log::lag::{Status, Unread, lag_in};
use crate::metering::rollups::NAME;
use crate::words;

/// Tenants whose rows of a dropped generation go at once.
const SWEPT: i64 = 20;

/// Usage events, by when they came in.
const UNREAD: Unread = Unread { table: "usage_events", at: "received_at" };

words! {
    /// What a generation of roll-ups is for.
    State as "RollupState", "state of roll-ups" {
        /// It answers.
        Live = "live",
        /// It is built beside the one that answers.
        Building = "building",
        /// Another took its place; what is left of it goes.
        Dropped = "dropped",
    }
}

/// Roll-ups that were built from the first event on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub generation: i64,
    /// What it is for.
    pub state: State,
    /// How far it is.
    pub place: Place,
    /// From this hour on all events are there to build another from.
    pub raw_from: Ts,
    /// When it was begun.
    pub started_at: Ts,
    /// Since when it stands still because somebody asked for that.
    pub paused_at: Option<Ts>,
}

type Row = (i64, State, i64, i64, Ts, Ts, Option<Ts>);

fn read((generation, state, txid, seq, raw_from, started_at, paused_at): Row) -> Generation {
    Generation { generation, state, place: Place { txid, seq }, raw_from, started_at, paused_at }
}

/// All there are, the oldest first.
///
/// # Errors
/// The store's.
pub fn all(conn: &mut Conn) -> Result<Vec<Generation>> {
    let rows: Vec<Row> = usage_generations::table
        .select(usage_generations::all_columns)
        .order(usage_generations::generation.asc())
        .load(conn)?;
    Ok(rows.into_iter().map(read).collect())
}

/// The one that answers.
///
/// # Errors
/// [`Error::Internal`] when there is none; the store's.
pub fn live(conn: &mut Conn) -> Result<Generation> {
    let found = all(conn)?.into_iter().find(|one| one.state == State::Live);
    found.ok_or_else(|| Error::internal("no roll-ups answer"))
}

/// The same, held until the transaction ends.
///
/// # Errors
/// As [`live`].
pub fn lock(conn: &mut Conn) -> Result<Generation> {
    let answers = usage_generations::table.filter(usage_generations::state.eq(State::Live));
    diesel::update(answers).set(usage_generations::state.eq(State::Live)).execute(conn)?;
    live(conn)
}

/// Begins another beside it, unless there is one already.
///
/// # Errors
/// The store's.
pub fn start(conn: &mut Conn, now: Ts) -> Result<Generation> {
    let known = all(conn)?;
    if let Some(building) = known.iter().find(|one| one.state == State::Building) {
        return Ok(building.clone());
    }
    let live = live(conn)?;
    let generation = known.iter().map(|one| one.generation).max().unwrap_or(0).saturating_add(1);
    let new = Generation {
        generation,
        state: State::Building,
        place: Place::default(),
        raw_from: live.raw_from,
        started_at: now,
        paused_at: None,
    };
    diesel::insert_into(usage_generations::table)
        .values((
            usage_generations::generation.eq(new.generation),
            usage_generations::state.eq(new.state),
            usage_generations::txid.eq(0),
            usage_generations::seq.eq(0),
            usage_generations::raw_from.eq(new.raw_from),
            usage_generations::started_at.eq(now),
        ))
        .execute(conn)?;
    Ok(new)
}

/// As [`start`]: its number, when it was begun now.
///
/// # Errors
/// The store's.
pub fn start_anew(conn: &mut Conn, now: Ts) -> Result<Option<i64>> {
    if all(conn)?.iter().any(|one| one.state == State::Building) {
        return Ok(None);
    }
    start(conn, now).map(|new| Some(new.generation))
}

/// Lets those that answer stand still from `now` on, or go on: whether that changed anything.
///
/// # Errors
/// The store's.
pub fn pause(conn: &mut Conn, still: bool, now: Ts) -> Result<bool> {
    let answers = usage_generations::table.filter(usage_generations::state.eq(State::Live));
    let rows = if still {
        let moving = answers.filter(usage_generations::paused_at.is_null());
        diesel::update(moving).set(usage_generations::paused_at.eq(Some(now))).execute(conn)?
    } else {
        let paused = answers.filter(usage_generations::paused_at.is_not_null());
        diesel::update(paused).set(usage_generations::paused_at.eq(None::<Ts>)).execute(conn)?
    };
    Ok(rows == 1)
}

/// How they stand among projections.
///
/// # Errors
/// As [`live`].
pub fn status(conn: &mut Conn) -> Result<Status> {
    let all = all(conn)?;
    let of = |state| all.iter().find(|one| one.state == state);
    let live = of(State::Live).ok_or_else(|| Error::internal("no roll-ups answer"))?;
    Ok(Status {
        name: NAME.to_owned(),
        place: Some(live.place),
        lag: lag_in(conn, UNREAD, live.place)?,
        paused_at: live.paused_at,
        live: Some((live.generation, live.started_at)),
        building: of(State::Building).map(|one| (one.generation, one.started_at, one.place)),
        rebuilds_from: Some(live.raw_from),
    })
}

/// Puts the one that is built in the place of the one that answers, when both are equally far: whether it did. Hours
/// whose events are dropped are taken over as they are.
///
/// # Errors
/// The store's.
pub fn swap(conn: &mut Conn) -> Result<bool> {
    let live = lock(conn)?;
    let Some(built) = all(conn)?.into_iter().find(|one| one.state == State::Building) else {
        return Ok(false);
    };
    let same = usage_generations::table
        .find(built.generation)
        .filter(usage_generations::state.eq(State::Building))
        .filter(usage_generations::txid.eq(live.place.txid))
        .filter(usage_generations::seq.eq(live.place.seq));
    let same_again =
        (usage_generations::raw_from.eq(live.raw_from), usage_generations::paused_at.eq(live.paused_at));
    if diesel::update(same).set(same_again).execute(conn)? == 0 {
        return Ok(false);
    }
    let (new, old, from) = (built.generation, live.generation, live.raw_from);
    macro_rules! take_over {
        ($table:ident) => {
            diesel::delete($table::table.filter($table::generation.eq(new)).filter($table::hour.lt(from)))
                .execute(conn)?;
            diesel::update($table::table.filter($table::generation.eq(old)).filter($table::hour.lt(from)))
                .set($table::generation.eq(new))
                .execute(conn)?;
        };
    }
    take_over!(usage_rollups);
    take_over!(usage_uniques);
    for (generation, state) in [(old, State::Dropped), (new, State::Live)] {
        diesel::update(usage_generations::table.find(generation))
            .set(usage_generations::state.eq(state))
            .execute(conn)?;
    }
    Ok(true)
}

/// Removes some of what is left of those that were dropped: whether there may be more.
///
/// # Errors
/// The store's.
pub fn sweep(conn: &mut Conn) -> Result<bool> {
    let Some(old) = all(conn)?.into_iter().find(|one| one.state == State::Dropped) else { return Ok(false) };
    let old = old.generation;
    macro_rules! some_of {
        ($table:ident) => {{
            let tenants: Vec<TenantId> = $table::table
                .filter($table::generation.eq(old))
                .select($table::tenant_id)
                .distinct()
                .limit(SWEPT)
                .load(conn)?;
            let found = !tenants.is_empty();
            if found {
                let theirs = $table::table.filter($table::generation.eq(old));
                diesel::delete(theirs.filter($table::tenant_id.eq_any(tenants))).execute(conn)?;
            }
            found
        }};
    }
    let (rollups, uniques) = (some_of!(usage_rollups), some_of!(usage_uniques));
    if rollups || uniques {
        return Ok(true);
    }
    diesel::delete(usage_generations::table.find(old)).execute(conn)?;
    Ok(true)
}
