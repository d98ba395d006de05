//! The tables of sessions and, in `refresh`, of their refresh tokens.

mod refresh;

use std::time::Duration;

use diesel::prelude::*;

use crate::auth::caller::TenantRole;
use crate::db::Conn;
use crate::db::schema::{refresh_tokens, sessions};
use crate::identity::sessions::model::{EndReason, SessionKind, SessionView, Visit};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{OperatorUserId, SessionId, TenantId, UserId};
use crate::kernel::page::{Page, PageRequest};

pub use refresh::{RefreshRow, insert_refresh, refresh_by_hash, spend};

/// How long the record of an ended session is kept.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// Open sessions of one person; older ones make room.
const MOST_OPEN: i64 = 100;
/// Rows that one look removes at most.
const SWEEP: i64 = 1_000;

/// A session's record.
#[derive(Queryable, Selectable, Insertable, Clone, Debug)]
#[diesel(table_name = sessions)]
pub struct SessionRow {
    /// Its id, the `sid` of its access tokens.
    pub id: SessionId,
    /// Whose it is.
    pub kind: SessionKind,
    /// The person, or the one in whose stead it is.
    pub user_id: Option<UserId>,
    /// The tenant; none for an operator's own.
    pub tenant_id: Option<TenantId>,
    /// The operator whose own it is.
    pub operator_id: Option<OperatorUserId>,
    /// The role of a visit that is not in one member's stead.
    pub role: Option<TenantRole>,
    /// The kind of operator who visits.
    pub actor_kind: Option<String>,
    /// The operator who visits.
    pub actor_id: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Where it was last used from.
    pub address: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
    /// Since when.
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

impl SessionRow {
    /// A session that begins at `now`, of nobody yet.
    pub fn beginning(
        id: SessionId,
        kind: SessionKind,
        address: Option<String>,
        user_agent: Option<String>,
        now: Ts,
        expires_at: Ts,
    ) -> Self {
        Self {
            id,
            kind,
            user_id: None,
            tenant_id: None,
            operator_id: None,
            role: None,
            actor_kind: None,
            actor_id: None,
            reason: None,
            address,
            user_agent,
            created_at: now,
            used_at: now,
            expires_at,
            ended_at: None,
            end_reason: None,
        }
    }

    /// Whether it is open at `now`.
    pub fn is_open(&self, now: Ts) -> bool {
        self.ended_at.is_none() && self.expires_at > now
    }

    /// As people see it.
    pub fn view(self, current: Option<SessionId>) -> SessionView {
        let impersonation = self.actor_id.map(|operator| Visit {
            operator,
            role: self.role,
            reason: self.reason.unwrap_or_default(),
        });
        SessionView {
            id: self.id,
            kind: self.kind,
            user_id: self.user_id,
            tenant_id: self.tenant_id,
            address: self.address,
            user_agent: self.user_agent,
            created_at: self.created_at,
            used_at: self.used_at,
            expires_at: self.expires_at,
            current: current == Some(self.id),
            impersonation,
        }
    }
}

/// Whose sessions are meant.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    /// A person's, in all their tenants.
    User(UserId),
    /// All in a tenant.
    Tenant(TenantId),
    /// An operator's own.
    Operator(OperatorUserId),
}

/// Writes a new session.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, session: SessionRow) -> Result<()> {
    diesel::insert_into(sessions::table).values(session).execute(conn)?;
    Ok(())
}

/// Reads a session.
///
/// # Errors
/// The store's.
pub fn find(conn: &mut Conn, id: SessionId) -> Result<Option<SessionRow>> {
    sessions::table.find(id).select(SessionRow::as_select()).first(conn).optional().map_err(Into::into)
}

/// The open sessions of a person in person, newest first, up to twice as many as are kept open.
///
/// # Errors
/// The store's.
pub fn open_of(conn: &mut Conn, of: Of, now: Ts) -> Result<Vec<SessionRow>> {
    let query = sessions::table
        .select(SessionRow::as_select())
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now))
        .into_boxed();
    let query = match of {
        Of::User(user) => query.filter(sessions::user_id.eq(user)),
        Of::Tenant(tenant) => query.filter(sessions::tenant_id.eq(tenant)),
        Of::Operator(operator) => query.filter(sessions::operator_id.eq(operator)),
    };
    query
        .order((sessions::created_at.desc(), sessions::id.desc()))
        .limit(MOST_OPEN * 2)
        .load(conn)
        .map_err(Into::into)
}

/// A page of the open sessions, newest first.
///
/// # Errors
/// The store's.
pub fn page(
    conn: &mut Conn,
    of: Of,
    current: Option<SessionId>,
    now: Ts,
    request: PageRequest,
) -> Result<Page<SessionView>> {
    let query = sessions::table
        .select(SessionRow::as_select())
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now))
        .into_boxed();
    let mut query = match of {
        Of::User(user) => query.filter(sessions::user_id.eq(user)),
        Of::Tenant(tenant) => query.filter(sessions::tenant_id.eq(tenant)),
        Of::Operator(operator) => query.filter(sessions::operator_id.eq(operator)),
    };
    if let Some((at, id)) = request.after {
        let id = SessionId::from_uuid(id);
        query = query
            .filter(sessions::created_at.lt(at).or(sessions::created_at.eq(at).and(sessions::id.lt(id))));
    }
    let rows: Vec<SessionRow> =
        query.order((sessions::created_at.desc(), sessions::id.desc())).limit(request.fetch()).load(conn)?;
    let page = Page::cut(rows, request, |row: &SessionRow| (row.created_at, row.id.uuid()));
    Ok(page.map(|row| row.view(current)))
}

