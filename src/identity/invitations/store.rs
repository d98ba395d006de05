//! The table of invitations.

use diesel::prelude::*;

use super::model::{Invitation, InvitationState};
use crate::auth::caller::TenantRole;
use crate::db::Conn;
use crate::db::schema::invitations;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{InvitationId, TenantId, UserId};
use crate::kernel::page::{Page, PageRequest};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = invitations)]
#[diesel(treat_none_as_null = true)]
struct Row {
    id: InvitationId,
    tenant_id: TenantId,
    email: String,
    role: TenantRole,
    state: InvitationState,
    token_hash: Vec<u8>,
    invited_by: String,
    user_id: Option<UserId>,
    rev: i64,
    created_at: Ts,
    updated_at: Ts,
    sent_at: Ts,
    expires_at: Ts,
}

impl From<Row> for Invitation {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            tenant_id: row.tenant_id,
            email: row.email,
            role: row.role,
            state: row.state,
            invited_by: row.invited_by,
            user_id: row.user_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
            sent_at: row.sent_at,
            expires_at: row.expires_at,
            rev: row.rev,
        }
    }
}

/// Writes a new invitation with what is kept of its token.
///
/// # Errors
/// The store's; [`Error::Unavailable`] (run again) when a crossing transaction invited the same address.
pub(super) fn insert(conn: &mut Conn, one: &Invitation, token_hash: Vec<u8>) -> Result<()> {
    let one = one.clone();
    let row = Row {
        id: one.id,
        tenant_id: one.tenant_id,
        email: one.email,
        role: one.role,
        state: one.state,
        token_hash,
        invited_by: one.invited_by,
        user_id: one.user_id,
        rev: one.rev,
        created_at: one.created_at,
        updated_at: one.updated_at,
        sent_at: one.sent_at,
        expires_at: one.expires_at,
    };
    diesel::insert_into(invitations::table).values(row).execute(conn).map_err(|error| {
        match Error::from(error) {
            Error::Conflict { detail, .. } => Error::contended(detail),
            other => other,
        }
    })?;
    Ok(())
}

/// Writes a changed invitation over the revision it was read at; with a new token when one is given.
///
/// # Errors
/// [`Error::PreconditionFailed`] when it changed meanwhile.
pub(super) fn save(conn: &mut Conn, one: &mut Invitation, token_hash: Option<Vec<u8>>) -> Result<()> {
    let read_at = one.rev;
    one.rev += 1;
    let row = invitations::table.find(one.id).filter(invitations::rev.eq(read_at));
    let rows = diesel::update(row)
        .set((
            invitations::state.eq(one.state),
            invitations::user_id.eq(one.user_id),
            invitations::rev.eq(one.rev),
            invitations::updated_at.eq(one.updated_at),
            invitations::sent_at.eq(one.sent_at),
            invitations::expires_at.eq(one.expires_at),
            token_hash.map(|hash| invitations::token_hash.eq(hash)),
        ))
        .execute(conn)?;
    if rows == 1 { Ok(()) } else { Err(Error::PreconditionFailed) }
}

/// An invitation of a tenant.
///
/// # Errors
/// [`Error::NotFound`], also for another tenant's.
pub(super) fn get(conn: &mut Conn, tenant: TenantId, id: InvitationId) -> Result<Invitation> {
    let row: Option<Row> = invitations::table
        .find(id)
        .filter(invitations::tenant_id.eq(tenant))
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    row.map(Invitation::from).ok_or(Error::NotFound("invitation"))
}

/// The invitation that a token belongs to.
///
/// # Errors
/// The store's.
pub(super) fn by_token(conn: &mut Conn, token_hash: &[u8]) -> Result<Option<Invitation>> {
    let row: Option<Row> = invitations::table
        .filter(invitations::token_hash.eq(token_hash.to_vec()))
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    Ok(row.map(Invitation::from))
}

/// The open invitation of an address, also when its time is over.
///
/// # Errors
/// The store's.
pub(super) fn open_of(conn: &mut Conn, tenant: TenantId, email: &str) -> Result<Option<Invitation>> {
    let row: Option<Row> = invitations::table
        .filter(invitations::tenant_id.eq(tenant))
        .filter(invitations::email.eq(email))
        .filter(invitations::state.eq(InvitationState::Open))
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    Ok(row.map(Invitation::from))
}

/// How many invitations of a tenant hold a seat.
///
/// # Errors
/// The store's.
pub(super) fn count_open(conn: &mut Conn, tenant: TenantId, now: Ts) -> Result<i64> {
    invitations::table
        .filter(invitations::tenant_id.eq(tenant))
        .filter(invitations::state.eq(InvitationState::Open))
        .filter(invitations::expires_at.gt(now))
        .count()
        .get_result(conn)
        .map_err(Into::into)
}

/// A page of a tenant's invitations, newest first.
///
/// # Errors
/// The store's.
pub(super) fn page(conn: &mut Conn, tenant: TenantId, request: PageRequest) -> Result<Page<Invitation>> {
    let mut query =
        invitations::table.filter(invitations::tenant_id.eq(tenant)).select(Row::as_select()).into_boxed();
    if let Some((at, id)) = request.after {
        let id = InvitationId::from_uuid(id);
        query = query.filter(
            invitations::created_at.lt(at).or(invitations::created_at.eq(at).and(invitations::id.lt(id))),
        );
    }
    let rows: Vec<Row> = query
        .order((invitations::created_at.desc(), invitations::id.desc()))
        .limit(request.fetch())
        .load(conn)?;
    let all = rows.into_iter().map(Invitation::from).collect();
    Ok(Page::cut(all, request, |one: &Invitation| (one.created_at, one.id.uuid())))
}

/// Removes a tenant's invitations.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    diesel::delete(invitations::table.filter(invitations::tenant_id.eq(tenant))).execute(conn)?;
    Ok(())
}
