//! Followers of the log that keep tables: each has a place up to which it has read, and what it makes of the
//! events is written in the transaction that moves the place. So each event counts once, whenever a process
//! dies and however many replicas follow.

use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use tokio_util::sync::CancellationToken;

use super::{Entry, Place, end_in, settled_in};
use crate::db::schema::followers;
use crate::db::{Conn, Db};
use crate::kernel::clock::{Clock, Ts};
use crate::kernel::error::{Error, Result};

/// Events that one step takes.
pub const STEP: i64 = 500;
/// How often events are looked for when nothing wakes a follower.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a follower waits after a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// How soon a follower looks again for events whose transaction was not settled when it was woken; then after
/// twice as long, up to [`PERIOD`].
const UNSETTLED: Duration = Duration::from_millis(20);

/// Where a new follower begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the first event there ever was.
    First,
    /// With what happens from now on.
    Now,
}

/// How far somebody has followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    /// Its name.
    pub name: String,
    /// The last event that it took.
    pub place: Place,
    /// Since when it stands still because somebody asked for that.
    pub paused_at: Option<Ts>,
    /// When it last moved.
    pub updated_at: Ts,
}

type Row = (String, i64, i64, Option<Ts>, Ts);

fn read((name, txid, seq, paused_at, updated_at): Row) -> Follower {
    Follower { name, place: Place { txid, seq }, paused_at, updated_at }
}

const fn columns()
-> (followers::name, followers::txid, followers::seq, followers::paused_at, followers::updated_at) {
    (followers::name, followers::txid, followers::seq, followers::paused_at, followers::updated_at)
}

/// All followers, by name.
///
/// # Errors
/// The store's.
pub fn all_in(conn: &mut Conn) -> Result<Vec<Follower>> {
    let rows: Vec<Row> = followers::table.select(columns()).order(followers::name).load(conn)?;
    Ok(rows.into_iter().map(read).collect())
}

/// The follower `name`, if it has begun.
///
/// # Errors
/// The store's.
pub fn find_in(conn: &mut Conn, name: &str) -> Result<Option<Follower>> {
    let row: Option<Row> = followers::table.find(name).select(columns()).first(conn).optional()?;
    Ok(row.map(read))
}

/// The follower `name`; one that is new begins at `begin`.
///
/// # Errors
/// The store's.
pub fn open_in(conn: &mut Conn, name: &str, begin: Begin, now: Ts) -> Result<Follower> {
    if let Some(known) = find_in(conn, name)? {
        return Ok(known);
    }
    let place = match begin {
        Begin::First => Place::default(),
        Begin::Now => end_in(conn)?,
    };
    let row = (
        followers::name.eq(name),
        followers::txid.eq(place.txid),
        followers::seq.eq(place.seq),
        followers::updated_at.eq(now),
    );
    crate::each!(conn, |c| diesel::insert_into(followers::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c))?;
    find_in(conn, name)?.ok_or_else(|| Error::internal("a follower is not there after it was made"))
}

/// Moves `name` from `from` to `to`, unless it is paused or stands elsewhere by now: whether it did. Called
/// first in the transaction that writes what was read on the way; when it answers false, nothing may be
/// written.
///
/// # Errors
/// The store's.
pub fn advance_in(conn: &mut Conn, name: &str, from: Place, to: Place, now: Ts) -> Result<bool> {
    let mine = followers::table
        .find(name)
        .filter(followers::txid.eq(from.txid))
        .filter(followers::seq.eq(from.seq))
        .filter(followers::paused_at.is_null());
    let moved = diesel::update(mine)
        .set((followers::txid.eq(to.txid), followers::seq.eq(to.seq), followers::updated_at.eq(now)))
        .execute(conn)?;
    Ok(moved == 1)
}

