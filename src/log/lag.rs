//! How far those who follow are behind, and how they stand.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::{Place, follower};
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::sql::SqlTs;

/// Unread events are counted up to here: to count millions would keep the store busy.
pub const COUNTED: i64 = 100_000;

/// Rows that are followed in the order of `txid` and `seq`.
#[derive(Debug, Clone, Copy)]
pub struct Unread {
    /// The table.
    pub table: &'static str,
    /// Its column with the moment of a row.
    pub at: &'static str,
}

impl Unread {
    /// The log.
    pub const LOG: Self = Self { table: "events", at: "at" };
}

/// What somebody who follows has not taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// How many rows, up to [`COUNTED`].
    pub events: i64,
    /// When the first of them was written.
    pub oldest: Option<Ts>,
}

/// How somebody who follows stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// The last row that it took.
    pub place: Option<Place>,
    /// What it has not taken yet.
    pub lag: Lag,
    /// Since when it stands still because somebody asked for that.
    pub paused_at: Option<Ts>,
    /// The generation that answers, and when it was begun; `None` for who keeps none.
    pub live: Option<(i64, Ts)>,
    /// The generation that is built beside it, when that was begun, and how far it is.
    pub building: Option<(i64, Ts, Place)>,
    /// From when on it can be built anew, when that is not from the first event on.
    pub rebuilds_from: Option<Ts>,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct At {
    #[diesel(sql_type = SqlTs)]
    at: Ts,
}

/// What `unread` holds after `place`, also what is not settled yet.
///
/// # Errors
/// The store's.
pub fn lag_in(conn: &mut Conn, Unread { table, at }: Unread, place: Place) -> Result<Lag> {
    let (oldest, count): (Option<At>, Count) = match conn {
        Conn::Sqlite(c) => (
            diesel::sql_query(format!("SELECT {at} AS at FROM {table} WHERE seq > ? ORDER BY seq LIMIT 1"))
                .bind::<BigInt, _>(place.seq)
                .get_result(c)
                .optional()?,
            diesel::sql_query(format!(
                "SELECT count(*) AS n FROM (SELECT 1 FROM {table} WHERE seq > ? LIMIT {COUNTED}) AS unread"
            ))
            .bind::<BigInt, _>(place.seq)
            .get_result(c)?,
        ),
        Conn::Postgres(c) => (
            diesel::sql_query(format!(
                "SELECT {at} AS at FROM {table} WHERE (txid, seq) > ($1, $2) ORDER BY txid, seq LIMIT 1"
            ))
            .bind::<BigInt, _>(place.txid)
            .bind::<BigInt, _>(place.seq)
            .get_result(c)
            .optional()?,
            diesel::sql_query(format!(
                "SELECT count(*) AS n FROM (SELECT 1 FROM {table} WHERE (txid, seq) > ($1, $2) \
                 LIMIT {COUNTED}) AS unread"
            ))
            .bind::<BigInt, _>(place.txid)
            .bind::<BigInt, _>(place.seq)
            .get_result(c)?,
        ),
    };
    Ok(Lag { events: count.n, oldest: oldest.map(|row| row.at) })
}

/// How those stand who follow the log, by name.
///
/// # Errors
/// The store's.
pub fn followers_in(conn: &mut Conn) -> Result<Vec<Status>> {
    let mut all = Vec::new();
    for known in follower::all_in(conn)? {
        all.push(Status {
            lag: lag_in(conn, Unread::LOG, known.place)?,
            name: known.name,
            place: Some(known.place),
            paused_at: known.paused_at,
            live: None,
            building: None,
            rebuilds_from: None,
        });
    }
    Ok(all)
}
