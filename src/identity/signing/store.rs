//! The table of signing keys.

use diesel::prelude::*;

use super::model::Life;
use crate::db::Conn;
use crate::db::schema::signing_keys;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};

/// A key that signs access tokens.
#[derive(Queryable, Selectable, Insertable, Clone)]
#[diesel(table_name = signing_keys)]
pub struct SigningKeyRow {
    /// Its id in the JWKS.
    pub kid: String,
    /// Ed25519 in PKCS#8, sealed.
    pub private_key: Vec<u8>,
    /// The 32 public bytes.
    pub public_key: Vec<u8>,
    /// When it was made.
    pub created_at: Ts,
    /// From when it signs.
    pub active_at: Ts,
    /// When it was taken out of use.
    pub retired_at: Option<Ts>,
}

impl SigningKeyRow {
    /// Its moments.
    pub fn life(&self) -> Life {
        Life {
            kid: self.kid.clone(),
            created_at: self.created_at,
            active_at: self.active_at,
            retired_at: self.retired_at,
        }
    }
}

/// All signing keys, newest first.
///
/// # Errors
/// The store's.
pub fn all(conn: &mut Conn) -> Result<Vec<SigningKeyRow>> {
    signing_keys::table
        .order((signing_keys::active_at.desc(), signing_keys::kid.desc()))
        .select(SigningKeyRow::as_select())
        .load(conn)
        .map_err(Into::into)
}

/// Writes a new signing key.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, row: SigningKeyRow) -> Result<()> {
    diesel::insert_into(signing_keys::table).values(row).execute(conn)?;
    Ok(())
}

/// Takes a key out of use.
///
/// # Errors
/// [`Error::NotFound`].
pub fn retire(conn: &mut Conn, kid: &str, now: Ts) -> Result<()> {
    let rows = diesel::update(signing_keys::table.find(kid))
        .set(signing_keys::retired_at.eq(Some(now)))
        .execute(conn)?;
    if rows == 1 { Ok(()) } else { Err(Error::NotFound("signing key")) }
}

/// Removes the record of a key.
///
/// # Errors
/// The store's.
pub fn remove(conn: &mut Conn, kid: &str) -> Result<()> {
    diesel::delete(signing_keys::table.find(kid)).execute(conn)?;
    Ok(())
}
