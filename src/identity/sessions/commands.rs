//! Signing in and out, and ending sessions.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::model::{EndReason, SessionKind};
use super::store::{self, Of, SessionRow};
use crate::app::App;
use crate::auth::caller::TenantRole;
use crate::auth::opaque::{self, Opaque};
use crate::auth::{Caller, Verb, Who};
use crate::db::Conn;
use crate::identity::commands::normalise_email;
use crate::identity::events::{
    Begun, Ended, ImpersonationEnded, OperatorSessionEnded, SessionCreated, SessionEnded,
};
use crate::identity::pending;
use crate::identity::proof::{self, Known, Proof};
use crate::identity::store::{self as people, Membership};
use crate::identity::token::{Actor, Claims};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, FieldError, Result};
use crate::kernel::id::{self, SessionId, TenantId, UserId};
use crate::log::{self, NewEvent};
use crate::tenants::{self, Handle, State, Tenant};

/// A fresh session, or a renewed one.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Session {
    /// A JWT for `Authorization: Bearer`.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Seconds until it ends.
    pub expires_in: u64,
    /// Gets the next access token, once; with it comes the next refresh token.
    pub refresh_token: String,
    /// The tenant it is for.
    pub tenant: Tenant,
}

/// Who signs in, and to what.
pub struct SignIn {
    /// The address, as typed.
    pub email: String,
    /// What proves it.
    pub proof: Proof,
    /// Id or slug of the tenant.
    pub tenant: Option<String>,
    /// With what.
    pub agent: Option<String>,
}

/// Signs a person in with address and password, for one of their tenants.
///
/// # Errors
/// [`Error::Unauthenticated`] with the same words, and after the same time, whether the person is unknown,
/// the password wrong or the tenant not theirs; as [`proof::check`]; [`Error::Invalid`] `/tenant` when they
/// have several.
pub async fn sign_in(app: &App, caller: &Caller, wanted: SignIn) -> Result<Session> {
    let refused = || Error::Unauthenticated("the e-mail address or the password is wrong".into());
    let SignIn { email, proof, tenant, agent } = wanted;
    let (name, found) = match normalise_email(&email) {
        Ok(email) => {
            let (name, now) = (email.clone(), app.clock.now());
            let both = move |conn: &mut Conn| {
                Ok((people::by_email(conn, &email)?, pending::by_email(conn, &email, now)?))
            };
            (name, app.db.read(both).await?)
        }
        Err(_) => (email.trim().to_lowercase(), (None, None)),
    };
    let (found, unconfirmed) = found;
    // Who has not confirmed their address yet is no user, but with their password they are told why not.
    let unconfirmed = unconfirmed.filter(|_| found.is_none());
    let known = found.as_ref().map(|user| Known::user(user.id, user.password_hash.clone()));
    let known =
        known.or_else(|| unconfirmed.as_ref().map(|owner| Known::pending(owner.password_hash.clone())));
    if !proof::check(app, caller, &name, known.as_ref(), proof).await? {
        return Err(refused());
    }
    if unconfirmed.is_some() {
        return Err(Error::forbidden(
            "email_not_verified",
            "the address is not confirmed yet: enter the code that was mailed to it",
        ));
    }
    let user = found.ok_or_else(refused)?.id;
    let homes = homes_of(app, user).await?;
    let (membership, tenant) = pick(homes, tenant.as_deref()).map_err(|error| match error {
        Error::Unauthenticated(_) => refused(),
        other => other,
    })?;
    open(app, caller, membership, tenant, agent).await
}

async fn homes_of(app: &App, user: UserId) -> Result<Vec<(Membership, Tenant)>> {
    app.db
        .read(move |conn| {
            let mut homes = Vec::new();
            for membership in people::memberships_of(conn, user)? {
                let tenant = tenants::get_in(conn, &Handle::Id(membership.tenant_id))?;
                if tenant.state != State::Deleted {
                    homes.push((membership, tenant));
                }
            }
            Ok(homes)
        })
        .await
}

