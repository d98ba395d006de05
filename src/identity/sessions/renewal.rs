//! Renewing a session with its refresh token, which is good for one use.
//!
//! A spent token that comes again means that two hold it, and nobody can tell which is the thief: the session
//! ends. One exception: within [`GRACE`], and from where it was spent, it is a second tab or a lost answer. It
//! gets no token, so that whoever copied it gains nothing, and it ends nothing.

use super::commands::{self, Session, answer, refresh_token};
use super::model::{EndReason, GRACE, SessionKind};
use super::store::{self, RefreshRow, SessionRow};
use crate::app::App;
use crate::auth::caller::TenantRole;
use crate::auth::{Caller, opaque, throttle};
use crate::db::Conn;
use crate::identity::store as people;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::tenants::{self, Handle, State, Tenant};

/// What became of a refresh token.
enum Turn {
    /// It was good: the session as it is now, and whose.
    Renewed(SessionRow),
    /// The session ended with it.
    Ended(SessionRow),
    /// It was spent a moment ago from the same place.
    Twin,
    /// It is none, or its session has ended.
    Bad,
}

fn refused() -> Error {
    Error::Unauthenticated("the refresh token is not valid, or its session has ended; sign in again".into())
}

/// Renews a session of one of `kinds`: spends `text` and answers the session with its next refresh token.
///
/// # Errors
/// [`Error::Unauthenticated`]; [`Error::Conflict`] `refresh_token_spent` for the second of two.
pub(in crate::identity) async fn renew(
    app: &App,
    caller: &Caller,
    agent: Option<String>,
    text: &str,
    kinds: &'static [SessionKind],
) -> Result<(SessionRow, opaque::Opaque)> {
    let (of, hash) = opaque::parse(opaque::REFRESH, text).ok_or_else(refused)?;
    let (now, caller, again) = (app.clock.now(), caller.clone(), app.clone());
    let next = refresh_token(crate::kernel::id::SessionId::from_uuid(of));
    let next_hash = next.hash;
    let turn = app
        .db
        .write(move |conn| {
            let Some(token) = store::refresh_by_hash(conn, &hash)? else { return Ok(Turn::Bad) };
            let session = store::find(conn, token.session_id)?;
            let Some(mut session) = session.filter(|row| row.is_open(now) && kinds.contains(&row.kind))
            else {
                return Ok(Turn::Bad);
            };
            let from = throttle::party(caller.address.as_deref());
            if let Some(turn) = spent(conn, &caller, &token, &session, &from, now)? {
                return Ok(turn);
            }
            let expires_at = longest(&again, &session, now);
            if expires_at <= now {
                return Ok(Turn::Bad);
            }
            if let (SessionKind::Member, Some(user), Some(tenant)) =
                (session.kind, session.user_id, session.tenant_id)
                && people::memberships_of(conn, user)?.iter().all(|of| of.tenant_id != tenant)
            {
                commands::end_in(conn, &caller, &session, EndReason::MemberRemoved, now)?;
                return Ok(Turn::Ended(session));
            }
            store::spend(conn, &hash, Some(&from), now)?;
            store::insert_refresh(conn, &next_hash, session.id, now)?;
            let address = caller.address.as_deref();
            store::refreshed(conn, session.id, address, agent.as_deref(), now, expires_at)?;
            session.expires_at = expires_at;
            Ok(Turn::Renewed(session))
        })
        .await?;
    match turn {
        Turn::Renewed(session) => {
            commands::forget(app, &session).await;
            Ok((session, next))
        }
        Turn::Ended(session) => {
            commands::forget(app, &session).await;
            Err(refused())
        }
        Turn::Bad => Err(refused()),
        Turn::Twin => Err(Error::conflict(
            "refresh_token_spent",
            "this refresh token was spent a moment ago: use the one that came with that answer, or sign in again",
        )),
    }
}

/// What a token means that was spent before; `None` for a fresh one.
fn spent(
    conn: &mut Conn,
    caller: &Caller,
    token: &RefreshRow,
    session: &SessionRow,
    from: &str,
    now: Ts,
) -> Result<Option<Turn>> {
    let Some(at) = token.spent_at else { return Ok(None) };
    if now.since(at) < GRACE && token.spent_from.as_deref() == Some(from) {
        return Ok(Some(Turn::Twin));
    }
    commands::end_in(conn, caller, session, EndReason::TokenReused, now)?;
    Ok(Some(Turn::Ended(session.clone())))
}

/// Until when a renewed session may go on: a visit never longer than it was given.
fn longest(app: &App, session: &SessionRow, now: Ts) -> Ts {
    let auth = &app.settings.auth;
    match session.kind {
        SessionKind::Impersonation => session.expires_at,
        SessionKind::Member | SessionKind::Operator => {
            now.plus(auth.refresh_token_ttl).min(session.created_at.plus(auth.session_max))
        }
    }
}

/// Renews a member's session, or a visit: the next access token has the present role and plan.
///
/// # Errors
/// As [`renew`].
pub async fn refresh(app: &App, caller: &Caller, agent: Option<String>, text: &str) -> Result<Session> {
    const KINDS: &[SessionKind] = &[SessionKind::Member, SessionKind::Impersonation];
    let (session, next) = renew(app, caller, agent, text, KINDS).await?;
    let now = app.clock.now();
    let of = session.tenant_id.ok_or_else(refused)?;
    let (role, tenant) = standing(app, &session, of).await?.ok_or_else(refused)?;
    let subject = match (session.user_id, &session.actor_id) {
        (Some(user), _) => user.to_string(),
        (None, Some(operator)) => operator.clone(),
        (None, None) => return Err(Error::internal("a session of nobody")),
    };
    answer(app, &session, &next.text, (subject, role), tenant, now)
}

async fn standing(app: &App, session: &SessionRow, of: TenantId) -> Result<Option<(TenantRole, Tenant)>> {
    let (user, role) = (session.user_id, session.role);
    app.db
        .read(move |conn| {
            let role = match user {
                Some(user) => {
                    let all = people::memberships_of(conn, user)?;
                    all.into_iter().find(|one| one.tenant_id == of).map(|one| one.role)
                }
                None => role,
            };
            let tenant = tenants::get_in(conn, &Handle::Id(of))?;
            Ok(role.filter(|_| tenant.state != State::Deleted).map(|role| (role, tenant)))
        })
        .await
}
