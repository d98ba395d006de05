//! Proving who one is, and changing one's password.

use secrecy::SecretString;

use super::store;
use crate::app::App;
use crate::auth::{Caller, Verb, password};
use crate::db::Conn;
use crate::identity::events::{Account, UserPasswordChanged};
use crate::identity::proof::{self, Known};
use crate::identity::sessions::model::EndReason;
use crate::identity::sessions::store::end_of_user_in;
use crate::identity::store::User;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{SessionId, UserId};
use crate::log::{self, NewEvent};
use crate::mail::{self, Letter, LetterKind, NewMail};

/// How long a notice is worth delivering.
const NOTICE: std::time::Duration = std::time::Duration::from_secs(3 * 86_400);

/// What is due once a change to a person has committed: memory forgets how they stood, and letters go out.
pub async fn settled(app: &App, user: UserId) {
    app.signed_in.forget_user(user).await;
    app.wake.work();
}

/// Checks a person's password.
///
/// # Errors
/// [`Error::Forbidden`] `wrong_password`; [`Error::Limited`] after too many tries.
pub async fn prove(app: &App, caller: &Caller, user: &User, given: SecretString) -> Result<()> {
    proof::again(app, caller, &Known::user(user.id, user.password_hash.clone()), given).await
}

/// Authorises `verb` for a person, asks them for their password again, and answers who they are.
///
/// # Errors
/// As [`Caller::person`]; as [`prove`].
pub async fn confirmed(app: &App, caller: &Caller, verb: Verb, given: SecretString) -> Result<UserId> {
    let (id, _) = caller.person(verb)?;
    let user = app.db.read(move |conn| store::user(conn, id)).await?;
    prove(app, caller, &user, given).await?;
    Ok(id)
}

/// Refuses a new password that is too short or too easy to guess.
///
/// # Errors
/// [`Error::Invalid`] at `pointer`.
pub async fn acceptable(app: &App, given: &SecretString, email: &str, pointer: &str) -> Result<()> {
    let least = app.settings.auth.password_min_length;
    match password::weakness(given.clone(), email, least).await? {
        None => Ok(()),
        Some(why) => Err(Error::field(pointer, why)),
    }
}

/// Writes a new password, ends the person's sessions everywhere but for `except`, and tells them by mail.
pub(super) fn set_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    user: &User,
    hash: &str,
    except: Option<SessionId>,
    now: Ts,
) -> Result<()> {
    store::set_password(conn, user.id, hash, now)?;
    let ended = end_of_user_in(conn, user.id, None, except, EndReason::PasswordChanged, now)?;
    let changed = UserPasswordChanged(Account { user_id: user.id, sessions_ended: ended.len() });
    log::append_in(conn, caller, now, NewEvent::global(changed))?;
    notice_in(conn, app, LetterKind::PasswordChanged, &user.email, now)
}

pub(super) fn notice_in(conn: &mut Conn, app: &App, kind: LetterKind, to: &str, now: Ts) -> Result<()> {
    let letter = Letter::new(kind, to, &[]);
    mail::post_in(conn, &app.vault, now, &NewMail { letter, tenant: None, expires_at: now.plus(NOTICE) })
        .map(drop)
}

/// Changes the caller's password. Their other sessions end, this one goes on.
///
/// # Errors
/// As [`Caller::may`]; `wrong_password`; [`Error::Invalid`] for a password that is too weak or the same.
pub async fn change_password(
    app: &App,
    caller: &Caller,
    current: SecretString,
    new: SecretString,
) -> Result<()> {
    let (id, session) = caller.person(Verb::OwnAccount)?;
    let user = app.db.read(move |conn| store::user(conn, id)).await?;
    prove(app, caller, &user, current).await?;
    acceptable(app, &new, &user.email, "/new_password").await?;
    if password::verify(new.clone(), user.password_hash.clone()).await? {
        return Err(Error::field("/new_password", "must differ from the present one"));
    }
    let hash = password::hash(new).await?;
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    app.db
        .write(move |conn| {
            let found = store::user(conn, id)?;
            if found.password_hash != user.password_hash {
                return Err(Error::conflict(
                    "changed_meanwhile",
                    "the password has just been changed; try again",
                ));
            }
            set_in(conn, &again, &caller, &found, &hash, Some(session), now)
        })
        .await?;
    settled(app, id).await;
    Ok(())
}
