//! Leases on a follower's place, for followers whose work outside the store needs an order: one replica at a
//! time works, another takes over when it falls silent. Each lease has a number, its fence, greater than any
//! before it, and the place moves only under the newest: a holder that was frozen past its lease and wakes up
//! cannot move what others have moved meanwhile.

use diesel::prelude::*;

use super::Place;
use crate::db::Conn;
use crate::db::schema::{events, followers};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{EventId, ReplicaId};

/// A lease on a follower's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The follower.
    pub name: String,
    /// The holder.
    pub owner: ReplicaId,
    /// Which lease of this follower it is.
    pub fence: i64,
    /// Until when nobody else takes it.
    pub until: Ts,
    /// The last event that was taken when the lease began, or when it was last moved.
    pub place: Place,
}

macro_rules! held {
    ($lease:expr) => {
        followers::table
            .find($lease.name.clone())
            .filter(followers::lease_owner.eq($lease.owner))
            .filter(followers::fence.eq($lease.fence))
    };
}

/// Takes the lease of `name`, which has begun, until `until`, unless somebody else holds it at `now`. An
/// embedded store has one process: whoever held the lease before is gone.
///
/// # Errors
/// The store's.
pub fn lease_in(conn: &mut Conn, name: &str, owner: ReplicaId, now: Ts, until: Ts) -> Result<Option<Lease>> {
    let taken = (
        followers::lease_owner.eq(Some(owner)),
        followers::lease_until.eq(Some(until)),
        followers::fence.eq(followers::fence + 1),
    );
    let mine = followers::table.find(name.to_owned());
    let rows = match conn {
        Conn::Sqlite(c) => diesel::update(mine).set(taken).execute(c)?,
        Conn::Postgres(c) => {
            let free = followers::lease_until.is_null().or(followers::lease_until.lt(now));
            let free = mine.filter(free.or(followers::lease_owner.eq(owner)));
            diesel::update(free).set(taken).execute(c)?
        }
    };
    if rows == 0 {
        return Ok(None);
    }
    let (txid, seq, fence): (i64, i64, i64) = followers::table
        .find(name)
        .select((followers::txid, followers::seq, followers::fence))
        .first(conn)?;
    Ok(Some(Lease { name: name.to_owned(), owner, fence, until, place: Place { txid, seq } }))
}

/// Lengthens `lease` until `until`: whether it is still held.
///
/// # Errors
/// The store's.
pub fn renew_in(conn: &mut Conn, lease: &Lease, until: Ts) -> Result<bool> {
    let rows = diesel::update(held!(lease)).set(followers::lease_until.eq(Some(until))).execute(conn)?;
    Ok(rows == 1)
}

/// Gives `lease` up, if it is still held.
///
/// # Errors
/// The store's.
pub fn release_in(conn: &mut Conn, lease: &Lease) -> Result<bool> {
    let nobody = (followers::lease_owner.eq(None::<ReplicaId>), followers::lease_until.eq(None::<Ts>));
    let rows = diesel::update(held!(lease)).set(nobody).execute(conn)?;
    Ok(rows == 1)
}

/// Moves the place from where the lease's holder left it to `to`, unless another lease was given since or the
/// follower is paused: whether it did. The place never goes back.
///
/// # Errors
/// The store's.
pub fn advance_fenced_in(conn: &mut Conn, lease: &Lease, to: Place, now: Ts) -> Result<bool> {
    if to <= lease.place {
        return Ok(to == lease.place);
    }
    let mine = held!(lease)
        .filter(followers::txid.eq(lease.place.txid))
        .filter(followers::seq.eq(lease.place.seq))
        .filter(followers::paused_at.is_null());
    let moved = diesel::update(mine)
        .set((followers::txid.eq(to.txid), followers::seq.eq(to.seq), followers::updated_at.eq(now)))
        .execute(conn)?;
    Ok(moved == 1)
}

/// Where the event `id` stands, if it is in this log.
///
/// # Errors
/// The store's.
pub fn place_of_in(conn: &mut Conn, id: EventId) -> Result<Option<Place>> {
    let sqlite = matches!(conn, Conn::Sqlite(_));
    let found: Option<(i64, i64)> =
        events::table.filter(events::id.eq(id)).select((events::txid, events::seq)).first(conn).optional()?;
    Ok(found.map(|(txid, seq)| Place { txid: if sqlite { 0 } else { txid }, seq }))
}
