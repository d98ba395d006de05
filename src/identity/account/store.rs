//! The tables of asked-for passwords and addresses, and what changes of a user.

use diesel::prelude::*;

use crate::db::Conn;
use crate::db::schema::{email_changes as changes, password_resets as resets, users};
use crate::identity::store::User;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::UserId;

/// A person by id.
///
/// # Errors
/// [`Error::NotFound`].
pub fn user(conn: &mut Conn, id: UserId) -> Result<User> {
    let found = users::table.find(id).select(User::as_select()).first(conn).optional()?;
    found.ok_or(Error::NotFound("user"))
}

/// Sets a person's password, and voids a token that would.
///
/// # Errors
/// The store's.
pub fn set_password(conn: &mut Conn, id: UserId, hash: &str, now: Ts) -> Result<()> {
    diesel::update(users::table.find(id))
        .set((users::password_hash.eq(Some(hash.to_owned())), users::updated_at.eq(now)))
        .execute(conn)?;
    remove_reset(conn, id)
}

/// Sets a person's address.
///
/// # Errors
/// [`Error::Conflict`] `email_in_use`.
pub fn set_email(conn: &mut Conn, id: UserId, email: &str, now: Ts) -> Result<()> {
    diesel::update(users::table.find(id))
        .set((users::email.eq(email.to_owned()), users::updated_at.eq(now)))
        .execute(conn)
        .map_err(|error| match Error::from(error) {
            // Checked before; a crossing transaction won. Running again says so clearly.
            Error::Conflict { detail, .. } => Error::contended(detail),
            other => other,
        })?;
    Ok(())
}

/// A token that sets a new password.
#[derive(Queryable, Selectable, Insertable, Clone)]
#[diesel(table_name = resets)]
pub struct Reset {
    /// Whose.
    pub user_id: UserId,
    /// What is kept of it.
    pub token_hash: Vec<u8>,
    /// When it was made.
    pub created_at: Ts,
    /// When it ends.
    pub expires_at: Ts,
}

/// The token of a person.
///
/// # Errors
/// The store's.
pub fn reset_of(conn: &mut Conn, user: UserId) -> Result<Option<Reset>> {
    resets::table.find(user).select(Reset::as_select()).first(conn).optional().map_err(Into::into)
}

/// The token itself, by what is kept of it.
///
/// # Errors
/// The store's.
pub fn reset_by_token(conn: &mut Conn, token_hash: &[u8]) -> Result<Option<Reset>> {
    resets::table
        .filter(resets::token_hash.eq(token_hash.to_vec()))
        .select(Reset::as_select())
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// Keeps a token in place of the person's last one.
///
/// # Errors
/// The store's.
pub fn put_reset(conn: &mut Conn, reset: Reset) -> Result<()> {
    remove_reset(conn, reset.user_id)?;
    diesel::insert_into(resets::table).values(reset).execute(conn)?;
    Ok(())
}

/// Voids a person's token.
///
/// # Errors
/// The store's.
pub fn remove_reset(conn: &mut Conn, user: UserId) -> Result<()> {
    diesel::delete(resets::table.find(user)).execute(conn)?;
    Ok(())
}

/// An address that waits to be confirmed.
#[derive(Queryable, Selectable, Insertable, Clone)]
#[diesel(table_name = changes)]
pub struct EmailChange {
    /// Whose.
    pub user_id: UserId,
    /// The new address.
    pub email: String,
    /// What is kept of the code.
    pub code_hash: Vec<u8>,
    /// Wrong codes so far.
    pub tries: i32,
    /// When it was asked for.
    pub created_at: Ts,
    /// When it ends.
    pub expires_at: Ts,
}

/// The address that a person asked for.
///
/// # Errors
/// The store's.
pub fn change_of(conn: &mut Conn, user: UserId) -> Result<Option<EmailChange>> {
    changes::table.find(user).select(EmailChange::as_select()).first(conn).optional().map_err(Into::into)
}

/// Keeps an asked-for address in place of the person's last one.
///
/// # Errors
/// The store's.
pub fn put_change(conn: &mut Conn, change: EmailChange) -> Result<()> {
    remove_change(conn, change.user_id)?;
    diesel::insert_into(changes::table).values(change).execute(conn)?;
    Ok(())
}

/// Forgets an asked-for address.
///
/// # Errors
/// The store's.
pub fn remove_change(conn: &mut Conn, user: UserId) -> Result<()> {
    diesel::delete(changes::table.find(user)).execute(conn)?;
    Ok(())
}
