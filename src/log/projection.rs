//! Read models in tables: projections. Each follows the log as a [`super::follower`] and keeps its rows in a
//! generation. Another generation can be built beside the one that answers, from the first event on, and takes its
//! place when it is as far: in the transaction that holds the follower, so that nothing is taken in meanwhile and
//! one of many replicas does it. Every step moves a place in the transaction that writes, so that a process may die
//! anywhere, and another goes on from there.

use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use tokio_util::sync::CancellationToken;

use super::follower::{self, Begin, Follows};
use super::lag::{Lag, Status, Unread, lag_in};
use super::{Entry, Place, settled_in};
use crate::db::schema::{followers, projection_generations as generations};
use crate::db::{Conn, Db};
use crate::kernel::clock::{Clock, Ts};
use crate::kernel::error::{Error, Result};
use crate::words;
use crate::work::failpoint;

/// Events that one step of a rebuilding takes.
pub const STEP: i64 = 5_000;
/// Rows of a generation that was given up, or their owners, that go at once.
const SWEPT: i64 = 500;
/// How often it is looked for a rebuilding that somebody asked for.
const PERIOD: Duration = Duration::from_secs(1);

words! {
    /// What a generation of a projection is for.
    State as "GenerationState", "state of a generation" {
        /// It answers.
        Live = "live",
        /// It is built beside the one that answers.
        Building = "building",
        /// Another took its place; what is left of it goes.
        Dropped = "dropped",
    }
}

/// Rows that were made of the log from its first event on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number; the first is 1.
    pub number: i64,
    /// What it is for.
    pub state: State,
    /// How far it is, while it is built; the one that answers is as far as its follower.
    pub place: Place,
    /// When it was begun.
    pub started_at: Ts,
}

/// Somebody who keeps a read model in tables, in generations. What it writes follows from the events alone.
pub trait Projects: Send + Sync + 'static {
    /// Its name, also among followers.
    fn name(&self) -> &'static str;

    /// Writes what `entries` mean into a generation, in the transaction that moves its place past them. It may run
    /// again when that transaction is repeated, so it changes nothing but the store. An event of a kind that it
    /// does not know, or without a field, is none that it fails on.
    ///
    /// # Errors
    /// The store's.
    fn take_in(&self, conn: &mut Conn, generation: i64, entries: &[Entry]) -> Result<()>;

    /// Removes about `limit` rows of a generation: whether there may be more.
    ///
    /// # Errors
    /// The store's.
    fn sweep_in(&self, conn: &mut Conn, generation: i64, limit: i64) -> Result<bool>;
}

/// The generations of `name`, the oldest first.
///
/// # Errors
/// The store's.
pub fn all_in(conn: &mut Conn, name: &str) -> Result<Vec<Generation>> {
    let rows: Vec<(i64, State, i64, i64, Ts)> = generations::table
        .filter(generations::name.eq(name.to_owned()))
        .select((
            generations::generation,
            generations::state,
            generations::txid,
            generations::seq,
            generations::started_at,
        ))
        .order(generations::generation.asc())
        .load(conn)?;
    let read = |(number, state, txid, seq, started_at)| Generation {
        number,
        state,
        place: Place { txid, seq },
        started_at,
    };
    Ok(rows.into_iter().map(read).collect())
}

fn of(all: &[Generation], state: State) -> Option<&Generation> {
    all.iter().find(|one| one.state == state)
}

/// The generation of `name` that answers, or that will once something was taken in.
///
/// # Errors
/// The store's.
pub fn answers_in(conn: &mut Conn, name: &str) -> Result<i64> {
    Ok(of(&all_in(conn, name)?, State::Live).map_or(1, |live| live.number))
}

fn insert_in(conn: &mut Conn, name: &str, new: &Generation) -> Result<()> {
    let row = (
        generations::name.eq(name.to_owned()),
        generations::generation.eq(new.number),
        generations::state.eq(new.state),
        generations::txid.eq(new.place.txid),
        generations::seq.eq(new.place.seq),
        generations::started_at.eq(new.started_at),
    );
    diesel::insert_into(generations::table).values(row).execute(conn)?;
    Ok(())
}

