//! The table of signups.

use diesel::prelude::*;

use super::model::Verification;
use crate::db::Conn;
use crate::db::schema::signups;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{OperationId, SignupId, TenantId, UserId};

/// A signup.
#[derive(Insertable)]
#[diesel(table_name = signups)]
pub struct Signup {
    /// Its id.
    pub id: SignupId,
    /// The tenant it made.
    pub tenant_id: TenantId,
    /// Its owner.
    pub user_id: UserId,
    /// The work that makes the tenant's home.
    pub operation_id: OperationId,
    /// Whether the address waits to be verified.
    pub verification: Verification,
    /// When it came.
    pub created_at: Ts,
}

/// Writes a signup.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, signup: Signup) -> Result<()> {
    diesel::insert_into(signups::table).values(signup).execute(conn)?;
    Ok(())
}

/// A signup's tenant, when its person is known.
///
/// # Errors
/// The store's.
pub fn tenant_of(conn: &mut Conn, id: SignupId) -> Result<Option<TenantId>> {
    signups::table.find(id).select(signups::tenant_id).first(conn).optional().map_err(Into::into)
}

/// Removes a tenant's signups.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant_in(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    diesel::delete(signups::table.filter(signups::tenant_id.eq(tenant))).execute(conn)?;
    Ok(())
}
