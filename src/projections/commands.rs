//! Building projections anew, and letting those who follow stand still.

use super::MEMORY;
use super::model::Projection;
use super::queries;
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::db::Conn;
use crate::directory;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::log::events::{ProjectionPaused, ProjectionRebuildStarted, ProjectionResumed};
use crate::log::follower::{self, Begin};
use crate::log::{self, NewEvent, projection};
use crate::metering::rollups;

fn told_in(conn: &mut Conn, name: &str, now: Ts) -> Result<Projection> {
    let found = queries::all_in(conn, now)?.into_iter().find(|one| one.name == name);
    found.ok_or(Error::NotFound("projection"))
}

/// A name as it was asked for; PostgreSQL fails on a zero byte instead of finding nothing.
fn named(name: &str) -> Result<String> {
    if name.contains('\0') { Err(Error::NotFound("projection")) } else { Ok(name.to_owned()) }
}

fn is_in_directory(name: &str) -> bool {
    directory::projections().iter().any(|one| one.name() == name)
}

/// Begins to build a projection anew. It answers as it is until the new one has caught up.
///
/// # Errors
/// As [`Caller::may`]; [`Error::NotFound`]; [`Error::Conflict`] `not_rebuildable` for a follower that keeps nothing
/// to build anew; the store's.
pub async fn rebuild(app: &App, caller: &Caller, name: &str) -> Result<Projection> {
    caller.may(Verb::RebuildProjections)?;
    let (now, caller, name) = (app.clock.now(), caller.clone(), named(name)?);
    let projection = app
        .db
        .write(move |conn| {
            let begun = if name == rollups::NAME {
                rollups::start_in(conn, now)?
            } else if is_in_directory(&name) {
                let (new, begun) = projection::start_in(conn, &name, now)?;
                begun.then_some(new.number)
            } else if name == MEMORY || follower::find_in(conn, &name)?.is_some() {
                return Err(Error::conflict(
                    "not_rebuildable",
                    format!("`{name}` keeps nothing that could be built anew"),
                ));
            } else {
                return Err(Error::NotFound("projection"));
            };
            if let Some(generation) = begun {
                let started = ProjectionRebuildStarted { name: name.clone(), generation };
                log::append_in(conn, &caller, now, NewEvent::global(started))?;
            }
            told_in(conn, &name, now)
        })
        .await?;
    app.intake.news.notify_one();
    Ok(projection)
}

/// Lets one who follows stand still, until it is told to go on. What it keeps answers as it is meanwhile.
///
/// # Errors
/// As [`Caller::may`]; [`Error::NotFound`]; [`Error::Conflict`] `not_pausable` for memory; the store's.
pub async fn pause(app: &App, caller: &Caller, name: &str) -> Result<Projection> {
    caller.may(Verb::RebuildProjections)?;
    stand(app, caller, name, true).await
}

/// Lets one who was paused go on from where it stands.
///
/// # Errors
/// As [`pause`].
pub async fn resume(app: &App, caller: &Caller, name: &str) -> Result<Projection> {
    caller.may(Verb::RebuildProjections)?;
    stand(app, caller, name, false).await
}

async fn stand(app: &App, caller: &Caller, name: &str, still: bool) -> Result<Projection> {
    if name == MEMORY {
        return Err(Error::conflict("not_pausable", "memory that is not kept up to date may not answer"));
    }
    let (now, caller, name) = (app.clock.now(), caller.clone(), named(name)?);
    let projection = app
        .db
        .write_held(move |conn| {
            let changed = if name == rollups::NAME {
                rollups::pause_in(conn, still, now)?
            } else {
                if is_in_directory(&name) {
                    follower::open_in(conn, &name, Begin::First, now)?;
                }
                follower::pause_in(conn, &name, still, now)?
            };
            if changed {
                let name = name.clone();
                let event = if still {
                    NewEvent::global(ProjectionPaused { name })
                } else {
                    NewEvent::global(ProjectionResumed { name })
                };
                log::append_in(conn, &caller, now, event)?;
            }
            told_in(conn, &name, now)
        })
        .await?;
    app.intake.news.notify_one();
    Ok(projection)
}
