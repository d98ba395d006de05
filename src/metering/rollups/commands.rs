//! Projections as operators see them.

use serde::Serialize;
use utoipa::ToSchema;

use super::store::{self, Generation, State};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::log::events::ProjectionRebuildStarted;
use crate::log::{self, NewEvent};

/// What the roll-ups of usage are called among projections.
pub const NAME: &str = "usage_rollups";

/// A read model that follows what was written.
#[derive(Debug, Serialize, ToSchema)]
pub struct Projection {
    /// Its name.
    pub name: &'static str,
    /// How often it was built.
    pub generation: i64,
    /// When that was begun.
    pub started_at: Ts,
    /// Since when what comes in waits to be in it; null when all of it is.
    pub behind_since: Option<Ts>,
    /// From this hour on it can be built anew; before, it stays as it is.
    pub rebuilds_from: Ts,
    /// When another was begun that is built beside it; null when none is.
    pub rebuilding_since: Option<Ts>,
}

/// All projections.
#[derive(Debug, Serialize, ToSchema)]
pub struct Projections {
    /// Each.
    pub data: Vec<Projection>,
    /// Always null: they are one page.
    pub next_cursor: Option<String>,
}

fn told(all: &[Generation], behind_since: Option<Ts>) -> Result<Projection> {
    let of = |state| all.iter().find(|one| one.state == state);
    let live = of(State::Live).ok_or_else(|| Error::internal("no roll-ups answer"))?;
    Ok(Projection {
        name: NAME,
        generation: live.generation,
        started_at: live.started_at,
        behind_since,
        rebuilds_from: live.raw_from,
        rebuilding_since: of(State::Building).map(|one| one.started_at),
    })
}

/// All projections, and how far they are.
///
/// # Errors
/// As [`Caller::may`]; the store's.
pub async fn list(app: &App, caller: &Caller) -> Result<Projections> {
    caller.may(Verb::ReadOperations)?;
    let one = app
        .db
        .read(|conn| {
            let all = store::all(conn)?;
            let live = store::live(conn)?;
            let next = store::settled(conn, live.place, None, 1)?;
            told(&all, next.first().map(|raw| raw.received_at))
        })
        .await?;
    Ok(Projections { data: vec![one], next_cursor: None })
}

/// Begins to build a projection anew. It answers as it is until the new one has caught up.
///
/// # Errors
/// As [`Caller::may`]; [`Error::NotFound`]; the store's.
pub async fn rebuild(app: &App, caller: &Caller, name: &str) -> Result<Projection> {
    caller.may(Verb::RebuildProjections)?;
    if name != NAME {
        return Err(Error::NotFound("projection"));
    }
    let (now, caller) = (app.clock.now(), caller.clone());
    let projection = app
        .db
        .write(move |conn| {
            let known = store::all(conn)?;
            if !known.iter().any(|one| one.state == State::Building) {
                let new = store::start(conn, now)?;
                let started = ProjectionRebuildStarted { name: NAME.into(), generation: new.generation };
                log::append_in(conn, &caller, now, NewEvent::global(started))?;
            }
            told(&store::all(conn)?, None)
        })
        .await?;
    app.intake.news.notify_one();
    Ok(projection)
}
