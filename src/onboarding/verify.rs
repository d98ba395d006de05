//! Signups whose address must be confirmed first. Until then there is a tenant in `provisioning` with its slug,
//! an operation that waits, and no user: who enters the mailed code becomes one, and the home is made. Without
//! the code nothing is left when the time is over.
//!
//! An address that has an account gets the same answer, after the same work, and a letter with other words; its
//! code adds the tenant to that account, whose password stays.

use std::sync::Arc;

use secrecy::SecretString;

use super::draft::reserve_in;
use super::events::{SignupCompleted, SignupExpired, SignupRequested};
use super::model::{SignedUp, Verification};
use super::rules::Draft;
use super::store::{self, Signup};
use crate::app::App;
use crate::auth::caller::TenantRole;
use crate::auth::one_time::{self, TRIES};
use crate::auth::{Caller, password};
use crate::db::Conn;
use crate::http::{Answer, Attempt, Outcome};
use crate::identity::attempts;
use crate::identity::commands::join_in;
use crate::identity::pending::{self, PendingOwner};
use crate::identity::{self as people, User};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{SignupId, TenantId, UserId};
use crate::log::{self, NewEvent};
use crate::mail::{self, Letter, LetterKind, NewMail, model::in_words};
use crate::placement;
use crate::subscriptions;
use crate::tenants::events::TenantDeleted;
use crate::tenants::{self, Handle, State};
use crate::work::{self, CANCELED, GIVEN_UP};

/// How often a code is sent for one signup.
const SENDS: i32 = 5;

fn subject(id: SignupId) -> String {
    format!("signup:{id}")
}

fn post_in(conn: &mut Conn, app: &App, owner: &PendingOwner, slug: &str, code: &str, now: Ts) -> Result<()> {
    let known = people::by_email_in(conn, &owner.email)?.is_some();
    let kind = if known { LetterKind::ConfirmSignupKnown } else { LetterKind::ConfirmSignup };
    let words = [
        ("code", code.to_owned()),
        ("signup_id", owner.signup_id.to_string()),
        // The slug, not the name: a stranger's text has no place in a letter to somebody else.
        ("slug", slug.to_owned()),
        ("expires_in", in_words(owner.expires_at.since(now))),
    ];
    let letter = Letter::new(kind, &owner.email, &words);
    let mail = NewMail { letter, tenant: Some(owner.tenant_id), expires_at: owner.expires_at };
    mail::post_in(conn, &app.vault, now, &mail).map(drop)
}

/// Takes a signup and mails its code.
///
/// # Errors
/// `slug_taken`; the store's.
pub(super) async fn wait(
    app: &App,
    caller: &Caller,
    draft: Draft,
    email: String,
    given: SecretString,
    attempt: Arc<Attempt>,
) -> Result<Answer<SignedUp>> {
    let password_hash = password::hash(given).await?;
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let expires_at = now.plus(app.settings.signup.verification_ttl);
    let code = one_time::code();
    let answer = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Accepted, |conn| {
                let (tenant, operation) = reserve_in(conn, &again, &caller, &draft, now, expires_at)?;
                let id = SignupId::mint();
                let owner = PendingOwner {
                    signup_id: id,
                    tenant_id: tenant.id,
                    operation_id: operation.id,
                    email: email.clone(),
                    password_hash: password_hash.clone(),
                    code_hash: one_time::code_hash(&again.vault, subject(id), &code),
                    tries: 0,
                    sends: 1,
                    sent_at: now,
                    created_at: now,
                    expires_at,
                };
                post_in(conn, &again, &owner, &tenant.slug, &code, now)?;
                pending::insert(conn, owner)?;
                let requested =
                    SignupRequested { signup_id: id, slug: tenant.slug.clone(), plan: tenant.plan.clone() };
                log::append_in(conn, &caller, now, NewEvent::of(tenant.id, requested))?;
                Ok(SignedUp {
                    signup_id: id,
                    tenant_id: tenant.id,
                    slug: tenant.slug,
                    verification: Verification::Pending,
                    operation,
                })
            })
        })
        .await?;
    app.wake.work();
    Ok(answer)
}

/// Confirms a signup's address: its person becomes the owner, and the tenant's home is made.
///
/// # Errors
/// Not found; [`Error::Refused`] `code_wrong`, or `code_void` when its time is over or too many were wrong;
/// [`Error::Conflict`] `already_verified`.
pub async fn verify(app: &App, caller: &Caller, id: SignupId, code: &str) -> Result<SignedUp> {
    // For everybody: who signs up has no credential yet. The code is what they show.
    let given = one_time::code_hash(&app.vault, subject(id), code);
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let outcome = app
        .db
        .write(move |conn| {
            let Some(mut owner) = pending::find(conn, id)? else {
                return match store::tenant_of(conn, id)? {
                    Some(_) => Err(Error::conflict("already_verified", "this signup needs no code any more")),
                    None => Err(Error::NotFound("signup")),
                };
            };
            if owner.expires_at <= now || owner.tries >= TRIES {
                let detail =
                    "the code's time is over, or too many were wrong: ask for a new one, or sign up again";
                return Err(Error::refused("code_void", detail));
            }
            if !one_time::same(&owner.code_hash, &given) {
                // Counted, so this commits; the refusal goes out as the inner answer.
                owner.tries += 1;
                pending::save(conn, &owner)?;
                return Ok(Err(Error::refused("code_wrong", "this is not the code that was sent")));
            }
            confirm_in(conn, &again, &caller, &owner, now).map(Ok)
        })
        .await?;
    let signed_up = outcome?;
    app.new_tenant();
    Ok(signed_up)
}

