//! Operators signing in: short tokens of their own audience, that no tenant's API takes.

use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::model::Operator;
use super::store;
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::identity::commands::normalise_email;
use crate::identity::events::{Begun, OperatorSessionCreated};
use crate::identity::proof::{self, Known, Proof};
use crate::identity::sessions::commands::{claims, end_chosen, end_in, lasts, refresh_token};
use crate::identity::sessions::model::{EndReason, SessionKind};
use crate::identity::sessions::renewal;
use crate::identity::sessions::store::{self as sessions, Of, SessionRow};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::SessionId;
use crate::log::{self, NewEvent};

/// An operator's session, fresh or renewed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OperatorSession {
    /// A JWT for `Authorization: Bearer`.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Seconds until it ends.
    pub expires_in: u64,
    /// Gets the next access token, once.
    pub refresh_token: String,
    /// Who signed in.
    pub operator: Operator,
}

fn answer(
    app: &App,
    row: &SessionRow,
    refresh: &secrecy::SecretString,
    operator: Operator,
    now: Ts,
) -> Result<OperatorSession> {
    let claims = claims(app, row, operator.id.to_string(), operator.role.word(), now);
    Ok(OperatorSession {
        access_token: app.tokens.sign(&claims, now)?,
        token_type: "Bearer",
        expires_in: lasts(&claims),
        refresh_token: refresh.expose_secret().to_owned(),
        operator,
    })
}

/// Signs an operator in.
///
/// # Errors
/// [`Error::Unauthenticated`] alike for an unknown address, a wrong password and a disabled operator; as
/// [`proof::check`].
pub async fn sign_in(
    app: &App,
    caller: &Caller,
    email: &str,
    given: Proof,
    agent: Option<String>,
) -> Result<OperatorSession> {
    let refused = || Error::Unauthenticated("the e-mail address or the password is wrong".into());
    let (name, found) = match normalise_email(email) {
        Ok(email) => {
            let name = email.clone();
            (name, app.db.read(move |conn| store::by_email(conn, &email)).await?)
        }
        Err(_) => (email.trim().to_lowercase(), None),
    };
    let found = found.filter(|row| row.disabled_at.is_none());
    let known = found.as_ref().map(|row| Known::operator(row.id, row.password_hash.clone()));
    // Members of the same address have budgets of their own.
    let name = format!("operator {name}");
    if !proof::check(app, caller, &name, known.as_ref(), given).await? {
        return Err(refused());
    }
    let operator = found.ok_or_else(refused)?.view();
    let (now, id, of) = (app.clock.now(), SessionId::mint(), operator.id);
    let until = now.plus(app.settings.auth.refresh_token_ttl);
    let row = SessionRow {
        operator_id: Some(of),
        ..SessionRow::beginning(
            id,
            SessionKind::Operator,
            caller.address.as_deref().map(ToOwned::to_owned),
            agent,
            now,
            until,
        )
    };
    let refresh = refresh_token(id);
    let answer = answer(app, &row, &refresh.text, operator, now)?;
    let (caller, hash) = (caller.clone(), refresh.hash);
    app.db
        .write(move |conn| {
            for old in sessions::beyond_most(conn, Of::Operator(of), now)? {
                end_in(conn, &caller, &old, EndReason::Superseded, now)?;
            }
            sessions::insert(conn, row.clone())?;
            sessions::insert_refresh(conn, &hash, id, now)?;
            let begun = Begun { user_id: of.to_string(), session_id: id, user_agent: row.user_agent.clone() };
            log::append_in(conn, &caller, now, NewEvent::global(OperatorSessionCreated(begun))).map(drop)
        })
        .await?;
    app.signed_in.forget_operator(of).await;
    Ok(answer)
}

/// Renews an operator's session.
///
/// # Errors
/// As [`renewal::renew`].
pub async fn refresh(
    app: &App,
    caller: &Caller,
    agent: Option<String>,
    text: &str,
) -> Result<OperatorSession> {
    let refused = || Error::Unauthenticated("the operator may not sign in any more".into());
    let (session, next) = renewal::renew(app, caller, agent, text, &[SessionKind::Operator]).await?;
    let of = session.operator_id.ok_or_else(|| Error::internal("a session of no operator"))?;
    let found = app.db.read(move |conn| store::find(conn, of)).await?;
    let operator = found.filter(|row| row.disabled_at.is_none()).ok_or_else(refused)?.view();
    answer(app, &session, &next.text, operator, app.clock.now())
}

/// Signs the calling operator out.
///
/// # Errors
/// As [`Caller::officer`].
pub async fn sign_out(app: &App, caller: &Caller) -> Result<()> {
    let (_, session) = caller.officer(Verb::ManageOwnOperator)?;
    end_chosen(app, caller, EndReason::SignedOut, move |conn, now| {
        let found = sessions::find(conn, session)?.filter(|row| row.is_open(now));
        found.map(|row| vec![row]).ok_or(Error::NotFound("session"))
    })
    .await
}
