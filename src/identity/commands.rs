//! Signing in.

use std::collections::BTreeSet;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;

use super::pending;
use super::sessions::store::{self as sessions, SessionRow};
use super::store::{self, Membership, User};
use super::token::Claims;
use crate::app::App;
use crate::auth::{Caller, password};
use crate::db::Conn;
use crate::kernel::error::{Error, FieldError, Result};
use crate::kernel::id::{SessionId, TenantId};
use crate::log::{self, NewEvent};
use crate::tenants::{self, Handle, State, Tenant};

/// A fresh session.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Session {
    /// A JWT for `Authorization: Bearer`.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Seconds until it ends.
    pub expires_in: u64,
    /// The tenant it is for.
    pub tenant: Tenant,
}

/// Normalises an address for comparison and storage.
///
/// # Errors
/// A sentence when it cannot be one: no `@`, blanks, or over 254 characters (RFC 5321).
pub fn normalise_email(text: &str) -> Result<String, String> {
    let email = text.trim().to_lowercase();
    let fine = email.len() <= 254
        && !email.chars().any(|letter| letter.is_whitespace() || letter.is_control())
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && local.len() <= 64
                && !domain.contains('@')
                && !domain.is_empty()
                && !domain.starts_with('.')
                && !domain.ends_with('.')
                && !domain.contains("..")
        });
    if fine { Ok(email) } else { Err("must be an e-mail address, like ada@example.com".into()) }
}

/// Signs a person in with address and password, for one of their tenants.
///
/// # Errors
/// [`Error::Unauthenticated`] with the same words, and after the same time, whether the person is unknown,
/// the password wrong or the tenant not theirs; [`Error::Forbidden`] `email_not_verified`; [`Error::Conflict`] `tenant_required` when they have several.
pub async fn sign_in(
    app: &App,
    caller: &Caller,
    email: &str,
    given: SecretString,
    tenant: Option<String>,
) -> Result<Session> {
    let refused = || Error::Unauthenticated("the e-mail address or the password is wrong".into());
    let now = app.clock.now();
    let (found, unconfirmed) = match normalise_email(email) {
        Ok(email) => {
            let both = move |conn: &mut Conn| {
                Ok((store::by_email(conn, &email)?, pending::by_email(conn, &email, now)?))
            };
            app.db.read(both).await?
        }
        Err(_) => (None, None),
    };
    let stored = found.as_ref().and_then(|user| user.password_hash.clone());
    // Who has not confirmed their address yet is no user, but with their password they are told why not.
    let unconfirmed = unconfirmed.filter(|_| found.is_none());
    let stored = stored.or_else(|| unconfirmed.as_ref().map(|owner| owner.password_hash.clone()));
    if !password::verify(given, stored).await? {
        note_failure(app, caller, found.as_ref()).await;
        return Err(refused());
    }
    if unconfirmed.is_some() {
        return Err(Error::forbidden(
            "email_not_verified",
            "the address is not confirmed yet: enter the code that was mailed to it",
        ));
    }
    let user = found.ok_or_else(refused)?;
    let homes = {
        let user = user.id;
        app.db
            .read(move |conn| {
                let mut homes = Vec::new();
                for membership in store::memberships_of(conn, user)? {
                    let tenant = tenants::get_in(conn, &Handle::Id(membership.tenant_id))?;
                    if tenant.state != State::Deleted {
                        homes.push((membership, tenant));
                    }
                }
                Ok(homes)
            })
            .await?
    };
    let (membership, tenant) = pick(homes, tenant.as_deref()).map_err(|error| match error {
        Error::Unauthenticated(_) => refused(),
        other => other,
    })?;
    let session = open(app, caller, &user, membership, tenant).await?;
    Ok(session)
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
    user: &User,
    membership: Membership,
    tenant: Tenant,
) -> Result<Session> {
    let (now, id) = (app.clock.now(), SessionId::mint());
    let ttl = app.settings.auth.access_token_ttl;
    let claims = Claims {
        iss: app.tokens.issuer().to_owned(),
        sub: user.id,
        aud: app.tokens.audience().to_owned(),
        exp: now.plus(ttl).seconds(),
        iat: now.seconds(),
        jti: id,
        tenant_id: tenant.id,
        role: membership.role,
        plan: tenant.plan.clone(),
    };
    let access_token = app.tokens.sign(&claims)?;
    let (caller, user) = (caller.clone(), user.id);
    let of = tenant.id;
    app.db
        .write(move |conn| {
            sessions::insert(
                conn,
                SessionRow {
                    id,
                    user_id: user,
                    tenant_id: of,
                    address: caller.address.clone(),
                    user_agent: None,
                    created_at: now,
                    used_at: now,
                    expires_at: now.plus(ttl),
                    ended_at: None,
                    end_reason: None,
                },
            )?;
            let data = json!({ "user_id": user, "session_id": id });
            log::append_in(conn, &caller, now, NewEvent::of(of, "session.created", data)).map(drop)
        })
        .await?;
    Ok(Session { access_token, token_type: "Bearer", expires_in: ttl.as_secs(), tenant })
}

/// A wrong password against a known person is a fact worth keeping; it must not change the answer.
pub(super) async fn note_failure(app: &App, caller: &Caller, user: Option<&User>) {
    let Some(user) = user.map(|user| user.id) else { return };
    let (caller, now) = (caller.clone(), app.clock.now());
    let noted = app
        .db
        .write(move |conn| {
            let data = json!({ "user_id": user });
            log::append_in(conn, &caller, now, NewEvent::global("session.refused", data)).map(drop)
        })
        .await;
    if let Err(error) = noted {
        tracing::warn!(error = %error, "a refused sign-in could not be noted");
    }
}

/// A person found or made for a tenant, inside the caller's transaction.
///
/// # Errors
/// The store's.
pub fn join_in(
    conn: &mut Conn,
    user: &User,
    tenant: TenantId,
    role: crate::auth::caller::TenantRole,
) -> Result<()> {
    let membership =
        Membership { tenant_id: tenant, user_id: user.id, role, created_at: user.updated_at, rev: 1 };
    store::insert_membership(conn, membership)
}
