//! Members as the tables of users and memberships have them.

use diesel::prelude::*;

use super::model::Member;
use crate::auth::caller::TenantRole;
use crate::db::Conn;
use crate::db::schema::{memberships, users};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{TenantId, UserId};
use crate::kernel::page::{Page, PageRequest};

type Row = (UserId, String, TenantRole, Ts, i64);

const COLUMNS: (
    memberships::user_id,
    users::email,
    memberships::role,
    memberships::created_at,
    memberships::rev,
) = (memberships::user_id, users::email, memberships::role, memberships::created_at, memberships::rev);

fn member((user_id, email, role, created_at, rev): Row) -> Member {
    Member { user_id, email, role, created_at, rev }
}

/// A member of a tenant.
///
/// # Errors
/// The store's.
pub fn find(conn: &mut Conn, tenant: TenantId, user: UserId) -> Result<Option<Member>> {
    let row: Option<Row> = memberships::table
        .inner_join(users::table.on(users::id.eq(memberships::user_id)))
        .filter(memberships::tenant_id.eq(tenant))
        .filter(memberships::user_id.eq(user))
        .select(COLUMNS)
        .first(conn)
        .optional()?;
    Ok(row.map(member))
}

/// A member of a tenant.
///
/// # Errors
/// [`Error::NotFound`], also for a member of another tenant.
pub fn get(conn: &mut Conn, tenant: TenantId, user: UserId) -> Result<Member> {
    find(conn, tenant, user)?.ok_or(Error::NotFound("member"))
}

/// A page of a tenant's members, newest first.
///
/// # Errors
/// The store's.
pub fn page(conn: &mut Conn, tenant: TenantId, request: PageRequest) -> Result<Page<Member>> {
    let mut query = memberships::table
        .inner_join(users::table.on(users::id.eq(memberships::user_id)))
        .filter(memberships::tenant_id.eq(tenant))
        .select(COLUMNS)
        .into_boxed();
    if let Some((at, id)) = request.after {
        let id = UserId::from_uuid(id);
        query = query.filter(
            memberships::created_at
                .lt(at)
                .or(memberships::created_at.eq(at).and(memberships::user_id.lt(id))),
        );
    }
    let rows: Vec<Row> = query
        .order((memberships::created_at.desc(), memberships::user_id.desc()))
        .limit(request.fetch())
        .load(conn)?;
    let all = rows.into_iter().map(member).collect();
    Ok(Page::cut(all, request, |member: &Member| (member.created_at, member.user_id.uuid())))
}

/// How many members a tenant has.
///
/// # Errors
/// The store's.
pub fn count(conn: &mut Conn, tenant: TenantId) -> Result<i64> {
    memberships::table.filter(memberships::tenant_id.eq(tenant)).count().get_result(conn).map_err(Into::into)
}

/// How many owners a tenant has.
///
/// # Errors
/// The store's.
pub fn owners(conn: &mut Conn, tenant: TenantId) -> Result<i64> {
    memberships::table
        .filter(memberships::tenant_id.eq(tenant))
        .filter(memberships::role.eq(TenantRole::Owner))
        .count()
        .get_result(conn)
        .map_err(Into::into)
}

/// The address of the owner who has been one of the members for longest.
///
/// # Errors
/// The store's.
pub fn owner_email(conn: &mut Conn, tenant: TenantId) -> Result<Option<String>> {
    memberships::table
        .inner_join(users::table.on(users::id.eq(memberships::user_id)))
        .filter(memberships::tenant_id.eq(tenant))
        .filter(memberships::role.eq(TenantRole::Owner))
        .order((memberships::created_at.asc(), memberships::user_id.asc()))
        .select(users::email)
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// The addresses of a tenant's owners and admins.
///
/// # Errors
/// The store's.
pub fn keepers_emails(conn: &mut Conn, tenant: TenantId) -> Result<Vec<String>> {
    memberships::table
        .inner_join(users::table.on(users::id.eq(memberships::user_id)))
        .filter(memberships::tenant_id.eq(tenant))
        .filter(memberships::role.eq_any([TenantRole::Owner, TenantRole::Admin]))
        .order((memberships::created_at.asc(), memberships::user_id.asc()))
        .select(users::email)
        .load(conn)
        .map_err(Into::into)
}

/// Whether an address belongs to a member.
///
/// # Errors
/// The store's.
pub fn has_email(conn: &mut Conn, tenant: TenantId, email: &str) -> Result<bool> {
    let found: i64 = memberships::table
        .inner_join(users::table.on(users::id.eq(memberships::user_id)))
        .filter(memberships::tenant_id.eq(tenant))
        .filter(users::email.eq(email))
        .count()
        .get_result(conn)?;
    Ok(found > 0)
}

/// Gives a member another role, and raises the revision.
///
/// # Errors
/// The store's; [`Error::PreconditionFailed`] when it changed meanwhile.
pub fn set_role(conn: &mut Conn, tenant: TenantId, member: &mut Member, role: TenantRole) -> Result<()> {
    let read_at = member.rev;
    let row = memberships::table.find((tenant, member.user_id)).filter(memberships::rev.eq(read_at));
    let rows = diesel::update(row)
        .set((memberships::role.eq(role), memberships::rev.eq(read_at + 1)))
        .execute(conn)?;
    if rows != 1 {
        return Err(Error::PreconditionFailed);
    }
    member.role = role;
    member.rev = read_at + 1;
    Ok(())
}

/// Ends a membership.
///
/// # Errors
/// The store's.
pub fn remove(conn: &mut Conn, tenant: TenantId, user: UserId) -> Result<()> {
    diesel::delete(memberships::table.find((tenant, user))).execute(conn)?;
    Ok(())
}