fn pick(homes: Vec<(Membership, Tenant)>, wanted: Option<&str>) -> Result<(Membership, Tenant)> {
    let none = || Error::Unauthenticated(String::new());
    if let Some(wanted) = wanted {
        let wanted = Handle::parse(wanted);
        return homes
            .into_iter()
            .find(|(_, tenant)| match &wanted {
                Handle::Id(id) => tenant.id == *id,
                Handle::Slug(slug) => tenant.slug == *slug,
            })
            .ok_or_else(none);
    }
    let slugs: BTreeSet<String> = homes.iter().map(|(_, tenant)| tenant.slug.clone()).collect();
    let mut homes = homes.into_iter();
    match (homes.next(), homes.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(none()),
        (Some(_), Some(_)) => Err(Error::Invalid(vec![FieldError {
            pointer: "/tenant".into(),
            detail: format!(
                "you belong to several tenants; name one of {}",
                slugs.into_iter().collect::<Vec<_>>().join(", ")
            ),
        }])),
    }
}

async fn open(
    app: &App,
    caller: &Caller,
    membership: Membership,
    tenant: Tenant,
    agent: Option<String>,
) -> Result<Session> {
    let (now, id, user) = (app.clock.now(), SessionId::mint(), membership.user_id);
    let until = now.plus(app.settings.auth.refresh_token_ttl);
    let row = SessionRow {
        user_id: Some(user),
        tenant_id: Some(tenant.id),
        ..SessionRow::beginning(
            id,
            SessionKind::Member,
            caller.address.as_deref().map(ToOwned::to_owned),
            agent,
            now,
            until,
        )
    };
    let refresh = opaque::generate(opaque::REFRESH, id.uuid());
    let answer = answer(app, &row, &refresh.text, (user, membership.role), tenant, now)?;
    let (caller, hash) = (caller.clone(), refresh.hash);
    app.db
        .write(move |conn| {
            for old in store::beyond_most(conn, Of::User(user), now)? {
                end_in(conn, &caller, &old, EndReason::Superseded, now)?;
            }
            store::insert(conn, row.clone())?;
            store::insert_refresh(conn, &hash, id, now)?;
            let begun =
                Begun { user_id: user.to_string(), session_id: id, user_agent: row.user_agent.clone() };
            let event = NewEvent::about(row.tenant_id, SessionCreated(begun));
            log::append_in(conn, &caller, now, event).map(drop)
        })
        .await?;
    app.signed_in.forget_user(user).await;
    Ok(answer)
}

/// A token's claims that are the same for all of a session.
pub(in crate::identity) fn claims(
    app: &App,
    row: &SessionRow,
    subject: String,
    role: &str,
    now: Ts,
) -> Claims {
    let ends = now.plus(app.settings.auth.access_token_ttl).min(row.expires_at);
    let audience = if row.tenant_id.is_some() { app.tokens.audience() } else { app.tokens.admin_audience() };
    Claims {
        iss: app.tokens.issuer().to_owned(),
        sub: subject,
        aud: audience.to_owned(),
        exp: ends.seconds(),
        iat: now.seconds(),
        jti: id::encode(id::fresh()),
        sid: row.id,
        role: role.to_owned(),
        tenant_id: row.tenant_id,
        plan: None,
        act: row.actor_id.clone().map(|sub| Actor { sub }),
    }
}

/// Seconds from issue to end of what `claims` say.
pub(in crate::identity) fn lasts(claims: &Claims) -> u64 {
    u64::try_from(claims.exp.saturating_sub(claims.iat)).unwrap_or(0)
}

/// The answer that hands out the tokens of a session inside a tenant.
pub(super) fn answer(
    app: &App,
    row: &SessionRow,
    refresh: &SecretString,
    (user, role): (impl ToString, TenantRole),
    tenant: Tenant,
    now: Ts,
) -> Result<Session> {
    let claims =
        Claims { plan: Some(tenant.plan.clone()), ..claims(app, row, user.to_string(), role.word(), now) };
    Ok(Session {
        access_token: app.tokens.sign(&claims, now)?,
        token_type: "Bearer",
        expires_in: lasts(&claims),
        refresh_token: refresh.expose_secret().to_owned(),
        tenant,
    })
}

/// A refresh token for a session.
pub(in crate::identity) fn refresh_token(session: SessionId) -> Opaque {
    opaque::generate(opaque::REFRESH, session.uuid())
}

/// Ends an open session and says so in the log; nothing when it had ended.
///
/// # Errors
/// The store's.
pub fn end_in(conn: &mut Conn, caller: &Caller, row: &SessionRow, reason: EndReason, now: Ts) -> Result<()> {
    if !store::end(conn, row.id, reason, now)? {
        return Ok(());
    }
    let user_id = match row.kind {
        SessionKind::Member | SessionKind::Impersonation => row.user_id.map(|user| user.to_string()),
        SessionKind::Operator => row.operator_id.map(|user| user.to_string()),
    };
    let ended = Ended { session_id: row.id, user_id, reason, operator: row.actor_id.clone() };
    let event = match row.kind {
        SessionKind::Member => NewEvent::about(row.tenant_id, SessionEnded(ended)),
        SessionKind::Impersonation => NewEvent::about(row.tenant_id, ImpersonationEnded(ended)),
        SessionKind::Operator => NewEvent::about(row.tenant_id, OperatorSessionEnded(ended)),
    };
    log::append_in(conn, caller, now, event).map(drop)
}