/// The oldest open sessions of a person that must make room for one more.
///
/// # Errors
/// The store's.
pub fn beyond_most(conn: &mut Conn, of: Of, now: Ts) -> Result<Vec<SessionRow>> {
    let keep = usize::try_from(MOST_OPEN - 1).unwrap_or(usize::MAX);
    let mut open = open_of(conn, of, now)?;
    open.retain(|row| row.kind != SessionKind::Impersonation);
    Ok(open.into_iter().skip(keep).collect())
}

/// The addresses that a person's sessions since `since` were used from.
///
/// # Errors
/// The store's.
pub fn addresses_of(conn: &mut Conn, of: Of, since: Ts) -> Result<Vec<String>> {
    let query = sessions::table
        .select(sessions::address)
        .filter(sessions::used_at.gt(since))
        .filter(sessions::kind.ne(SessionKind::Impersonation))
        .into_boxed();
    let query = match of {
        Of::User(user) => query.filter(sessions::user_id.eq(user)),
        Of::Tenant(tenant) => query.filter(sessions::tenant_id.eq(tenant)),
        Of::Operator(operator) => query.filter(sessions::operator_id.eq(operator)),
    };
    let found: Vec<Option<String>> = query.order(sessions::used_at.desc()).limit(100).load(conn)?;
    Ok(found.into_iter().flatten().collect())
}

/// Ends an open session; false when it had ended.
///
/// # Errors
/// The store's.
pub fn end(conn: &mut Conn, id: SessionId, reason: EndReason, now: Ts) -> Result<bool> {
    let rows = diesel::update(sessions::table.find(id).filter(sessions::ended_at.is_null()))
        .set((sessions::ended_at.eq(Some(now)), sessions::end_reason.eq(Some(reason))))
        .execute(conn)?;
    Ok(rows == 1)
}

/// Ends a person's open sessions, in one tenant or in all, but for `except`, and visits in their stead with
/// them; answers which ones ended, for the caller's event.
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
        .set((sessions::ended_at.eq(Some(now)), sessions::end_reason.eq(Some(reason))))
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

/// The open visits of an operator, by the text of their id.
///
/// # Errors
/// The store's.
pub fn visits_of(conn: &mut Conn, actor: &str, now: Ts) -> Result<Vec<SessionRow>> {
    sessions::table
        .select(SessionRow::as_select())
        .filter(sessions::actor_id.eq(actor))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now))
        .load(conn)
        .map_err(Into::into)
}

/// Visits whose time is over and which nobody has ended.
///
/// # Errors
/// The store's.
pub fn visits_over(conn: &mut Conn, now: Ts) -> Result<Vec<SessionRow>> {
    sessions::table
        .select(SessionRow::as_select())
        .filter(sessions::kind.eq(SessionKind::Impersonation))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.le(now))
        .limit(SWEEP)
        .load(conn)
        .map_err(Into::into)
}

/// Notes that a session was refreshed.
///
/// # Errors
/// The store's.
pub fn refreshed(
    conn: &mut Conn,
    id: SessionId,
    address: Option<&str>,
    agent: Option<&str>,
    now: Ts,
    expires_at: Ts,
) -> Result<()> {
    diesel::update(sessions::table.find(id))
        .set((
            sessions::used_at.eq(now),
            sessions::expires_at.eq(expires_at),
            sessions::address.eq(address),
            sessions::user_agent.eq(agent),
        ))
        .execute(conn)?;
    Ok(())
}

/// Removes sessions long over and tokens spent longer ago than one lives: a bounded number at a time.
///
/// # Errors
/// The store's.
pub fn tidy(conn: &mut Conn, now: Ts, token_ttl: Duration) -> Result<()> {
    let Some(over) = before(now, REMEMBERED) else { return Ok(()) };
    let old: Vec<SessionId> =
        sessions::table.select(sessions::id).filter(sessions::expires_at.lt(over)).limit(SWEEP).load(conn)?;
    diesel::delete(sessions::table.filter(sessions::id.eq_any(old))).execute(conn)?;
    let Some(spent) = before(now, token_ttl) else { return Ok(()) };
    let old: Vec<Vec<u8>> = refresh_tokens::table
        .select(refresh_tokens::hash)
        .filter(refresh_tokens::spent_at.lt(spent))
        .limit(SWEEP)
        .load(conn)?;
    diesel::delete(refresh_tokens::table.filter(refresh_tokens::hash.eq_any(old))).execute(conn)?;
    Ok(())
}

fn before(now: Ts, by: Duration) -> Option<Ts> {
    Ts::from_micros(now.micros().saturating_sub(i64::try_from(by.as_micros()).ok()?))
}

/// Removes a tenant's sessions.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    diesel::delete(sessions::table.filter(sessions::tenant_id.eq(tenant))).execute(conn)?;
    Ok(())
}

/// Removes an operator's own sessions.
///
/// # Errors
/// The store's.
pub fn remove_of_operator(conn: &mut Conn, operator: OperatorUserId) -> Result<()> {
    diesel::delete(sessions::table.filter(sessions::operator_id.eq(operator))).execute(conn)?;
    Ok(())
}
