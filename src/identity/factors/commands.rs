//! Setting a second factor up, proving it, and removing it.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::model;
use super::store::{self, FactorRow};
use crate::app::App;
use crate::auth::secret_key::{self, KeyHash};
use crate::auth::{Caller, Verb};
use crate::identity::attempts;
use crate::identity::events::{SecondFactorAdded, SecondFactorRecoveryCodeUsed, SecondFactorRemoved, Who};
use crate::identity::operators::store as operators;
use crate::identity::proof::{self, Known};
use crate::identity::sessions::store::Of;
use crate::identity::store as people;
use crate::kernel::clock::Ts;
use crate::kernel::entropy;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{PersonId, TenantId};
use crate::log::{self, NewEvent};

const PURPOSE: &str = "totp_factors.secret";

/// What an authenticator needs: shown once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Enrolment {
    /// The shared secret, in base 32, for typing.
    pub secret: String,
    /// The same as an `otpauth://` address, for a QR code.
    pub otpauth_url: String,
}

/// Codes for the day the authenticator is lost: shown once, each good once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RecoveryCodes {
    /// The codes.
    pub recovery_codes: Vec<String>,
}

/// A person who looks after their own factor.
struct Own {
    person: PersonId,
    of: Of,
    known: Known,
    email: String,
    tenant: Option<TenantId>,
}

/// Whose factors are looked after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Realm {
    /// Members'.
    Members,
    /// Operators'.
    Operators,
}

/// The caller in person: a member or an operator who signed in.
async fn own(app: &App, caller: &Caller, realm: Realm) -> Result<Own> {
    if realm == Realm::Operators {
        let user = caller.officer(Verb::ManageOwnOperator)?.0;
        let found = app.db.read(move |conn| operators::find(conn, user)).await?;
        let found = found.ok_or(Error::NotFound("operator"))?;
        return Ok(Own {
            person: user.into(),
            of: Of::Operator(user),
            known: Known::operator(user, found.password_hash),
            email: found.email,
            tenant: None,
        });
    }
    let (user, _) = caller.person(Verb::ManageOwnFactors)?;
    let found = app.db.read(move |conn| people::user_by_id(conn, user)).await?;
    let found = found.ok_or(Error::NotFound("user"))?;
    Ok(Own {
        person: user.into(),
        of: Of::User(user),
        known: Known::user(user, found.password_hash),
        email: found.email,
        tenant: caller.own_tenant(),
    })
}

fn name_of(of: Of) -> String {
    match of {
        Of::User(user) => user.to_string(),
        Of::Operator(user) => user.to_string(),
        Of::Tenant(_) => String::new(),
    }
}

/// Begins to set an authenticator up; it is asked for only after [`confirm`].
///
/// # Errors
/// As [`Caller::person`]; as [`proof::again`]; [`Error::Conflict`] `second_factor_on`.
pub async fn begin(app: &App, caller: &Caller, realm: Realm, password: SecretString) -> Result<Enrolment> {
    let own = own(app, caller, realm).await?;
    proof::again(app, caller, &own.known, password).await?;
    let secret = zeroize::Zeroizing::new(entropy::bytes::<{ model::SECRET }>());
    let sealed = app.vault.seal(PURPOSE, &*secret)?;
    let (now, person) = (app.clock.now(), own.person);
    app.db
        .write(move |conn| {
            if store::find(conn, person)?.is_some_and(|factor| factor.confirmed_at.is_some()) {
                return Err(Error::conflict("second_factor_on", "remove the present authenticator first"));
            }
            let secret = sealed.clone();
            store::begin(
                conn,
                FactorRow { person_id: person, secret, created_at: now, confirmed_at: None, last_step: 0 },
            )
        })
        .await?;
    Ok(Enrolment {
        secret: model::typed(&*secret),
        otpauth_url: model::address(&*secret, &name(app), &own.email)?,
    })
}

/// How authenticators call this installation: its host.
fn name(app: &App) -> String {
    let issuer = app.tokens.issuer();
    let host = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    host.split([':', '/']).next().unwrap_or("tenantry").to_owned()
}

