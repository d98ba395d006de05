//! The table of refresh tokens.

use diesel::prelude::*;

use crate::auth::secret_key::KeyHash;
use crate::db::Conn;
use crate::db::schema::refresh_tokens;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::SessionId;

/// A refresh token's record.
#[derive(Queryable, Clone, Debug)]
pub struct RefreshRow {
    /// The session it renews.
    pub session_id: SessionId,
    /// When it was spent.
    pub spent_at: Option<Ts>,
    /// From where.
    pub spent_from: Option<String>,
}

/// Writes a new refresh token.
///
/// # Errors
/// The store's.
pub fn insert_refresh(conn: &mut Conn, hash: &KeyHash, session: SessionId, now: Ts) -> Result<()> {
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::hash.eq(hash.to_vec()),
            refresh_tokens::session_id.eq(session),
            refresh_tokens::created_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Finds a refresh token. Its row is locked on PostgreSQL, so that of many who bring it at once one goes on
/// and the others see it spent.
///
/// # Errors
/// The store's.
pub fn refresh_by_hash(conn: &mut Conn, hash: &KeyHash) -> Result<Option<RefreshRow>> {
    let query = refresh_tokens::table.filter(refresh_tokens::hash.eq(hash.to_vec())).select((
        refresh_tokens::session_id,
        refresh_tokens::spent_at,
        refresh_tokens::spent_from,
    ));
    match conn {
        Conn::Sqlite(c) => query.first(c).optional(),
        Conn::Postgres(c) => query.for_update().first(c).optional(),
    }
    .map_err(Into::into)
}

/// Spends a refresh token.
///
/// # Errors
/// [`Error::Unavailable`] (run again) when somebody else spent it meanwhile.
pub fn spend(conn: &mut Conn, hash: &KeyHash, from: Option<&str>, now: Ts) -> Result<()> {
    let fresh = refresh_tokens::table
        .filter(refresh_tokens::hash.eq(hash.to_vec()))
        .filter(refresh_tokens::spent_at.is_null());
    let rows = diesel::update(fresh)
        .set((refresh_tokens::spent_at.eq(Some(now)), refresh_tokens::spent_from.eq(from)))
        .execute(conn)?;
    if rows == 1 { Ok(()) } else { Err(Error::contended("a refresh token was spent meanwhile")) }
}