/// Lets `name` stand still from `now` on, or go on: whether that changed anything.
///
/// # Errors
/// The store's.
pub fn pause_in(conn: &mut Conn, name: &str, still: bool, now: Ts) -> Result<bool> {
    let known = followers::table.find(name.to_owned());
    let rows = if still {
        let moving = known.filter(followers::paused_at.is_null());
        diesel::update(moving).set(followers::paused_at.eq(Some(now))).execute(conn)?
    } else {
        let paused = known.filter(followers::paused_at.is_not_null());
        diesel::update(paused).set(followers::paused_at.eq(None::<Ts>)).execute(conn)?
    };
    Ok(rows == 1)
}

/// Somebody who keeps tables by following the log.
pub trait Follows: Send + Sync + 'static {
    /// Its name among followers.
    fn name(&self) -> &'static str;

    /// Where it begins when it is new.
    fn begin(&self) -> Begin;

    /// Writes what `entries` mean, in the transaction that moves the place past them. It may run again when
    /// that transaction is repeated, so it changes nothing but the store.
    ///
    /// # Errors
    /// The store's; whatever keeps it from going on.
    fn take_in(&self, conn: &mut Conn, entries: &[Entry], now: Ts) -> Result<()>;

    /// Something was taken and is committed.
    fn moved(&self) {}
}

/// What one step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Step {
    /// Events that it took.
    pub events: usize,
    /// Whether there is more to do at once.
    pub more: bool,
}

/// Takes one step of at most `limit` events.
///
/// # Errors
/// The store's, and what [`Follows::take_in`] answers.
pub async fn step(db: &Db, now: Ts, follows: &Arc<dyn Follows>, limit: i64) -> Result<Step> {
    let name = follows.name();
    let known = db
        .read(move |conn| {
            let Some(known) = find_in(conn, name)? else { return Ok(None) };
            let entries = match known.paused_at {
                Some(_) => Vec::new(),
                None => settled_in(conn, known.place, None, limit)?,
            };
            Ok(Some((known.place, entries)))
        })
        .await?;
    if let Some((place, _)) = &known {
        db.stands(name, *place);
    }
    let Some((from, entries)) = known else {
        let begin = follows.begin();
        db.write(move |conn| open_in(conn, name, begin, now).map(drop)).await?;
        return Ok(Step { events: 0, more: true });
    };
    let Some(to) = entries.last().map(|entry| entry.place) else { return Ok(Step::default()) };
    let (events, full) = (entries.len(), i64::try_from(entries.len()).is_ok_and(|taken| taken >= limit));
    let taker = Arc::clone(follows);
    let moved = db
        .write_held(move |conn| {
            let moved = advance_in(conn, name, from, to, now)?;
            if moved {
                taker.take_in(conn, &entries, now)?;
            }
            Ok(moved)
        })
        .await?;
    if moved {
        db.stands(name, to);
        follows.moved();
    }
    Ok(Step { events: if moved { events } else { 0 }, more: full || !moved })
}

/// Follows until `stop`. Replicas may all do so at once: whoever is first with a stretch of the log writes it.
pub async fn keep(db: Db, clock: Clock, follows: Arc<dyn Follows>, stop: CancellationToken) {
    let mut news = db.news();
    let mut rest = UNSETTLED;
    while !stop.is_cancelled() {
        news.mark_unchanged();
        match step(&db, clock.now(), &follows, STEP).await {
            Ok(step) if step.more => continue,
            Ok(step) if step.events > 0 => rest = UNSETTLED,
            Ok(_) => {}
            Err(error) => {
                let cause = error.cause().map(tracing::field::display);
                tracing::warn!(follower = follows.name(), error = %error, cause, "the log could not be followed; trying again soon");
                stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await;
                continue;
            }
        };
        tokio::select! {
            // What woke us may be of a transaction that others, still at work, keep from being settled.
            _ = news.changed() => rest = UNSETTLED,
            () = tokio::time::sleep(rest) => rest = rest.saturating_mul(2).min(PERIOD),
            () = stop.cancelled() => {}
        }
    }
}
