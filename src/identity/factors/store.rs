//! The tables of second factors and recovery codes.

use diesel::prelude::*;

use crate::auth::secret_key::KeyHash;
use crate::db::Conn;
use crate::db::schema::{recovery_codes, totp_factors};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::PersonId;

/// A person's authenticator.
#[derive(Queryable, Selectable, Insertable, Clone)]
#[diesel(table_name = totp_factors)]
pub struct FactorRow {
    /// Whose.
    pub person_id: PersonId,
    /// What is shared with it, sealed.
    pub secret: Vec<u8>,
    /// When it was begun.
    pub created_at: Ts,
    /// Since when it is asked for.
    pub confirmed_at: Option<Ts>,
    /// The step of the last code that was used.
    pub last_step: i64,
}

/// A person's authenticator, confirmed or not.
///
/// # Errors
/// The store's.
pub fn find(conn: &mut Conn, person: PersonId) -> Result<Option<FactorRow>> {
    totp_factors::table.find(person).select(FactorRow::as_select()).first(conn).optional().map_err(Into::into)
}

/// Writes a person's authenticator in place of one that was never confirmed.
///
/// # Errors
/// The store's.
pub fn begin(conn: &mut Conn, row: FactorRow) -> Result<()> {
    diesel::delete(totp_factors::table.find(row.person_id)).execute(conn)?;
    diesel::insert_into(totp_factors::table).values(row).execute(conn)?;
    Ok(())
}

/// Uses the code of `step`, and confirms the authenticator with it when it was not.
///
/// # Errors
/// [`Error::Unavailable`] (run again) when another code was used meanwhile.
pub fn use_step(conn: &mut Conn, factor: &FactorRow, step: i64, now: Ts) -> Result<()> {
    let unchanged = totp_factors::table
        .filter(totp_factors::person_id.eq(factor.person_id))
        .filter(totp_factors::last_step.eq(factor.last_step));
    let rows = diesel::update(unchanged)
        .set((
            totp_factors::last_step.eq(step),
            totp_factors::confirmed_at.eq(factor.confirmed_at.or(Some(now))),
        ))
        .execute(conn)?;
    if rows == 1 { Ok(()) } else { Err(Error::contended("a code was used meanwhile")) }
}

/// Removes a person's authenticator and recovery codes; false when there was none.
///
/// # Errors
/// The store's.
pub fn remove(conn: &mut Conn, person: PersonId) -> Result<bool> {
    Ok(diesel::delete(totp_factors::table.find(person)).execute(conn)? == 1)
}

/// Puts fresh recovery codes in place of all before.
///
/// # Errors
/// The store's.
pub fn set_recovery(conn: &mut Conn, person: PersonId, hashes: &[KeyHash]) -> Result<()> {
    diesel::delete(recovery_codes::table.filter(recovery_codes::person_id.eq(person))).execute(conn)?;
    for hash in hashes {
        diesel::insert_into(recovery_codes::table)
            .values((recovery_codes::person_id.eq(person), recovery_codes::hash.eq(hash.to_vec())))
            .execute(conn)?;
    }
    Ok(())
}

/// Uses up a recovery code; how many are left then, or `None` when it is none, or was used.
///
/// # Errors
/// The store's.
pub fn use_recovery(conn: &mut Conn, person: PersonId, hash: &KeyHash, now: Ts) -> Result<Option<i64>> {
    let fresh = recovery_codes::table
        .filter(recovery_codes::person_id.eq(person))
        .filter(recovery_codes::hash.eq(hash.to_vec()))
        .filter(recovery_codes::used_at.is_null());
    if diesel::update(fresh).set(recovery_codes::used_at.eq(Some(now))).execute(conn)? != 1 {
        return Ok(None);
    }
    let left = recovery_codes::table
        .filter(recovery_codes::person_id.eq(person))
        .filter(recovery_codes::used_at.is_null())
        .count()
        .get_result(conn)?;
    Ok(Some(left))
}
