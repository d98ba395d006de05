//! An operator's visit to a tenant: in a member's stead or with a member's role, for a while, for a reason, and
//! in the open: the tenant sees it in its log and among its sessions, and can end it.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::commands::{self, claims, lasts, refresh_token};
use super::model::{EndReason, SessionKind};
use super::store::{self, SessionRow};
use crate::app::App;
use crate::auth::caller::{CLOCK, OperatorId, TenantRole};
use crate::auth::{Caller, Verb};
use crate::db::Conn;
use crate::http::{Answer, Attempt, Outcome};
use crate::identity::events::ImpersonationStarted;
use crate::identity::store as people;
use crate::identity::token::Claims;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{SessionId, UserId};
use crate::log::{self, NewEvent};
use crate::tenants::{self, Handle, State};

/// What a visit shall be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// In whose stead.
    pub user: Option<UserId>,
    /// Else with which role.
    pub role: Option<TenantRole>,
    /// Why.
    pub reason: String,
    /// For how long.
    pub lasts: Duration,
}

/// A visit's tokens.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Impersonation {
    /// The visit.
    pub session_id: SessionId,
    /// A JWT for `Authorization: Bearer`, with the operator in its claim `act`.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Seconds until it ends.
    pub expires_in: u64,
    /// Gets the next access token at `POST /v1/sessions/refresh`, until the visit is over.
    pub refresh_token: String,
    /// When the visit is over.
    pub ends_at: Ts,
    /// In whose stead.
    pub user_id: Option<UserId>,
    /// With which role.
    pub role: TenantRole,
}

/// Opens a visit to a tenant.
///
/// # Errors
/// As [`Caller::may`]; [`Error::Invalid`] unless one of user and role is named; [`Error::NotFound`] for the
/// tenant or a person who is no member of it.
pub async fn start(
    app: &App,
    caller: &Caller,
    handle: Handle,
    wanted: Wanted,
    attempt: Arc<Attempt>,
) -> Result<Answer<Impersonation>> {
    caller.may(Verb::Impersonate)?;
    let operator = caller.operator().ok_or_else(|| Error::internal("no operator"))?;
    if wanted.user.is_some() == wanted.role.is_some() {
        return Err(Error::field("/user_id", "name a member by user_id, or a role, and not both"));
    }
    if wanted.reason.trim().is_empty() {
        return Err(Error::field("/reason", "must not be blank: the tenant reads it"));
    }
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let id = SessionId::mint();
    let refresh = refresh_token(id);
    app.db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                let tenant = tenants::get_in(conn, &handle)?;
                if tenant.state == State::Deleted {
                    return Err(Error::NotFound("tenant"));
                }
                let role = match (wanted.user, wanted.role) {
                    (Some(user), _) => {
                        let all = people::memberships_of(conn, user)?;
                        let here = all.into_iter().find(|one| one.tenant_id == tenant.id);
                        here.map(|one| one.role).ok_or(Error::NotFound("member"))?
                    }
                    (None, role) => role.ok_or_else(|| Error::internal("no role"))?,
                };
                let row = row_of(&wanted, &caller, operator, tenant.id, id, now);
                store::insert(conn, row.clone())?;
                store::insert_refresh(conn, &refresh.hash, id, now)?;
                let started = ImpersonationStarted {
                    session_id: id,
                    user_id: wanted.user,
                    role,
                    operator: operator.to_string(),
                    reason: row.reason.clone(),
                    ends_at: row.expires_at,
                };
                log::append_in(conn, &caller, now, NewEvent::of(tenant.id, started))?;
                let subject = wanted.user.map_or_else(|| operator.to_string(), |user| user.to_string());
                let claims =
                    Claims { plan: Some(tenant.plan), ..claims(&again, &row, subject, role.word(), now) };
                Ok(Impersonation {
                    session_id: id,
                    access_token: again.tokens.sign(&claims, now)?,
                    token_type: "Bearer",
                    expires_in: lasts(&claims),
                    refresh_token: refresh.text.expose_secret().to_owned(),
                    ends_at: row.expires_at,
                    user_id: wanted.user,
                    role,
                })
            })
        })
        .await
}

fn row_of(
    wanted: &Wanted,
    caller: &Caller,
    operator: OperatorId,
    tenant: crate::kernel::id::TenantId,
    id: SessionId,
    now: Ts,
) -> SessionRow {
    let until = now.plus(wanted.lasts);
    SessionRow {
        user_id: wanted.user,
        tenant_id: Some(tenant),
        role: wanted.role,
        actor_kind: Some(operator.kind().to_owned()),
        actor_id: Some(operator.to_string()),
        reason: Some(wanted.reason.trim().to_owned()),
        ..SessionRow::beginning(
            id,
            SessionKind::Impersonation,
            caller.address.as_deref().map(ToOwned::to_owned),
            None,
            now,
            until,
        )
    }
}

/// Ends a visit: its tokens are refused from this answer on.
///
/// # Errors
/// As [`Caller::may`]; [`Error::NotFound`].
pub async fn end(app: &App, caller: &Caller, handle: Handle, id: SessionId) -> Result<()> {
    caller.may(Verb::Impersonate)?;
    let tenant = app.db.read(move |conn| tenants::get_in(conn, &handle)).await?;
    commands::end_one_of(app, caller, tenant.id, id, |row| row.kind == SessionKind::Impersonation).await
}

/// Ends all visits of an operator who is one no more, in the caller's transaction; answers which, for memory
/// to forget.
///
/// # Errors
/// The store's.
pub fn end_of_operator_in(
    conn: &mut Conn,
    caller: &Caller,
    operator: OperatorId,
    now: Ts,
) -> Result<Vec<SessionId>> {
    let open = store::visits_of(conn, &operator.to_string(), now)?;
    for row in &open {
        commands::end_in(conn, caller, row, EndReason::OperatorRemoved, now)?;
    }
    Ok(open.into_iter().map(|row| row.id).collect())
}

/// Notes the end of visits whose time is over, and removes what is long over.
///
/// # Errors
/// The store's.
pub async fn tidy(app: &App) -> Result<()> {
    let (now, ttl) = (app.clock.now(), app.settings.auth.refresh_token_ttl);
    app.db
        .write(move |conn| {
            let caller = Caller::system("sessions").because(CLOCK);
            for row in store::visits_over(conn, now)? {
                commands::end_in(conn, &caller, &row, EndReason::Expired, now)?;
            }
            store::tidy(conn, now, ttl)
        })
        .await
}
