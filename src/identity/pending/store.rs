//! The table of those who have not confirmed their address.

use diesel::prelude::*;

use crate::db::Conn;
use crate::db::schema::pending_owners as pending;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{OperationId, SignupId, TenantId};

/// Somebody who signed up and has not entered their code yet.
#[derive(Queryable, Selectable, Insertable, AsChangeset, Clone)]
#[diesel(table_name = pending)]
pub struct PendingOwner {
    /// Their signup.
    pub signup_id: SignupId,
    /// The tenant that waits for them.
    pub tenant_id: TenantId,
    /// The operation that makes its home once they have.
    pub operation_id: OperationId,
    /// The address they gave.
    pub email: String,
    /// The password they chose, argon2id in PHC text.
    pub password_hash: String,
    /// What is kept of the code.
    pub code_hash: Vec<u8>,
    /// Wrong codes since it was sent.
    pub tries: i32,
    /// How often a code was sent.
    pub sends: i32,
    /// When the last one was.
    pub sent_at: Ts,
    /// When they signed up.
    pub created_at: Ts,
    /// When the signup is given up.
    pub expires_at: Ts,
}

/// Writes a new one.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, owner: PendingOwner) -> Result<()> {
    diesel::insert_into(pending::table).values(owner).execute(conn)?;
    Ok(())
}

/// Writes a changed one.
///
/// # Errors
/// The store's.
pub fn save(conn: &mut Conn, owner: &PendingOwner) -> Result<()> {
    diesel::update(pending::table.find(owner.signup_id)).set(owner.clone()).execute(conn)?;
    Ok(())
}

/// The one of a signup.
///
/// # Errors
/// The store's.
pub fn find(conn: &mut Conn, id: SignupId) -> Result<Option<PendingOwner>> {
    pending::table.find(id).select(PendingOwner::as_select()).first(conn).optional().map_err(Into::into)
}

/// The one that a tenant waits for.
///
/// # Errors
/// The store's.
pub fn of_tenant(conn: &mut Conn, tenant: TenantId) -> Result<Option<PendingOwner>> {
    pending::table
        .filter(pending::tenant_id.eq(tenant))
        .select(PendingOwner::as_select())
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// The latest one with this address whose time is not over.
///
/// # Errors
/// The store's.
pub fn by_email(conn: &mut Conn, email: &str, now: Ts) -> Result<Option<PendingOwner>> {
    pending::table
        .filter(pending::email.eq(email))
        .filter(pending::expires_at.gt(now))
        .order(pending::created_at.desc())
        .select(PendingOwner::as_select())
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// Removes the one of a signup.
///
/// # Errors
/// The store's.
pub fn remove(conn: &mut Conn, id: SignupId) -> Result<()> {
    diesel::delete(pending::table.find(id)).execute(conn)?;
    Ok(())
}

/// Removes the one that a tenant waits for.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    diesel::delete(pending::table.filter(pending::tenant_id.eq(tenant))).execute(conn)?;
    Ok(())
}
