//! Signing up, and creating a tenant over the admin API.
//!
//! The password is hashed first, off the async threads; then one transaction makes tenant, owner, signup,
//! events and operation, and takes a ready placement from stock, in which case the tenant is active at
//! once. Without stock the operation builds the home.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::json;

use super::model::{CreatedTenant, SignedUp, Verification};
use super::rules::{self, Draft, SlugWish};
use super::store::{self, Signup};
use super::worker::{ACTIVATE, CLAIM};
use crate::app::App;
use crate::auth::caller::TenantRole;
use crate::auth::{Caller, Verb, password};
use crate::db::Conn;
use crate::http::{Answer, Attempt, Outcome};
use crate::identity::attempts;
use crate::identity::commands::join_in;
use crate::identity::{self as people, User};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{SignupId, TenantId, UserId};
use crate::kernel::isolation::Isolation;
use crate::kernel::slug::Slug;
use crate::log::{self, NewEvent};
use crate::placement::{self, steps_run};
use crate::tenants::commands::slug_taken;
use crate::tenants::{self, ONBOARD_OPERATION, State, Tenant};
use crate::work::{self, NewOperation, Operation, failpoint};

/// How often a derived slug gets another random tail before we give up.
const TAILS: usize = 5;

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
    let (email, draft) = rules::signup(app, &request)?;
    let now = app.clock.now();
    let (early, found) = {
        let (attempt, email) = (Arc::clone(&attempt), email.clone());
        app.db.read(move |conn| Ok((attempt.earlier(conn, now)?, people::by_email_in(conn, &email)?))).await?
    };
    if let Some(replayed) = early {
        return Ok(replayed);
    }
    attempts::sign_up(app, caller)?;
    let owner = owner(app, caller, found, email, request.password).await?;
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
                let data =
                    json!({ "signup_id": id, "user_id": user.id, "slug": tenant.slug, "plan": tenant.plan });
                log::append_in(conn, &caller, now, NewEvent::of(tenant.id, "signup.completed", data))?;
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

/// Creates a tenant for an operator.
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
                    let owner = Owner { email: email.clone(), new_hash: None, known: None };
                    let user = owner_in(conn, &owner, now)?;
                    join_in(conn, &user, tenant.id, TenantRole::Owner)?;
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
        // Known since before the password was checked, or invited by an operator without one.
        if owner.known == Some(user.id) || owner.new_hash.is_none() {
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

fn free_slug(conn: &mut Conn, wish: &SlugWish) -> Result<Slug> {
    match wish {
        SlugWish::Exactly(slug) if tenants::slug_is_free_in(conn, slug.as_str())? => Ok(slug.clone()),
        SlugWish::Exactly(slug) => Err(slug_taken(slug.as_str())),
        SlugWish::Derived(slug) => {
            if tenants::slug_is_free_in(conn, slug.as_str())? {
                return Ok(slug.clone());
            }
            for _ in 0..TAILS {
                let tailed = slug.with_tail();
                if tenants::slug_is_free_in(conn, tailed.as_str())? {
                    return Ok(tailed);
                }
            }
            Err(slug_taken(slug.as_str()))
        }
    }
}

fn create_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    draft: &Draft,
    now: Ts,
) -> Result<(Tenant, Operation)> {
    let slug = free_slug(conn, &draft.slug)?;
    let version = app.clusters.schema().version();
    let claimed = placement::claim_in(conn, &draft.cluster, draft.isolation, version, now)?;
    let id = claimed.unwrap_or_else(TenantId::mint);
    let mut tenant = Tenant {
        id,
        slug: slug.as_str().to_owned(),
        name: draft.name.clone(),
        state: State::Provisioning,
        plan: draft.plan.clone(),
        isolation: draft.isolation,
        cluster: draft.cluster.clone(),
        region: draft.region.clone(),
        created_at: now,
        updated_at: now,
        suspended_at: None,
        suspend_reason: None,
        delete_at: None,
        deleted_at: None,
        rev: 1,
    };
    let facts = json!({ "slug": tenant.slug, "name": tenant.name, "plan": tenant.plan, "isolation": tenant.isolation, "cluster": tenant.cluster });
    let steps = if claimed.is_some() {
        vec![CLAIM.to_owned(), ACTIVATE.to_owned()]
    } else {
        let placement = app.clusters.begin(&app.vault, id, &draft.cluster, draft.isolation, now)?;
        let mut steps = steps_run::build_names(app, &draft.cluster, &placement.home)?;
        steps.push(ACTIVATE.to_owned());
        placement::insert_in(conn, &placement)?;
        steps
    };
    if claimed.is_some() {
        tenant = tenant.activate(now)?;
    }
    tenants::insert_in(conn, &tenant)?;
    log::append_in(conn, caller, now, NewEvent::of(id, "tenant.created", facts.clone()))?;
    if claimed.is_some() {
        log::append_in(conn, caller, now, NewEvent::of(id, "tenant.provisioned", facts))?;
    }
    let operation = work::store::open_in(
        conn,
        now,
        NewOperation {
            kind: ONBOARD_OPERATION,
            tenant: Some(id),
            input: json!({}),
            steps,
            begin: now,
            done: claimed.is_some(),
        },
    )?;
    Ok((tenant, operation))
}
