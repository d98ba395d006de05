//! Signing up, and creating a tenant over the admin API.
//!
//! The password is hashed first, off the async threads; then one transaction makes tenant, owner, signup,
//! events and operation, and takes a ready placement from stock, in which case the tenant is active at
//! once. Without stock the operation builds the home. Where an address must be confirmed first, `verify` takes
//! over.

use std::sync::Arc;

use secrecy::SecretString;

use super::draft::create_in;
use super::events::SignupCompleted;
use super::model::{CreatedTenant, SignedUp, Verification};
use super::rules::{self, Draft};
use super::store::{self, Signup};
use super::verify;
use crate::app::App;
use crate::auth::caller::TenantRole;
use crate::auth::{Caller, Verb, password};
use crate::db::Conn;
use crate::http::{Answer, Attempt, Outcome};
use crate::identity::attempts;
use crate::identity::commands::join_in;
use crate::identity::{self as people, User, invitations};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{SignupId, UserId};
use crate::kernel::isolation::Isolation;
use crate::log::{self, NewEvent};
use crate::work::failpoint;

/// What a stranger signs up with.
#[derive(Debug, Clone)]
pub struct SignupRequest {
    /// The organisation's name.
    pub organization: String,
    /// The slug it asks for.
    pub slug: Option<String>,
    /// The owner's address.
    pub email: String,
    /// The owner's password.
    pub password: SecretString,
    /// The plan; the default one when absent.
    pub plan: Option<String>,
}

/// What an operator creates a tenant with.
#[derive(Debug, Clone)]
pub struct TenantRequest {
    /// Its name.
    pub name: String,
    /// The slug.
    pub slug: Option<String>,
    /// The plan; the default one when absent.
    pub plan: Option<String>,
    /// The isolation model; the plan's, else the default, when absent.
    pub isolation: Option<Isolation>,
    /// The cluster.
    pub cluster: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The owner's address.
    pub owner_email: Option<String>,
}

/// Signs a stranger's organisation up.
///
/// # Errors
/// [`Error::Forbidden`] `signup_disabled`; [`Error::Invalid`] naming each field; [`Error::Conflict`]
/// `slug_taken`, or `email_in_use` when the address belongs to a person with another password.
pub async fn sign_up(
    app: &App,
    caller: &Caller,
    request: SignupRequest,
    attempt: Arc<Attempt>,
) -> Result<Answer<SignedUp>> {
    rules::takes_signups(app)?;
    let (email, draft) = rules::signup(app, &request).await?;
    let now = app.clock.now();
    let (early, found) = {
        let (attempt, email) = (Arc::clone(&attempt), email.clone());
        app.db.read(move |conn| Ok((attempt.earlier(conn, now)?, people::by_email_in(conn, &email)?))).await?
    };
    if let Some(replayed) = early {
        return Ok(replayed);
    }
    attempts::sign_up(app, caller)?;
    if app.settings.signup.verify_email {
        return verify::wait(app, caller, draft, email, request.password, attempt).await;
    }
    let owner = owner(app, caller, found, email, request.password).await?;
    make(app, caller, draft, owner, attempt).await
}

/// Makes the tenant of somebody whose address is taken on trust.
async fn make(
    app: &App,
    caller: &Caller,
    draft: Draft,
    owner: Owner,
    attempt: Arc<Attempt>,
) -> Result<Answer<SignedUp>> {
    let now = app.clock.now();
    let (again, caller) = (app.clone(), caller.clone());
    let answer = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Accepted, |conn| {
                let (tenant, operation) = create_in(conn, &again, &caller, &draft, now)?;
                let user = owner_in(conn, &owner, now)?;
                join_in(conn, &user, tenant.id, TenantRole::Owner)?;
                let id = SignupId::mint();
                let verification = Verification::NotRequired;
                store::insert(
                    conn,
                    Signup {
                        id,
                        tenant_id: tenant.id,
                        user_id: user.id,
                        operation_id: operation.id,
                        verification,
                        created_at: now,
                    },
                )?;
                let completed = SignupCompleted {
                    signup_id: id,
                    user_id: user.id,
                    slug: tenant.slug.clone(),
                    plan: tenant.plan,
                };
                log::append_in(conn, &caller, now, NewEvent::of(tenant.id, completed))?;
                Ok(SignedUp {
                    signup_id: id,
                    tenant_id: tenant.id,
                    slug: tenant.slug,
                    verification,
                    operation,
                })
            })
        })
        .await?;
    failpoint::reach(|| "signup/committed".to_owned()).await;
    app.new_tenant();
    Ok(answer)
}

/// Creates a tenant for an operator. Its owner is invited by mail, and is a member once they have accepted.
///
/// # Errors
/// As [`Caller::may`]; as [`sign_up`]; [`Error::Refused`] when no cluster fits.
pub async fn create(
    app: &App,
    caller: &Caller,
    request: TenantRequest,
    attempt: Arc<Attempt>,
) -> Result<Answer<CreatedTenant>> {
    caller.may(Verb::CreateTenants)?;
    let (email, draft) = rules::tenant(app, &request)?;
    let now = app.clock.now();
    let (again, caller) = (app.clone(), caller.clone());
    let answer = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Accepted, |conn| {
                let (tenant, operation) = create_in(conn, &again, &caller, &draft, now)?;
                if let Some(email) = &email {
                    invitations::offer_in(conn, &again, &caller, &tenant, email, TenantRole::Owner, now)?;
                }
                Ok(CreatedTenant { tenant, operation })
            })
        })
        .await?;
    app.new_tenant();
    Ok(answer)
}

/// The person who will own the tenant.
struct Owner {
    email: String,
    new_hash: Option<String>,
    known: Option<UserId>,
}

/// Hashes the password of a new person, or checks that of a known one: as long either way.
async fn owner(
    app: &App,
    caller: &Caller,
    found: Option<User>,
    email: String,
    given: SecretString,
) -> Result<Owner> {
    let Some(user) = found else {
        return Ok(Owner { email, new_hash: Some(password::hash(given).await?), known: None });
    };
    // Signing up again is a try at the password like any other.
    let tries = attempts::begin(app, caller, &email, Some(attempts::Of::User(user.id))).await?;
    if let Some(stored) = user.password_hash
        && password::verify(given, Some(stored)).await?
    {
        tries.succeeded();
        return Ok(Owner { email, new_hash: None, known: Some(user.id) });
    }
    Err(Error::conflict(
        "email_in_use",
        "this address has an account: sign up with that account's password, or use another address",
    ))
}

fn owner_in(conn: &mut Conn, owner: &Owner, now: Ts) -> Result<User> {
    if let Some(user) = people::by_email_in(conn, &owner.email)? {
        // Known since before the password was checked.
        if owner.known == Some(user.id) {
            return Ok(User { updated_at: now, ..user });
        }
        return Err(Error::conflict(
            "email_in_use",
            "this address has just been signed up with; sign in instead",
        ));
    }
    let user = User {
        id: UserId::mint(),
        email: owner.email.clone(),
        password_hash: owner.new_hash.clone(),
        created_at: now,
        updated_at: now,
    };
    people::insert_user_in(conn, user.clone())?;
    Ok(user)
}