fn confirm_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    owner: &PendingOwner,
    now: Ts,
) -> Result<SignedUp> {
    let tenant = tenants::get_in(conn, &Handle::Id(owner.tenant_id))?;
    if tenant.state != State::Provisioning {
        return Err(Error::conflict("wrong_state", format!("the tenant is {}", tenant.state.word())));
    }
    let user = match people::by_email_in(conn, &owner.email)? {
        Some(user) => User { updated_at: now, ..user },
        None => {
            let user = User {
                id: UserId::mint(),
                email: owner.email.clone(),
                password_hash: Some(owner.password_hash.clone()),
                created_at: now,
                updated_at: now,
            };
            people::insert_user_in(conn, user.clone())?;
            user
        }
    };
    join_in(conn, &user, tenant.id, TenantRole::Owner)?;
    let placement = app.clusters.begin(&app.vault, tenant.id, &tenant.cluster, tenant.isolation, now)?;
    placement::insert_in(conn, &placement)?;
    subscriptions::begin_in(conn, app, caller, &tenant, now)?;
    let signup = Signup {
        id: owner.signup_id,
        tenant_id: tenant.id,
        user_id: user.id,
        operation_id: owner.operation_id,
        verification: Verification::Verified,
        created_at: owner.created_at,
    };
    store::insert(conn, signup)?;
    pending::remove(conn, owner.signup_id)?;
    work::store::hasten_in(conn, owner.operation_id, now)?;
    let completed = SignupCompleted {
        signup_id: owner.signup_id,
        user_id: user.id,
        slug: tenant.slug.clone(),
        plan: tenant.plan,
    };
    log::append_in(conn, caller, now, NewEvent::of(tenant.id, completed))?;
    Ok(SignedUp {
        signup_id: owner.signup_id,
        tenant_id: tenant.id,
        slug: tenant.slug,
        verification: Verification::Verified,
        operation: work::store::get(conn, owner.operation_id)?,
    })
}

/// Mails a fresh code for a signup that waits for one, unless the last was sent a moment ago or there were
/// enough. Nobody learns which.
///
/// # Errors
/// [`Error::Limited`] for who asks too often; the store's.
pub async fn resend(app: &App, caller: &Caller, id: SignupId) -> Result<()> {
    attempts::ask_for_mail(app, caller)?;
    let (again, now, code) = (app.clone(), app.clock.now(), one_time::code());
    app.db
        .write(move |conn| {
            let cooldown = again.settings.mail.resend_cooldown;
            let due = |owner: &PendingOwner| {
                owner.expires_at > now && owner.sends < SENDS && owner.sent_at.plus(cooldown) <= now
            };
            let Some(mut owner) = pending::find(conn, id)?.filter(due) else { return Ok(()) };
            owner.code_hash = one_time::code_hash(&again.vault, subject(id), &code);
            owner.tries = 0;
            owner.sends += 1;
            owner.sent_at = now;
            pending::save(conn, &owner)?;
            let tenant = tenants::get_in(conn, &Handle::Id(owner.tenant_id))?;
            post_in(conn, &again, &owner, &tenant.slug, &code, now)
        })
        .await?;
    app.wake.work();
    Ok(())
}

/// The step that waits for the code: done when it was entered; when the time is over, the signup is given up.
///
/// # Errors
/// [`Error::Limited`] until then; [`Error::Refused`] [`GIVEN_UP`] when it was given up.
pub(super) async fn confirmed(app: &App, tenant: TenantId) -> Result<()> {
    let now = app.clock.now();
    let left = app
        .db
        .write(move |conn| {
            let Some(owner) = pending::of_tenant(conn, tenant)? else { return Ok(None) };
            let left = owner.expires_at.since(now);
            if left.is_zero() {
                give_up_in(conn, &owner, now)?;
            }
            Ok(Some(left))
        })
        .await?;
    match left {
        None => Ok(()),
        Some(left) if left.is_zero() => {
            app.forget_tenant(tenant).await;
            Err(Error::refused(GIVEN_UP, format!("{CANCELED}the address was not confirmed in time")))
        }
        Some(left) => {
            Err(Error::Limited { detail: "waits for the code that was mailed".into(), retry_after: left })
        }
    }
}

fn give_up_in(conn: &mut Conn, owner: &PendingOwner, now: Ts) -> Result<()> {
    let mut tenant = tenants::get_in(conn, &Handle::Id(owner.tenant_id))?.give_up(now)?;
    pending::remove(conn, owner.signup_id)?;
    mail::remove_of_tenant_in(conn, tenant.id)?;
    tenants::save_in(conn, &mut tenant)?;
    let expired = SignupExpired { signup_id: owner.signup_id, slug: tenant.slug };
    let system = Caller::system("onboarding").because(owner.operation_id);
    log::append_in(conn, &system, now, NewEvent::of(tenant.id, expired))?;
    log::append_in(conn, &system, now, NewEvent::of(tenant.id, TenantDeleted {})).map(drop)
}
