//! Making, changing and removing operators who are people.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::model::Operator;
use super::store::{self, OperatorRow};
use crate::app::App;
use crate::auth::caller::{OperatorId, OperatorRole};
use crate::auth::opaque::{self, Opaque};
use crate::auth::{Caller, Verb, password};
use crate::db::Conn;
use crate::http::{Answer, Attempt, IfMatch, Outcome};
use crate::identity::attempts;
use crate::identity::commands::normalise_email;
use crate::identity::events::{
    Duty, Officer, OperatorCreated, OperatorPasswordSet, OperatorRemoved, OperatorSetupRenewed,
    OperatorUpdated,
};
use crate::identity::factors::store as factors;
use crate::identity::sessions::commands as sessions;
use crate::identity::sessions::impersonation;
use crate::identity::sessions::model::EndReason;
use crate::identity::sessions::store::{self as session_rows, Of, SessionRow};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperatorUserId, SessionId};
use crate::log::{self, NewEvent};

/// An operator with the token by which they set their password: the one answer that holds it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Invited {
    /// Hand it to them: good once, at `POST /admin/v1/operator-setup`. It is not shown again.
    pub setup_token: String,
    /// The operator.
    #[serde(flatten)]
    pub operator: Operator,
}

/// What a patch changes; `None` stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patch {
    /// A new role.
    pub role: Option<OperatorRole>,
    /// Whether they may not sign in.
    pub disabled: Option<bool>,
}

/// Sessions and visits that ended with a change, for memory to forget.
#[derive(Default)]
struct Ended {
    own: Vec<SessionRow>,
    visits: Vec<SessionId>,
}

/// Makes an operator, who can sign in when they have set a password.
///
/// # Errors
/// As [`Caller::may`]; [`Error::Invalid`]; [`Error::Conflict`] `email_in_use`.
pub async fn create(
    app: &App,
    caller: &Caller,
    email: &str,
    role: OperatorRole,
    attempt: Arc<Attempt>,
) -> Result<Answer<Invited>> {
    caller.may(Verb::ManageOperators)?;
    let email = normalise_email(email).map_err(|detail| Error::field("/email", detail))?;
    let (now, id) = (app.clock.now(), OperatorUserId::mint());
    let token = opaque::generate(opaque::SETUP, id.uuid());
    let (caller, until) = (caller.clone(), now.plus(app.settings.auth.operator_setup_ttl));
    app.db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                let row = OperatorRow {
                    id,
                    email: email.clone(),
                    role,
                    password_hash: None,
                    setup_hash: Some(token.hash.to_vec()),
                    setup_expires_at: Some(until),
                    created_by: format!("{}:{}", caller.kind(), caller.actor()),
                    created_at: now,
                    updated_at: now,
                    disabled_at: None,
                    rev: 1,
                };
                let operator = row.view();
                store::insert(conn, row)?;
                log::append_in(
                    conn,
                    &caller,
                    now,
                    NewEvent::global(OperatorCreated(Duty { user_id: id, role })),
                )?;
                Ok(Invited { setup_token: token.text.expose_secret().to_owned(), operator })
            })
        })
        .await
}

/// Makes a new token to set a password, for an operator who lost theirs: the old password and all sessions end.
///
/// # Errors
/// As [`Caller::may`]; [`Error::NotFound`]; [`Error::Conflict`] `last_admin`.
pub async fn renew_setup(
    app: &App,
    caller: &Caller,
    id: OperatorUserId,
    attempt: Arc<Attempt>,
) -> Result<Answer<Invited>> {
    caller.may(Verb::ManageOperators)?;
    let now = app.clock.now();
    let Opaque { text, hash } = opaque::generate(opaque::SETUP, id.uuid());
    let (again, caller, until) =
        (app.clone(), caller.clone(), now.plus(app.settings.auth.operator_setup_ttl));
    let answer = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                let mut row = get_in(conn, id)?;
                keep_one_admin(conn, &again, &row, false, now)?;
                row.password_hash = None;
                row.setup_hash = Some(hash.to_vec());
                row.setup_expires_at = Some(until);
                row.updated_at = now;
                store::save(conn, &mut row)?;
                end_all_in(conn, &caller, id, EndReason::PasswordChanged, now)?;
                let renewed = OperatorSetupRenewed(Officer { user_id: id });
                log::append_in(conn, &caller, now, NewEvent::global(renewed))?;
                Ok(Invited { setup_token: text.expose_secret().to_owned(), operator: row.view() })
            })
        })
        .await?;
    app.signed_in.forget_operator(id).await;
    Ok(answer)
}

fn get_in(conn: &mut Conn, id: OperatorUserId) -> Result<OperatorRow> {
    store::find(conn, id)?.ok_or(Error::NotFound("operator"))
}

/// Refuses a change after which nobody could sign in as an admin, nor any key be one.
fn keep_one_admin(conn: &mut Conn, app: &App, row: &OperatorRow, stays: bool, now: Ts) -> Result<()> {
    if row.is_good_admin() && !stays && app.good_admins_in(conn, now)? <= 1 {
        return Err(Error::conflict(
            "last_admin",
            "this is the last operator with the role admin, keys counted: make another first",
        ));
    }
    Ok(())
}

