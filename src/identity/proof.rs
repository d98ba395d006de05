//! Proving who one is: a password, and a second factor where the person has set one up.

use secrecy::SecretString;

use super::attempts;
use super::factors::commands as factors;
use super::sessions::store::Of;
use super::store;
use crate::app::App;
use crate::auth::{Caller, password, throttle};
use crate::db::Conn;
use crate::identity::events::{OperatorSessionRefused, Refusal, SessionRefused, SignInRefused};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperatorUserId, PersonId, TenantId, UserId};
use crate::log::aside::Note;
use crate::log::{self, NewEvent};

/// What a person brings.
pub struct Proof {
    /// The password.
    pub password: SecretString,
    /// The code that their authenticator shows.
    pub totp: Option<String>,
    /// One of their recovery codes instead.
    pub recovery_code: Option<SecretString>,
}

/// Whom an address was found to belong to.
#[derive(Clone)]
pub struct Known {
    /// As sessions know them; none for somebody who is no user yet.
    pub of: Option<Of>,
    /// As factors know them.
    pub person: Option<PersonId>,
    /// What their password is compared with.
    pub password_hash: Option<String>,
}

impl Known {
    /// A member.
    #[must_use]
    pub fn user(user: UserId, password_hash: Option<String>) -> Self {
        Self { of: Some(Of::User(user)), person: Some(user.into()), password_hash }
    }

    /// Somebody who has chosen a password and is no user yet.
    #[must_use]
    pub fn pending(password_hash: String) -> Self {
        Self { of: None, person: None, password_hash: Some(password_hash) }
    }

    /// An operator.
    #[must_use]
    pub fn operator(operator: OperatorUserId, password_hash: Option<String>) -> Self {
        Self { of: Some(Of::Operator(operator)), person: Some(operator.into()), password_hash }
    }
}

/// Whether `given` proves the account `name` to be the caller's. It takes as long, and is bounded alike, for an
/// account that does not exist.
///
/// # Errors
/// [`Error::Limited`] after too many tries; with the right password [`Error::Challenge`]
/// `second_factor_required` or `second_factor_invalid`.
pub async fn check(
    app: &App,
    caller: &Caller,
    name: &str,
    known: Option<&Known>,
    given: Proof,
) -> Result<bool> {
    let answer = proves(app, caller, name, known, given).await;
    match &answer {
        Ok(false) if known.is_none() => note_stranger(app, caller, "unknown_account"),
        Err(Error::Limited { .. }) => note_stranger(app, caller, "too_many_tries"),
        _ => {}
    }
    let outcome = match &answer {
        Ok(true) => "proved",
        Ok(false) => "wrong_password",
        Err(Error::Challenge { code, .. }) => code,
        Err(Error::Limited { .. }) => "limited",
        Err(_) => "failed",
    };
    metrics::counter!("tenantry_sign_ins_total", "outcome" => outcome).increment(1);
    answer
}

async fn proves(app: &App, caller: &Caller, name: &str, known: Option<&Known>, given: Proof) -> Result<bool> {
    let of = known.and_then(|known| known.of);
    let tries = attempts::begin(app, caller, name, of).await?;
    let stored = known.and_then(|known| known.password_hash.clone());
    let right = password::verify(given.password, stored).await?;
    let Some(known) = known.filter(|_| right) else {
        note_refusal(app, caller, of, "password").await;
        return Ok(false);
    };
    if let Some(person) = known.person
        && factors::is_on(app, person).await?
    {
        if given.totp.is_none() && given.recovery_code.is_none() {
            tries.succeeded();
            return Err(Error::Challenge {
                code: "second_factor_required",
                detail: "send `totp` with the code of your authenticator, or `recovery_code`".into(),
            });
        }
        let codes = attempts::begin_factor(app, caller, name, of).await?;
        if !factors::matches(app, caller, person, of, given.totp, given.recovery_code).await? {
            note_refusal(app, caller, of, "second_factor").await;
            return Err(Error::Challenge {
                code: "second_factor_invalid",
                detail: "the code is wrong, over, or was used before".into(),
            });
        }
        codes.succeeded();
    }
    tries.succeeded();
    Ok(true)
}

/// Makes sure that whoever holds a member's or operator's token knows their password too.
///
/// # Errors
/// [`Error::Forbidden`] `wrong_password`; [`Error::Limited`].
pub async fn again(app: &App, caller: &Caller, known: &Known, given: SecretString) -> Result<()> {
    let name = known.person.map(|person| person.to_string()).unwrap_or_default();
    let tries = attempts::begin(app, caller, &name, known.of).await?;
    if !password::verify(given, known.password_hash.clone()).await? {
        note_refusal(app, caller, known.of, "password").await;
        return Err(Error::forbidden("wrong_password", "the password is wrong"));
    }
    tries.succeeded();
    Ok(())
}

/// A wrong proof against a known person is a fact worth keeping, in each of their tenants; it must not change the
/// answer.
async fn note_refusal(app: &App, caller: &Caller, of: Option<Of>, what: &'static str) {
    let (caller, now) = (caller.clone(), app.clock.now());
    let noted = match of {
        Some(Of::User(user)) => {
            let note = move |conn: &mut Conn| {
                let mut homes: Vec<Option<TenantId>> =
                    store::memberships_of(conn, user)?.iter().map(|home| Some(home.tenant_id)).collect();
                if homes.is_empty() {
                    homes.push(None);
                }
                for tenant in homes {
                    let wrong = Refusal { user_id: user.to_string(), wrong: what.to_owned() };
                    let event = NewEvent::about(tenant, SessionRefused(wrong));
                    log::append_in(conn, &caller, now, event)?;
                }
                Ok(())
            };
            app.db.write(note).await
        }
        Some(Of::Operator(user)) => {
            let wrong = Refusal { user_id: user.to_string(), wrong: what.to_owned() };
            let event = NewEvent::global(OperatorSessionRefused(wrong));
            app.db.write(move |conn| log::append_in(conn, &caller, now, event.clone()).map(drop)).await
        }
        Some(Of::Tenant(_)) | None => return,
    };
    if let Err(error) = noted {
        tracing::warn!(error = %error, "a refused sign-in could not be noted");
    }
}

/// What nobody's account was tried with, or too often, is of interest by the address it comes from. Anybody can do
/// it without end, so it is folded; never with what was typed.
fn note_stranger(app: &App, caller: &Caller, why: &'static str) {
    let party = throttle::party(caller.address.as_deref());
    let event = NewEvent::global(SignInRefused { why: why.to_owned(), party: party.clone(), count: 1 });
    app.aside.note(Note { key: format!("sign in {why} {party}"), caller: caller.clone(), event });
}
