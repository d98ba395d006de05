//! A forgotten password. A request is answered the same, after the same work, whoever is asked about: it only
//! opens an operation. That looks the person up, and mails a token if there is one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::json;

use super::commands::{acceptable, set_in, settled};
use super::store::{self, Reset};
use crate::app::App;
use crate::auth::one_time::{self, Purpose};
use crate::auth::{Caller, password};
use crate::identity::attempts;
use crate::identity::commands::normalise_email;
use crate::identity::events::UserPasswordResetRequested;
use crate::identity::store as people;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::OperationId;
use crate::log::{self, NewEvent};
use crate::mail::{self, Letter, LetterKind, NewMail, model::in_words};
use crate::work::runner::{Running, Worker};
use crate::work::{self, NewOperation, Operation};

/// Kind of the operation that mails a token, if there is somebody to mail it to.
pub const RESET_OPERATION: &str = "user.reset_password";

const PURPOSE: &str = "operations.user.reset_password";

/// Takes a request for a new password.
///
/// # Errors
/// [`Error::Invalid`] for what is no address, never whether it is known; [`Error::Limited`] after too many.
pub async fn request(app: &App, caller: &Caller, email: &str) -> Result<()> {
    // For everybody: who has forgotten a password has no credential.
    let email = normalise_email(email).map_err(|detail| Error::field("/email", detail))?;
    attempts::ask_for_mail(app, caller)?;
    // Sealed, for the operation is shown, and who asked about whom is nobody's business.
    let sealed = STANDARD.encode(app.vault.seal(PURPOSE, email.as_bytes())?);
    let now = app.clock.now();
    app.db
        .write(move |conn| {
            let operation = NewOperation {
                kind: RESET_OPERATION,
                tenant: None,
                input: json!({ "email": sealed }),
                steps: vec!["mail_token".to_owned()],
                begin: now,
                done: false,
            };
            work::store::open_in(conn, now, operation).map(drop)
        })
        .await?;
    app.wake.work();
    Ok(())
}

/// Does [`RESET_OPERATION`].
pub struct Resetter(pub App);

impl Worker for Resetter {
    fn kind(&self) -> &'static str {
        RESET_OPERATION
    }

    fn run<'a>(&'a self, operation: &'a Operation, _: &'a str) -> Running<'a> {
        Box::pin(async move {
            let sealed = operation.input.get("email").and_then(|email| email.as_str()).unwrap_or_default();
            let plain = self.0.vault.open(PURPOSE, &STANDARD.decode(sealed).map_err(Error::internal)?)?;
            self.mail_token(String::from_utf8_lossy(&plain).into_owned(), operation.id).await
        })
    }
}

impl Resetter {
    async fn mail_token(&self, email: String, operation: OperationId) -> Result<()> {
        let by = Caller::system("account").because(operation);
        let (app, now) = (self.0.clone(), self.0.clock.now());
        let (cooldown, ttl) = (app.settings.mail.resend_cooldown, app.settings.auth.code_ttl);
        self.0
            .db
            .write(move |conn| {
                let Some(user) = people::by_email(conn, &email)? else { return Ok(()) };
                if store::reset_of(conn, user.id)?.is_some_and(|last| last.created_at.plus(cooldown) > now) {
                    return Ok(());
                }
                let (token, token_hash) = one_time::token(Purpose::PasswordReset);
                let expires_at = now.plus(ttl);
                store::put_reset(conn, Reset { user_id: user.id, token_hash, created_at: now, expires_at })?;
                let words = [("token", token), ("expires_in", in_words(ttl))];
                let letter = Letter::new(LetterKind::ResetPassword, &user.email, &words);
                mail::post_in(conn, &app.vault, now, &NewMail { letter, tenant: None, expires_at })?;
                let event = NewEvent::global(UserPasswordResetRequested { user_id: user.id });
                log::append_in(conn, &by, now, event).map(drop)
            })
            .await?;
        self.0.wake.work();
        Ok(())
    }
}

fn void() -> Error {
    Error::refused(
        "token_void",
        "this token sets no password: it was used or replaced, its time is over, or it never was one",
    )
}

/// Sets a new password with a token, once. All sessions of the person end.
///
/// # Errors
/// [`Error::Refused`] `token_void`; [`Error::Invalid`] for a weak password, which leaves the token good.
pub async fn confirm(app: &App, caller: &Caller, token: &str, new: SecretString) -> Result<()> {
    // The token is the right: whoever holds it was sent it.
    let (token_hash, now) = (one_time::token_hash(token), app.clock.now());
    let email = {
        let token_hash = token_hash.clone();
        app.db
            .read(move |conn| {
                let found = store::reset_by_token(conn, &token_hash)?.filter(|one| one.expires_at > now);
                Ok(store::user(conn, found.ok_or_else(void)?.user_id)?.email)
            })
            .await?
    };
    acceptable(app, &new, &email, "/password").await?;
    let hash = password::hash(new).await?;
    let (again, caller) = (app.clone(), caller.clone());
    let user = app
        .db
        .write(move |conn| {
            let found = store::reset_by_token(conn, &token_hash)?.filter(|one| one.expires_at > now);
            let user = store::user(conn, found.ok_or_else(void)?.user_id)?;
            set_in(conn, &again, &caller, &user, &hash, None, now)?;
            Ok(user.id)
        })
        .await?;
    settled(app, user).await;
    Ok(())
}
