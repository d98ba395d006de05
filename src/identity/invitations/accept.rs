//! Taking an invitation: with its token, and a proof of who takes it.

use std::sync::Arc;

use secrecy::SecretString;
use serde::Serialize;

use super::model::{Invitation, InvitationState};
use super::store;
use crate::app::App;
use crate::auth::caller::TenantRole;
use crate::auth::{Caller, Who, one_time, password};
use crate::db::Conn;
use crate::http::{Answer, Attempt, Outcome};
use crate::identity::account::{self, store as rows};
use crate::identity::commands::join_in;
use crate::identity::events::MemberJoined;
use crate::identity::members::store as members;
use crate::identity::store::{self as people, User};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::UserId;
use crate::log::{self, NewEvent};
use crate::tenants::{self, Handle, State, Tenant};

/// Whom an invitation made a member.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Joined {
    /// The person; they sign in with their address.
    pub user_id: UserId,
    /// What they may do.
    pub role: TenantRole,
    /// Where.
    pub tenant: Tenant,
}

/// How the person is known.
enum Proof {
    /// They are new, and chose this password.
    New(String),
    /// They are known without a password, and chose this one.
    First(UserId, String),
    /// They are known and proved it.
    Known(UserId),
}

fn void() -> Error {
    Error::refused(
        "invitation_void",
        "this token opens nothing: it was used, replaced or revoked, its time is over, or it never was one",
    )
}

/// An invitation that can be taken, with its tenant.
fn open_in(conn: &mut Conn, hash: &[u8], now: Ts) -> Result<(Invitation, Tenant)> {
    let found = store::by_token(conn, hash)?.ok_or_else(void)?;
    if found.state != InvitationState::Open || found.expires_at <= now {
        return Err(void());
    }
    let tenant = tenants::get_in(conn, &Handle::Id(found.tenant_id))?;
    if matches!(tenant.state, State::Deleting | State::Deleted) {
        return Err(void());
    }
    Ok((found, tenant))
}

/// Makes the holder of a token a member. Somebody new sets their password; somebody known gives theirs, or is
/// signed in already.
///
/// # Errors
/// [`Error::Refused`] `invitation_void`; [`Error::Invalid`] `/password`; [`Error::Forbidden`] `wrong_password`, or
/// `invitation_for_another` when the caller is signed in as somebody else.
pub async fn accept(
    app: &App,
    caller: &Caller,
    token: &str,
    given: Option<SecretString>,
    attempt: Arc<Attempt>,
) -> Result<Answer<Joined>> {
    // The token is the right: whoever holds it was sent it.
    let (hash, now) = (one_time::token_hash(token), app.clock.now());
    let (early, found) = {
        let (attempt, hash) = (Arc::clone(&attempt), hash.clone());
        app.db
            .read(move |conn| {
                if let Some(early) = attempt.earlier(conn, now)? {
                    return Ok((Some(early), None));
                }
                let (invitation, _) = open_in(conn, &hash, now)?;
                let user = people::by_email(conn, &invitation.email)?;
                Ok((None, Some((invitation, user))))
            })
            .await?
    };
    if let Some(replayed) = early {
        return Ok(replayed);
    }
    let (invitation, user) = found.ok_or_else(void)?;
    let proof = prove(app, caller, &invitation, user, given).await?;
    let caller = caller.clone();
    let joined = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                let (mut invitation, tenant) = open_in(conn, &hash, now)?;
                let user = person_in(conn, &invitation, &proof, now)?;
                if members::find(conn, tenant.id, user.id)?.is_some() {
                    return Err(Error::conflict("already_member", "you belong to this tenant already"));
                }
                join_in(conn, &User { updated_at: now, ..user.clone() }, tenant.id, invitation.role)?;
                invitation.state = InvitationState::Accepted;
                invitation.user_id = Some(user.id);
                invitation.updated_at = now;
                store::save(conn, &mut invitation, None)?;
                let joined =
                    MemberJoined { user_id: user.id, role: invitation.role, invitation_id: invitation.id };
                log::append_in(conn, &caller, now, NewEvent::of(tenant.id, joined))?;
                Ok(Joined { user_id: user.id, role: invitation.role, tenant })
            })
        })
        .await?;
    Ok(joined)
}

async fn prove(
    app: &App,
    caller: &Caller,
    invitation: &Invitation,
    user: Option<User>,
    given: Option<SecretString>,
) -> Result<Proof> {
    if let Who::User { user: signed_in, .. } = &caller.who {
        if user.as_ref().is_some_and(|user| user.id == *signed_in) {
            return Ok(Proof::Known(*signed_in));
        }
        return Err(Error::forbidden(
            "invitation_for_another",
            "the invitation was sent to another address than the one you are signed in with",
        ));
    }
    let given = given.ok_or_else(|| {
        Error::field("/password", "is needed: the one of your account, or a new one if you have none")
    })?;
    match user {
        Some(user) if user.password_hash.is_some() => {
            account::prove(app, caller, &user, given).await?;
            Ok(Proof::Known(user.id))
        }
        other => {
            account::acceptable(app, &given, &invitation.email, "/password").await?;
            let hash = password::hash(given).await?;
            Ok(other.map_or_else(|| Proof::New(hash.clone()), |user| Proof::First(user.id, hash.clone())))
        }
    }
}

fn person_in(conn: &mut Conn, invitation: &Invitation, proof: &Proof, now: Ts) -> Result<User> {
    let found = people::by_email(conn, &invitation.email)?;
    match (proof, found) {
        (Proof::New(hash), None) => {
            let user = User {
                id: UserId::mint(),
                email: invitation.email.clone(),
                password_hash: Some(hash.clone()),
                created_at: now,
                updated_at: now,
            };
            people::insert_user(conn, user.clone())?;
            Ok(user)
        }
        (Proof::Known(id), Some(user)) if user.id == *id => Ok(user),
        (Proof::First(id, hash), Some(user)) if user.id == *id && user.password_hash.is_none() => {
            rows::set_password(conn, user.id, hash, now)?;
            Ok(user)
        }
        // The address changed hands, or was signed up with, since the proof.
        _ => Err(Error::conflict(
            "changed_meanwhile",
            "the account of this address has just changed; try again",
        )),
    }
}
