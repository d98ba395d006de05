//! The tables of users and memberships.

use diesel::prelude::*;

use super::factors::store as factors;
use super::sessions::store as sessions;
use crate::auth::caller::TenantRole;
use crate::db::Conn;
use crate::db::schema::{memberships, users};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{TenantId, UserId};

/// A person.
#[derive(Queryable, Selectable, Insertable, Clone)]
#[diesel(table_name = users)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their address, lower-cased; unique.
    pub email: String,
    /// argon2id in PHC text; none until a password is set.
    pub password_hash: Option<String>,
    /// When they were made.
    pub created_at: Ts,
    /// When they last changed.
    pub updated_at: Ts,
}

/// A person's place in a tenant.
#[derive(Queryable, Selectable, Insertable, Clone, Copy)]
#[diesel(table_name = memberships)]
pub struct Membership {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The person.
    pub user_id: UserId,
    /// What they may do there.
    pub role: TenantRole,
    /// Since when.
    pub created_at: Ts,
    /// Its revision.
    pub rev: i64,
}

/// Finds a person by address.
///
/// # Errors
/// The store's.
pub fn by_email(conn: &mut Conn, email: &str) -> Result<Option<User>> {
    users::table
        .filter(users::email.eq(email))
        .select(User::as_select())
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// Reads a person.
///
/// # Errors
/// The store's.
pub fn user_by_id(conn: &mut Conn, id: UserId) -> Result<Option<User>> {
    users::table.find(id).select(User::as_select()).first(conn).optional().map_err(Into::into)
}

/// Writes a new person.
///
/// # Errors
/// [`Error::Unavailable`] (run again) when another transaction took the address meanwhile.
pub fn insert_user(conn: &mut Conn, user: User) -> Result<()> {
    diesel::insert_into(users::table).values(user).execute(conn).map_err(|error| {
        match Error::from(error) {
            Error::Conflict { detail, .. } => Error::contended(detail),
            other => other,
        }
    })?;
    Ok(())
}

/// Writes a new membership.
///
/// # Errors
/// The store's.
pub fn insert_membership(conn: &mut Conn, membership: Membership) -> Result<()> {
    diesel::insert_into(memberships::table).values(membership).execute(conn)?;
    Ok(())
}

/// All memberships of a person, oldest first.
///
/// # Errors
/// The store's.
pub fn memberships_of(conn: &mut Conn, user: UserId) -> Result<Vec<Membership>> {
    memberships::table
        .filter(memberships::user_id.eq(user))
        .order(memberships::created_at.asc())
        .select(Membership::as_select())
        .load(conn)
        .map_err(Into::into)
}

/// Removes a tenant's memberships, and the people who were members of nothing else.
///
/// # Errors
/// The store's.
pub fn remove_members_in(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    sessions::remove_of_tenant(conn, tenant)?;
    let members: Vec<UserId> = memberships::table
        .filter(memberships::tenant_id.eq(tenant))
        .select(memberships::user_id)
        .load(conn)?;
    diesel::delete(memberships::table.filter(memberships::tenant_id.eq(tenant))).execute(conn)?;
    for user in members {
        if memberships_of(conn, user)?.is_empty() {
            sessions::remove_of_user(conn, user)?;
            factors::remove(conn, user.into())?;
            diesel::delete(users::table.find(user)).execute(conn)?;
        }
    }
    Ok(())
}