/// The generations of `name`, of which one answers from now on at the latest.
fn begun_in(conn: &mut Conn, name: &str, now: Ts) -> Result<Vec<Generation>> {
    let mut all = all_in(conn, name)?;
    if of(&all, State::Live).is_none() {
        let first = Generation { number: 1, state: State::Live, place: Place::default(), started_at: now };
        insert_in(conn, name, &first)?;
        all.push(first);
    }
    Ok(all)
}

/// Begins to build `name` anew, unless that is under way: the generation, and whether it was begun now.
///
/// # Errors
/// The store's.
pub fn start_in(conn: &mut Conn, name: &str, now: Ts) -> Result<(Generation, bool)> {
    let all = begun_in(conn, name, now)?;
    if let Some(known) = of(&all, State::Building) {
        return Ok((known.clone(), false));
    }
    let number = all.iter().map(|one| one.number).max().unwrap_or(0).saturating_add(1);
    let new = Generation { number, state: State::Building, place: Place::default(), started_at: now };
    insert_in(conn, name, &new)?;
    Ok((new, true))
}

/// How the projection `name` stands.
///
/// # Errors
/// The store's.
pub fn status_in(conn: &mut Conn, name: &str) -> Result<Status> {
    let all = all_in(conn, name)?;
    let known = follower::find_in(conn, name)?;
    let place = known.as_ref().map(|known| known.place).unwrap_or_default();
    let Lag { events, oldest } = lag_in(conn, Unread::LOG, place)?;
    let built = |one: &Generation| (one.number, one.started_at, one.place);
    Ok(Status {
        name: name.to_owned(),
        place: Some(place),
        lag: Lag { events, oldest },
        paused_at: known.and_then(|known| known.paused_at),
        live: of(&all, State::Live).map(|one| (one.number, one.started_at)),
        building: of(&all, State::Building).map(built),
        rebuilds_from: None,
    })
}

/// The follower that keeps the generation which answers.
struct Live(Arc<dyn Projects>);

impl Follows for Live {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn begin(&self) -> Begin {
        Begin::First
    }

    fn take_in(&self, conn: &mut Conn, entries: &[Entry], now: Ts) -> Result<()> {
        // Whoever puts another in its place holds the follower, as we do by now.
        let all = begun_in(conn, self.name(), now)?;
        let live = of(&all, State::Live).ok_or_else(|| Error::internal("no generation answers"))?;
        self.0.take_in(conn, live.number, entries)
    }
}

/// The follower that keeps `projects` up to date.
#[must_use]
pub fn live(projects: &Arc<dyn Projects>) -> Arc<dyn Follows> {
    Arc::new(Live(Arc::clone(projects)))
}

/// What one step of rebuilding came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Built {
    /// There was nothing to do.
    Nothing,
    /// Some events were taken in, or something of a generation was removed that was given up.
    Some,
    /// The generation that was built answers now.
    Answers(i64),
    /// Somebody else took that step.
    Elsewhere,
}

/// Takes one step of rebuilding, of at most `limit` events: of what is built, or else of removing what was given up.
///
/// # Errors
/// The store's.
pub async fn build(db: &Db, projects: &Arc<dyn Projects>, limit: i64) -> Result<Built> {
    let name = projects.name();
    let (all, next) = db
        .read(move |conn| {
            let all = all_in(conn, name)?;
            let next = match (of(&all, State::Building), follower::find_in(conn, name)?) {
                (Some(one), Some(live)) => {
                    Some((one.clone(), settled_in(conn, one.place, Some(live.place), limit)?))
                }
                _ => None,
            };
            Ok((all, next))
        })
        .await?;
    let mine = Arc::clone(projects);
    let Some((one, entries)) = next else {
        let Some(old) = of(&all, State::Dropped).map(|one| one.number) else { return Ok(Built::Nothing) };
        db.write_held(move |conn| sweep_in(conn, &*mine, old)).await?;
        return Ok(Built::Some);
    };
    match entries.last().map(|entry| entry.place) {
        Some(to) if is_full(&entries, limit) => {
            let moved = db
                .write_held(move |conn| {
                    let moved = advance_in(conn, name, &one, to)?;
                    if moved {
                        mine.take_in(conn, one.number, &entries)?;
                    }
                    Ok(moved)
                })
                .await?;
            failpoint::reach(|| format!("rebuild/{name}/step")).await;
            Ok(if moved { Built::Some } else { Built::Elsewhere })
        }
        _ => {
            failpoint::reach(|| format!("rebuild/{name}/swap")).await;
            db.write_held(move |conn| finish_in(conn, &*mine, &one, limit)).await
        }
    }
}

