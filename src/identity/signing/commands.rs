//! Making, rotating and retiring signing keys.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::model::{self, Life, SigningKey, Standing};
use super::store;
use crate::app::App;
use crate::auth::caller::CLOCK;
use crate::auth::{Caller, Verb};
use crate::db::{Conn, Db};
use crate::http::{Answer, Attempt, Outcome};
use crate::identity::events::{SigningKeyCreated, SigningKeyRetired};
use crate::identity::token;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::vault::Vault;
use crate::log::{self, NewEvent};

/// How often it is looked whether a key must be made. Well below the time a key is published ahead.
const PERIOD: Duration = Duration::from_secs(30);

fn lives(conn: &mut Conn) -> Result<Vec<Life>> {
    Ok(store::all(conn)?.iter().map(store::SigningKeyRow::life).collect())
}

fn make_in(conn: &mut Conn, vault: &Vault, caller: &Caller, now: Ts, active_at: Ts) -> Result<Life> {
    let row = token::generate(vault, now, active_at)?;
    let life = row.life();
    store::insert(conn, row)?;
    let made = SigningKeyCreated { kid: life.kid.clone(), active_at };
    log::append_in(conn, caller, now, NewEvent::global(made))?;
    Ok(life)
}

/// Makes the key that is due, if one is, and forgets those long over. Of several replicas one makes it.
///
/// # Errors
/// The store's.
pub async fn keep(db: &Db, vault: &Vault, now: Ts, rotation: Duration) -> Result<()> {
    let due = db
        .read(move |conn| {
            let all = lives(conn)?;
            let old = all.iter().any(|one| model::is_forgettable(&all, one, now));
            Ok(old || model::due(&all, now, rotation).is_some())
        })
        .await?;
    if !due {
        return Ok(());
    }
    let vault = vault.clone();
    db.write(move |conn| {
        let all = lives(conn)?;
        for old in all.iter().filter(|one| model::is_forgettable(&all, one, now)) {
            store::remove(conn, &old.kid)?;
        }
        if let Some(active_at) = model::due(&all, now, rotation) {
            let by = Caller::system("signing_keys").because(CLOCK);
            make_in(conn, &vault, &by, now, active_at)?;
        }
        Ok(())
    })
    .await
}

/// Keeps the keys until the process is to end: makes those that are due, and reads those of other replicas.
pub async fn serve(app: App, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        let kept = keep(&app.db, &app.vault, app.clock.now(), app.settings.auth.signing_key_rotation).await;
        let known = app.tokens.reload(&app.db, &app.vault).await;
        if let Err(error) = kept.and(known) {
            tracing::warn!(error = %error, "signing keys could not be looked after; trying again");
        }
    }
}

/// Makes the next key. It signs as soon as every cached key set can hold it, or at once, when services that
/// check tokens themselves may refuse some until they fetch the set again.
///
/// # Errors
/// As [`Caller::may`]; [`Error::Conflict`] `rotation_pending` when the next key waits already.
pub async fn rotate(
    app: &App,
    caller: &Caller,
    at_once: bool,
    attempt: Arc<Attempt>,
) -> Result<Answer<SigningKey>> {
    caller.may(Verb::ManageSigningKeys)?;
    let (now, caller, vault) = (app.clock.now(), caller.clone(), app.vault.clone());
    let answer = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                let mut all = lives(conn)?;
                if !at_once && all.iter().any(|one| model::standing(&all, one, now) == Standing::Next) {
                    return Err(Error::conflict(
                        "rotation_pending",
                        "the next key is published and waits to sign; say `at_once` to sign with another now",
                    ));
                }
                let active_at = if at_once { now } else { now.plus(model::AHEAD) };
                let made = make_in(conn, &vault, &caller, now, active_at)?;
                all.push(made.clone());
                Ok(model::view(&all, &made, now))
            })
        })
        .await?;
    app.tokens.reload(&app.db, &app.vault).await?;
    Ok(answer)
}

/// Takes a key out of use at once: every token that it signed is refused here from this answer on, and by
/// others as soon as they fetch the key set again. Another signs in its place.
///
/// # Errors
/// As [`Caller::may`]; [`Error::NotFound`].
pub async fn retire(app: &App, caller: &Caller, kid: String) -> Result<SigningKey> {
    caller.may(Verb::ManageSigningKeys)?;
    let (now, caller, vault) = (app.clock.now(), caller.clone(), app.vault.clone());
    let view = app
        .db
        .write(move |conn| {
            let mut all = lives(conn)?;
            let Some(of) = all.iter().find(|one| one.kid == kid).cloned() else {
                return Err(Error::NotFound("signing key"));
            };
            if of.retired_at.is_some() {
                return Ok(model::view(&all, &of, now));
            }
            if model::standing(&all, &of, now) == Standing::Signing {
                all.push(make_in(conn, &vault, &caller, now, now)?);
            }
            store::retire(conn, &kid, now)?;
            log::append_in(conn, &caller, now, NewEvent::global(SigningKeyRetired { kid: kid.clone() }))?;
            let retired = Life { retired_at: Some(now), ..of };
            Ok(model::view(&all, &retired, now))
        })
        .await?;
    app.tokens.reload(&app.db, &app.vault).await?;
    Ok(view)
}

/// All keys whose records are kept, newest first.
///
/// # Errors
/// As [`Caller::may`].
pub async fn list(app: &App, caller: &Caller) -> Result<Vec<SigningKey>> {
    caller.may(Verb::ReadSigningKeys)?;
    let now = app.clock.now();
    let all = app.db.read(lives).await?;
    Ok(all.iter().map(|one| model::view(&all, one, now)).collect())
}
