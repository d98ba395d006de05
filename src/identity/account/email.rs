//! Another address: asked for with the password, confirmed with a code from the new one, told to the old one.

use secrecy::SecretString;

use super::commands::{confirmed, notice_in, settled};
use super::store::{self, EmailChange};
use crate::app::App;
use crate::auth::one_time::{self, TRIES};
use crate::auth::{Caller, Verb};
use crate::identity::commands::normalise_email;
use crate::identity::events::{Account, UserEmailChangeRequested, UserEmailChanged};
use crate::identity::sessions::model::EndReason;
use crate::identity::sessions::store::end_of_user_in;
use crate::identity::store as people;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::UserId;
use crate::log::{self, NewEvent};
use crate::mail::{self, Letter, LetterKind, NewMail, model::in_words};

fn subject(user: UserId) -> String {
    format!("email:{user}")
}

/// Takes a request for another address, and mails a code to it. One that belongs to somebody gets none, which
/// the answer does not tell.
///
/// # Errors
/// As [`Caller::may`]; `wrong_password`; [`Error::Invalid`]; [`Error::Limited`] within `mail.resend_cooldown_s`.
pub async fn request(app: &App, caller: &Caller, given: SecretString, email: &str) -> Result<()> {
    caller.may(Verb::OwnAccount)?;
    let email = normalise_email(email).map_err(|detail| Error::field("/email", detail))?;
    let id = confirmed(app, caller, Verb::OwnAccount, given).await?;
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let (cooldown, ttl) = (app.settings.mail.resend_cooldown, app.settings.auth.code_ttl);
    let code = one_time::code();
    app.db
        .write(move |conn| {
            if store::user(conn, id)?.email == email {
                return Err(Error::field("/email", "is your address already"));
            }
            let free = store::change_of(conn, id)?.map(|last| last.created_at.plus(cooldown));
            if let Some(free) = free.filter(|free| *free > now) {
                let detail = "a code was sent a moment ago".into();
                return Err(Error::Limited { detail, retry_after: free.since(now) });
            }
            let expires_at = now.plus(ttl);
            let change = EmailChange {
                user_id: id,
                email: email.clone(),
                code_hash: one_time::code_hash(&again.vault, subject(id), &code),
                tries: 0,
                created_at: now,
                expires_at,
            };
            store::put_change(conn, change)?;
            if people::by_email(conn, &email)?.is_none() {
                let words = [("code", code.clone()), ("expires_in", in_words(ttl))];
                let letter = Letter::new(LetterKind::ConfirmEmail, &email, &words);
                mail::post_in(conn, &again.vault, now, &NewMail { letter, tenant: None, expires_at })?;
            }
            let requested = UserEmailChangeRequested { user_id: id };
            log::append_in(conn, &caller, now, NewEvent::global(requested)).map(drop)
        })
        .await?;
    settled(app, id).await;
    Ok(())
}

/// Makes the asked-for address the caller's, with the code that it got. Other sessions end.
///
/// # Errors
/// As [`Caller::may`]; [`Error::Refused`] `code_wrong`, or `code_void` when none is asked for, its time is over
/// or it was guessed at too often; [`Error::Conflict`] `email_in_use`.
pub async fn confirm(app: &App, caller: &Caller, code: &str) -> Result<()> {
    let (id, session) = caller.person(Verb::OwnAccount)?;
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let given = one_time::code_hash(&app.vault, subject(id), code);
    let outcome = app
        .db
        .write(move |conn| {
            let waiting = store::change_of(conn, id)?.filter(|one| one.expires_at > now && one.tries < TRIES);
            let Some(mut change) = waiting else { return Ok(Err(void())) };
            if !one_time::same(&change.code_hash, &given) {
                // Counted, so this commits; the refusal goes out as the inner answer.
                change.tries += 1;
                store::put_change(conn, change)?;
                return Ok(Err(Error::refused("code_wrong", "this is not the code that was sent")));
            }
            if people::by_email(conn, &change.email)?.is_some() {
                return Err(Error::conflict("email_in_use", "this address belongs to another account"));
            }
            let old = store::user(conn, id)?.email;
            store::set_email(conn, id, &change.email, now)?;
            store::remove_change(conn, id)?;
            // A token that was mailed to the old address must not outlive it.
            store::remove_reset(conn, id)?;
            let ended = end_of_user_in(conn, id, None, Some(session), EndReason::EmailChanged, now)?;
            let changed = UserEmailChanged(Account { user_id: id, sessions_ended: ended.len() });
            log::append_in(conn, &caller, now, NewEvent::global(changed))?;
            notice_in(conn, &again, LetterKind::EmailChanged, &old, now)?;
            Ok(Ok(()))
        })
        .await?;
    settled(app, id).await;
    outcome
}

fn void() -> Error {
    Error::refused(
        "code_void",
        "no code is waited for, its time is over, or too many were wrong: ask for a new one",
    )
}
