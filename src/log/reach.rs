//! Waiting until the log has come somewhere, for a query that must see what its caller did just before. Every
//! command's answer names the place of the last event that it appended; a query that is given that place
//! answers when what it reads from has come so far, or says that it has not.

use std::time::Duration;

use diesel::prelude::*;
use tokio::time::{Instant, timeout_at};

use super::{Place, end_in, follower};
use crate::db::schema::events;
use crate::db::{Conn, Db};
use crate::kernel::error::{Error, Result};

/// How long a query waits for what it reads from, if nothing else is said.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How soon the store is asked again when nothing says that there is news: another replica may have been at
/// work. Then after twice as long, up to [`LONGEST`].
const SOON: Duration = Duration::from_millis(10);
/// The longest time between two looks.
const LONGEST: Duration = Duration::from_millis(250);

fn behind(why: &str, cause: &str) -> Error {
    Error::unavailable(
        "projection_behind",
        format!("what min_seq names is not in this answer yet: {why}"),
        cause,
    )
}

/// Waits until the follower `name` has taken everything up to `place`, for as long as `bound`. Moves of this
/// process wake it at once; moves of another replica are seen when this one's follower, or the clock, looks.
///
/// # Errors
/// [`Error::Unavailable`] `projection_behind`, at once when the follower is paused; the store's.
pub async fn reached(db: &Db, name: &str, place: Place, bound: Duration) -> Result<()> {
    let until = Instant::now() + bound;
    let (mut moves, mut rest) = (db.moves(), SOON);
    loop {
        moves.mark_unchanged();
        let wanted = name.to_owned();
        // What memory says tells when to look. Only the store says how far the follower is.
        let known = db.read(move |conn| follower::find_in(conn, &wanted)).await?;
        match known {
            Some(known) if known.place >= place => return Ok(()),
            Some(known) if known.paused_at.is_some() => {
                return Err(behind(
                    "what it is read from is paused; ask again later",
                    "the follower is paused",
                ));
            }
            _ if Instant::now() >= until => {
                return Err(behind("retry shortly", "the follower was not far enough in time"));
            }
            _ => {}
        }
        let arrives = async {
            while moves.changed().await.is_ok() {
                if moves.borrow_and_update().get(name).is_some_and(|at| *at >= place) {
                    return;
                }
            }
        };
        // When the time is over, there is one more look.
        drop(timeout_at(until.min(Instant::now() + rest), arrives).await);
        rest = rest.saturating_mul(2).min(LONGEST);
    }
}

/// Waits until the follower `name` has taken everything up to `min_seq`, if that is given, for as long as a query
/// waits.
///
/// # Errors
/// As [`reached`].
pub async fn caught_up(db: &Db, name: &str, min_seq: Option<Place>) -> Result<()> {
    match min_seq {
        Some(place) => reached(db, name, place, PATIENCE).await,
        None => Ok(()),
    }
}

/// Waits until the log is settled up to `place`, for as long as `bound`: then whoever reads it in its order finds
/// everything up to there.
///
/// # Errors
/// [`Error::Unavailable`] `projection_behind`; the store's.
pub async fn settled(db: &Db, place: Place, bound: Duration) -> Result<()> {
    let until = Instant::now() + bound;
    let (mut news, mut rest) = (db.news(), SOON);
    loop {
        news.mark_unchanged();
        if db.read(end_in).await? >= place {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(behind("retry shortly", "the log was not settled so far in time"));
        }
        drop(timeout_at(until.min(Instant::now() + rest), news.changed()).await);
        rest = rest.saturating_mul(2).min(LONGEST);
    }
}

/// Whether this snapshot of the store has the log up to `min_seq`, if that is given: for queries that read what
/// commands write, and so see it without waiting. It fails only for a place that this store has not given out,
/// such as one from before it was restored from an older backup.
///
/// # Errors
/// [`Error::Unavailable`] `projection_behind`; the store's.
pub fn holds_in(conn: &mut Conn, min_seq: Option<Place>) -> Result<()> {
    let Some(place) = min_seq else { return Ok(()) };
    let last: Option<(i64, i64)> = events::table
        .order((events::txid.desc(), events::seq.desc()))
        .select((events::txid, events::seq))
        .first(conn)
        .optional()?;
    match last {
        Some((txid, seq)) if place <= (Place { txid, seq }) => Ok(()),
        _ => Err(behind("the log does not reach so far", "the place is after the log's end")),
    }
}