fn is_full(entries: &[Entry], limit: i64) -> bool {
    i64::try_from(entries.len()).is_ok_and(|taken| taken >= limit)
}

/// Moves what is built from where it was read to `to`, unless somebody else moved it, or it is built no longer.
fn advance_in(conn: &mut Conn, name: &str, one: &Generation, to: Place) -> Result<bool> {
    let mine = generations::table
        .find((name.to_owned(), one.number))
        .filter(generations::state.eq(State::Building))
        .filter(generations::txid.eq(one.place.txid))
        .filter(generations::seq.eq(one.place.seq));
    let moved = diesel::update(mine)
        .set((generations::txid.eq(to.txid), generations::seq.eq(to.seq)))
        .execute(conn)?;
    Ok(moved == 1)
}

/// Takes the rest in and puts what is built in the place of what answers. The follower is held meanwhile, so it
/// takes nothing in that both would not have.
fn finish_in(conn: &mut Conn, projects: &dyn Projects, one: &Generation, limit: i64) -> Result<Built> {
    let name = projects.name();
    let held = diesel::update(followers::table.find(name.to_owned()))
        .set(followers::updated_at.eq(followers::updated_at))
        .execute(conn)?;
    let live = follower::find_in(conn, name)?.filter(|_| held == 1);
    let Some(live) = live else { return Ok(Built::Elsewhere) };
    let rest = settled_in(conn, one.place, Some(live.place), limit)?;
    let last = rest.last().map(|entry| entry.place).filter(|_| is_full(&rest, limit));
    if !advance_in(conn, name, one, last.unwrap_or(live.place))? {
        return Ok(Built::Elsewhere);
    }
    projects.take_in(conn, one.number, &rest)?;
    if last.is_some() {
        return Ok(Built::Some);
    }
    for (from, to) in [(State::Live, State::Dropped), (State::Building, State::Live)] {
        let those = generations::table
            .filter(generations::name.eq(name.to_owned()))
            .filter(generations::state.eq(from));
        diesel::update(those).set(generations::state.eq(to)).execute(conn)?;
    }
    Ok(Built::Answers(one.number))
}

fn sweep_in(conn: &mut Conn, projects: &dyn Projects, old: i64) -> Result<()> {
    if !projects.sweep_in(conn, old, SWEPT)? {
        let gone = generations::table.find((projects.name().to_owned(), old));
        diesel::delete(gone.filter(generations::state.eq(State::Dropped))).execute(conn)?;
    }
    Ok(())
}

/// Follows with `projects`, and builds it anew when that was asked for, until `stop`. All replicas do; each step is
/// one replica's.
pub async fn keep(db: Db, clock: Clock, projects: Arc<dyn Projects>, stop: CancellationToken) {
    let follows = follower::keep(db.clone(), clock, live(&projects), stop.clone());
    tokio::join!(follows, rebuilds(db, projects, stop));
}

async fn rebuilds(db: Db, projects: Arc<dyn Projects>, stop: CancellationToken) {
    let name = projects.name();
    while !stop.is_cancelled() {
        match build(&db, &projects, STEP).await {
            Ok(Built::Some) => continue,
            Ok(Built::Answers(generation)) => {
                tracing::info!(projection = name, generation, "a projection was built anew and answers now");
                continue;
            }
            // Who was first goes on; the others look now and then whether it still does.
            Ok(Built::Nothing | Built::Elsewhere) => {}
            Err(error) => {
                let cause = error.cause().map(tracing::field::display);
                tracing::warn!(projection = name, error = %error, cause, "a projection could not be built anew; trying again soon");
            }
        }
        stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await;
    }
}