fn end_all_in(
    conn: &mut Conn,
    caller: &Caller,
    id: OperatorUserId,
    reason: EndReason,
    now: Ts,
) -> Result<Ended> {
    let own = session_rows::open_of(conn, Of::Operator(id), now)?;
    for row in &own {
        sessions::end_in(conn, caller, row, reason, now)?;
    }
    let visits = impersonation::end_of_operator_in(conn, caller, OperatorId::User(id), now)?;
    Ok(Ended { own, visits })
}

async fn forget(app: &App, id: OperatorUserId, ended: &Ended) {
    app.signed_in.forget_operator(id).await;
    for row in &ended.own {
        app.signed_in.forget_session(row.id).await;
    }
    for visit in &ended.visits {
        app.signed_in.forget_session(*visit).await;
    }
}

/// Changes an operator's role, or keeps them from signing in; it counts from this answer on.
///
/// # Errors
/// As [`Caller::may`]; [`Error::NotFound`]; [`Error::Conflict`] `last_admin`; another revision than `if_match`
/// names.
pub async fn patch(
    app: &App,
    caller: &Caller,
    id: OperatorUserId,
    patch: Patch,
    if_match: IfMatch,
) -> Result<Operator> {
    caller.may(Verb::ManageOperators)?;
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let (operator, ended) = app
        .db
        .write(move |conn| {
            let mut row = get_in(conn, id)?;
            if_match.check(row.rev)?;
            let role = patch.role.unwrap_or(row.role);
            let disabled = patch.disabled.unwrap_or(row.disabled_at.is_some());
            keep_one_admin(conn, &again, &row, role == OperatorRole::Admin && !disabled, now)?;
            row.role = role;
            row.disabled_at = if disabled { row.disabled_at.or(Some(now)) } else { None };
            row.updated_at = now;
            store::save(conn, &mut row)?;
            let ended = match disabled {
                true => end_all_in(conn, &caller, id, EndReason::OperatorRemoved, now)?,
                false => Ended::default(),
            };
            let updated = OperatorUpdated { user_id: id, role, disabled };
            log::append_in(conn, &caller, now, NewEvent::global(updated))?;
            Ok((row.view(), ended))
        })
        .await?;
    forget(app, id, &ended).await;
    Ok(operator)
}

/// Removes an operator: their sessions and visits end with this answer.
///
/// # Errors
/// As [`patch`].
pub async fn remove(app: &App, caller: &Caller, id: OperatorUserId, if_match: IfMatch) -> Result<()> {
    caller.may(Verb::ManageOperators)?;
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let ended = app
        .db
        .write(move |conn| {
            let row = get_in(conn, id)?;
            if_match.check(row.rev)?;
            keep_one_admin(conn, &again, &row, false, now)?;
            let ended = end_all_in(conn, &caller, id, EndReason::OperatorRemoved, now)?;
            session_rows::remove_of_operator(conn, id)?;
            factors::remove(conn, id.into())?;
            store::remove(conn, id)?;
            let removed = OperatorRemoved(Duty { user_id: id, role: row.role });
            log::append_in(conn, &caller, now, NewEvent::global(removed))?;
            Ok(ended)
        })
        .await?;
    forget(app, id, &ended).await;
    Ok(())
}

/// Sets an operator's password with the token that was made for it.
///
/// # Errors
/// [`Error::Invalid`] for a password that is too short; [`Error::Unauthenticated`] for a token that is none,
/// over, or was used; [`Error::Limited`].
pub async fn set_up(
    app: &App,
    caller: &Caller,
    token: &SecretString,
    chosen: SecretString,
) -> Result<Operator> {
    // Whoever holds the token may: there is no right to ask for.
    let refused = || Error::Unauthenticated("the token is not valid: ask for another".into());
    let least = app.settings.auth.password_min_length;
    if chosen.expose_secret().chars().count() < least {
        return Err(Error::field("/password", format!("must have at least {least} characters")));
    }
    let (of, hash) = opaque::parse(opaque::SETUP, token.expose_secret()).ok_or_else(refused)?;
    let tries = attempts::begin(app, caller, &OperatorUserId::from_uuid(of).to_string(), None).await?;
    let good = move |row: &OperatorRow, now| {
        row.disabled_at.is_none() && row.setup_expires_at.is_some_and(|until| until > now)
    };
    let now = app.clock.now();
    // Looked at before the password is hashed, which is the costly part, and again when it counts.
    if app.db.read(move |conn| store::by_setup(conn, &hash)).await?.is_none_or(|row| !good(&row, now)) {
        return Err(refused());
    }
    let password_hash = password::hash(chosen).await?;
    let caller = caller.clone();
    let operator = app
        .db
        .write(move |conn| {
            let found = store::by_setup(conn, &hash)?.filter(|row| good(row, now));
            let mut row = found.ok_or_else(|| Error::Unauthenticated("the token is not valid".into()))?;
            row.password_hash = Some(password_hash.clone());
            row.setup_hash = None;
            row.setup_expires_at = None;
            row.updated_at = now;
            store::save(conn, &mut row)?;
            let set = OperatorPasswordSet(Officer { user_id: row.id });
            log::append_in(conn, &caller, now, NewEvent::global(set))?;
            Ok(row.view())
        })
        .await?;
    tries.succeeded();
    app.signed_in.forget_operator(operator.id).await;
    Ok(operator)
}
