//! The tables of seals: what was sealed, and what is noted of the newest seal.

use diesel::prelude::*;

use super::model::chain::{Hash, Reach, Seal};
use crate::db::Conn;
use crate::db::schema::{audit_head, audit_seals};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::EventId;
use crate::log::Place;

/// The one row of `audit_head`.
const HEAD: i32 = 1;

type Row = (i64, i64, i64, EventId, Vec<u8>);

fn hash(bytes: &[u8]) -> Hash {
    // One of another length is none that was ever made, and equals none.
    Hash::of_slice(bytes).unwrap_or(Hash::START)
}

fn read((position, txid, seq, event, bytes): Row) -> Seal {
    Seal { position, place: Place { txid, seq }, event, hash: hash(&bytes) }
}

/// What is noted of the newest seal; before the first when the note is gone.
///
/// # Errors
/// The store's.
pub fn head_in(conn: &mut Conn) -> Result<Reach> {
    let columns = (audit_head::position, audit_head::txid, audit_head::seq, audit_head::hash);
    let row: Option<(i64, i64, i64, Vec<u8>)> =
        audit_head::table.find(HEAD).select(columns).first(conn).optional()?;
    Ok(row.map_or(Reach::START, |(position, txid, seq, bytes)| Reach {
        position,
        place: Place { txid, seq },
        hash: hash(&bytes),
    }))
}

/// Adds `seals` and notes the newest.
///
/// # Errors
/// The store's.
pub fn add_in(conn: &mut Conn, seals: &[Seal], head: &Reach) -> Result<()> {
    let rows: Vec<_> = seals
        .iter()
        .map(|seal| {
            (
                audit_seals::position.eq(seal.position),
                audit_seals::txid.eq(seal.place.txid),
                audit_seals::seq.eq(seal.place.seq),
                audit_seals::event_id.eq(seal.event),
                audit_seals::hash.eq(seal.hash.bytes().to_vec()),
            )
        })
        .collect();
    crate::each!(conn, |c| diesel::insert_into(audit_seals::table).values(rows).execute(c))?;
    let noted = (
        audit_head::position.eq(head.position),
        audit_head::txid.eq(head.place.txid),
        audit_head::seq.eq(head.place.seq),
        audit_head::hash.eq(head.hash.bytes().to_vec()),
    );
    match diesel::update(audit_head::table.find(HEAD)).set(noted).execute(conn)? {
        1 => Ok(()),
        _ => Err(Error::internal("the note of the newest seal is gone: see `tenantry audit verify`")),
    }
}

/// The next seals after the one at `position`.
///
/// # Errors
/// The store's.
pub fn seals_in(conn: &mut Conn, position: i64, limit: i64) -> Result<Vec<Seal>> {
    let rows: Vec<Row> = audit_seals::table
        .filter(audit_seals::position.gt(position))
        .order(audit_seals::position)
        .limit(limit)
        .load(conn)?;
    Ok(rows.into_iter().map(read).collect())
}

/// The seal at `position`, if it is there.
///
/// # Errors
/// The store's.
pub fn seal_at_in(conn: &mut Conn, position: i64) -> Result<Option<Seal>> {
    let row: Option<Row> = audit_seals::table.find(position).first(conn).optional()?;
    Ok(row.map(read))
}

/// The seal of `event`, if it is there.
///
/// # Errors
/// The store's.
pub fn seal_of_in(conn: &mut Conn, event: EventId) -> Result<Option<Seal>> {
    let row: Option<Row> =
        audit_seals::table.filter(audit_seals::event_id.eq(event)).first(conn).optional()?;
    Ok(row.map(read))
}
