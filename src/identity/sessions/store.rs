//! The table of sessions.

use diesel::prelude::*;

use crate::db::Conn;
use crate::db::schema::sessions;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{SessionId, TenantId, UserId};
use crate::words;

words! {
    /// Why a session ended.
    EndReason as "SessionEndReason", "reason of a session's end" {
        /// Its person signed out.
        SignedOut = "signed_out",
        /// Its person, or an administrator of the tenant, ended it.
        Revoked = "revoked",
        /// A spent refresh token came back: somebody else may hold a copy.
        TokenReused = "token_reused",
        /// The password was changed or reset.
        PasswordChanged = "password_changed",
        /// The address was changed.
        EmailChanged = "email_changed",
        /// The person is no longer a member.
        MemberRemoved = "member_removed",
    }
}

/// A session's record.
#[derive(Queryable, Selectable, Insertable, Clone, Debug)]
#[diesel(table_name = sessions)]
pub struct SessionRow {
    /// Its id, the `jti` of its access tokens.
    pub id: SessionId,
    /// The person.
    pub user_id: UserId,
    /// The tenant they signed in to.
    pub tenant_id: TenantId,
    /// Where they signed in from.
    pub address: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
    /// When they signed in.
    pub created_at: Ts,
    /// When it was last refreshed.
    pub used_at: Ts,
    /// When it ends unless it is refreshed.
    pub expires_at: Ts,
    /// When it ended before its time.
    pub ended_at: Option<Ts>,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
}

/// Writes a new session.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, session: SessionRow) -> Result<()> {
    diesel::insert_into(sessions::table).values(session).execute(conn)?;
    Ok(())
}

/// Ends a person's open sessions, in one tenant or in all, but for `except`; answers which ones ended, for
/// the caller's event.
///
/// # Errors
/// The store's.
pub fn end_of_user_in(
    conn: &mut Conn,
    user: UserId,
    tenant: Option<TenantId>,
    except: Option<SessionId>,
    reason: EndReason,
    now: Ts,
) -> Result<Vec<SessionId>> {
    let mut open = sessions::table
        .select(sessions::id)
        .filter(sessions::user_id.eq(user))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now))
        .into_boxed();
    if let Some(tenant) = tenant {
        open = open.filter(sessions::tenant_id.eq(tenant));
    }
    if let Some(except) = except {
        open = open.filter(sessions::id.ne(except));
    }
    let ids: Vec<SessionId> = open.load(conn)?;
    diesel::update(sessions::table.filter(sessions::id.eq_any(ids.clone())))
        .set((sessions::ended_at.eq(now), sessions::end_reason.eq(reason)))
        .execute(conn)?;
    Ok(ids)
}

/// Removes a person's sessions.
///
/// # Errors
/// The store's.
pub fn remove_of_user(conn: &mut Conn, user: UserId) -> Result<()> {
    diesel::delete(sessions::table.filter(sessions::user_id.eq(user))).execute(conn)?;
    Ok(())
}

/// Removes a tenant's sessions.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    diesel::delete(sessions::table.filter(sessions::tenant_id.eq(tenant))).execute(conn)?;
    Ok(())
}