/// Forgets what memory holds of a session that changed, and of its person.
pub async fn forget(app: &App, row: &SessionRow) {
    app.signed_in.forget_session(row.id).await;
    if let Some(user) = row.user_id {
        app.signed_in.forget_user(user).await;
    }
    if let Some(operator) = row.operator_id {
        app.signed_in.forget_operator(operator).await;
    }
}

/// Ends those sessions that `choose` picks in the transaction; they are refused from this answer on.
///
/// # Errors
/// What `choose` answers.
pub(in crate::identity) async fn end_chosen(
    app: &App,
    caller: &Caller,
    reason: EndReason,
    choose: impl Fn(&mut Conn, Ts) -> Result<Vec<SessionRow>> + Send + Sync + 'static,
) -> Result<()> {
    let (now, caller) = (app.clock.now(), caller.clone());
    let ended = app
        .db
        .write(move |conn| {
            let chosen = choose(conn, now)?;
            for row in &chosen {
                end_in(conn, &caller, row, reason, now)?;
            }
            Ok(chosen)
        })
        .await?;
    for row in &ended {
        forget(app, row).await;
    }
    Ok(())
}

fn open_one(
    conn: &mut Conn,
    id: SessionId,
    now: Ts,
    mine: impl Fn(&SessionRow) -> bool,
) -> Result<Vec<SessionRow>> {
    let found = store::find(conn, id)?.filter(|row| row.is_open(now) && mine(row));
    found.map(|row| vec![row]).ok_or(Error::NotFound("session"))
}

/// Signs the caller out: their session ends, and its tokens are refused here from this answer on.
///
/// # Errors
/// As [`Caller::may`].
pub async fn sign_out(app: &App, caller: &Caller) -> Result<()> {
    caller.may(Verb::EndSession)?;
    let (Who::User { session, .. } | Who::Impersonator { session, .. }) = &caller.who else {
        return Err(Error::forbidden("wrong_credential", "this call is for someone who signed in"));
    };
    let session = *session;
    end_chosen(app, caller, EndReason::SignedOut, move |conn, now| open_one(conn, session, now, |_| true))
        .await
}

/// Ends one of the caller's sessions, or a visit in their stead.
///
/// # Errors
/// As [`Caller::person`]; [`Error::NotFound`], also for another person's.
pub async fn end_own(app: &App, caller: &Caller, id: SessionId) -> Result<()> {
    let (user, _) = caller.person(Verb::ManageOwnSessions)?;
    end_chosen(app, caller, EndReason::Revoked, move |conn, now| {
        open_one(conn, id, now, |row| row.user_id == Some(user))
    })
    .await
}

/// Ends all of the caller's sessions but the one that asks.
///
/// # Errors
/// As [`Caller::person`].
pub async fn end_others(app: &App, caller: &Caller) -> Result<()> {
    let (user, current) = caller.person(Verb::ManageOwnSessions)?;
    end_chosen(app, caller, EndReason::Revoked, move |conn, now| {
        let mut open = store::open_of(conn, Of::User(user), now)?;
        open.retain(|row| row.id != current);
        Ok(open)
    })
    .await
}

/// Ends a session in the caller's tenant: a member's, or an operator's visit.
///
/// # Errors
/// As [`Caller::tenant`]; [`Error::NotFound`], also for another tenant's.
pub async fn end_in_tenant(app: &App, caller: &Caller, id: SessionId) -> Result<()> {
    let tenant = caller.tenant(Verb::ManageSessions)?;
    end_one_of(app, caller, tenant, id, |_| true).await
}

pub(super) async fn end_one_of(
    app: &App,
    caller: &Caller,
    tenant: TenantId,
    id: SessionId,
    fits: fn(&SessionRow) -> bool,
) -> Result<()> {
    end_chosen(app, caller, EndReason::Revoked, move |conn, now| {
        open_one(conn, id, now, |row| row.tenant_id == Some(tenant) && fits(row))
    })
    .await
}