/// Confirms an authenticator with a code that it shows: from now on sign-in asks for one.
///
/// # Errors
/// As [`Caller::person`]; [`Error::Limited`]; [`Error::Refused`] `wrong_code`; [`Error::Conflict`].
pub async fn confirm(app: &App, caller: &Caller, realm: Realm, code: String) -> Result<RecoveryCodes> {
    let own = own(app, caller, realm).await?;
    let person = own.person;
    let tries = attempts::begin_factor(app, caller, &person.to_string(), Some(own.of)).await?;
    let codes = model::recovery_codes();
    let hashes: Vec<KeyHash> = codes.iter().map(|code| hash_of(code)).collect();
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    app.db
        .write(move |conn| {
            let factor = store::find(conn, person)?
                .ok_or_else(|| Error::conflict("second_factor_not_begun", "begin with POST …/totp"))?;
            if factor.confirmed_at.is_some() {
                return Err(Error::conflict("second_factor_on", "the authenticator is confirmed already"));
            }
            let secret = again.vault.open(PURPOSE, &factor.secret)?;
            let step = model::step(&secret, &code, now.seconds(), factor.last_step)?.ok_or_else(|| {
                Error::refused("wrong_code", "the code is wrong or over: check the clock of the device")
            })?;
            store::use_step(conn, &factor, step, now)?;
            store::set_recovery(conn, person, &hashes)?;
            let added = SecondFactorAdded(Who { user_id: name_of(own.of) });
            log::append_in(conn, &caller, now, NewEvent::about(own.tenant, added)).map(drop)
        })
        .await?;
    tries.succeeded();
    Ok(RecoveryCodes { recovery_codes: codes })
}

/// Removes the caller's authenticator and recovery codes.
///
/// # Errors
/// As [`Caller::person`]; as [`proof::again`]; [`Error::NotFound`].
pub async fn remove(app: &App, caller: &Caller, realm: Realm, password: SecretString) -> Result<()> {
    let own = own(app, caller, realm).await?;
    proof::again(app, caller, &own.known, password).await?;
    let (caller, now) = (caller.clone(), app.clock.now());
    app.db
        .write(move |conn| {
            if !store::remove(conn, own.person)? {
                return Err(Error::NotFound("second factor"));
            }
            let removed = SecondFactorRemoved(Who { user_id: name_of(own.of) });
            log::append_in(conn, &caller, now, NewEvent::about(own.tenant, removed)).map(drop)
        })
        .await
}

fn hash_of(code: &str) -> KeyHash {
    secret_key::hash(&model::normal(code))
}

/// Whether sign-in must ask this person for a second factor.
///
/// # Errors
/// The store's.
pub async fn is_on(app: &App, person: PersonId) -> Result<bool> {
    let found = app.db.read(move |conn| store::find(conn, person)).await?;
    Ok(found.is_some_and(|factor| factor.confirmed_at.is_some()))
}

/// Whether a code is the person's, now and for the first time; it is used up then.
///
/// # Errors
/// The store's.
pub async fn matches(
    app: &App,
    caller: &Caller,
    person: PersonId,
    of: Option<Of>,
    totp: Option<String>,
    recovery: Option<SecretString>,
) -> Result<bool> {
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    app.db
        .write(move |conn| {
            let Some(factor) = store::find(conn, person)?.filter(|factor| factor.confirmed_at.is_some())
            else {
                return Ok(false);
            };
            if let Some(code) = &totp {
                return use_code(conn, &again, &factor, code, now);
            }
            let Some(code) = &recovery else { return Ok(false) };
            let hash = hash_of(code.expose_secret());
            let Some(left) = store::use_recovery(conn, person, &hash, now)? else { return Ok(false) };
            if let Some(of) = of {
                let used = SecondFactorRecoveryCodeUsed { user_id: name_of(of), left };
                log::append_in(conn, &caller, now, NewEvent::global(used))?;
            }
            Ok(true)
        })
        .await
}

fn use_code(conn: &mut crate::db::Conn, app: &App, factor: &FactorRow, code: &str, now: Ts) -> Result<bool> {
    let secret = app.vault.open(PURPOSE, &factor.secret)?;
    let Some(step) = model::step(&secret, code, now.seconds(), factor.last_step)? else { return Ok(false) };
    store::use_step(conn, factor, step, now)?;
    Ok(true)
}
