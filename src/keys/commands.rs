//! Making and revoking keys, and the verify call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::json;

use super::model::{Environment, Key, Standing};
use super::store;
use crate::app::App;
use crate::auth::caller::{OperatorId, OperatorRole, TenantRole};
use crate::auth::policy;
use crate::auth::scope::{Scope, ScopeKind};
use crate::auth::secret_key::{self, KeyKind, NewKey};
use crate::auth::{Caller, Verb, Who};
use crate::db::Conn;
use crate::http::{Answer, Attempt, Outcome};
use crate::identity::sessions::impersonation;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, FieldError, Result};
use crate::kernel::id::{KeyId, TenantId};
use crate::log::{self, NewEvent};
use crate::tenants::{self, Handle, State};

/// A key on its creation: the one answer that holds its text.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CreatedKey {
    /// The whole key. It is not shown again.
    pub key: String,
    /// Its record.
    #[serde(flatten)]
    pub record: Key,
}

/// What a new key shall be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What its maker calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it ends by itself.
    pub expires_at: Option<Ts>,
}

fn record(new: &NewKey, kind: KeyKind, wanted: &Wanted, now: Ts) -> Key {
    Key {
        id: new.id,
        kind,
        tenant_id: None,
        name: wanted.name.trim().to_owned(),
        prefix: new.prefix.clone(),
        scopes: wanted.scopes.iter().copied().collect(),
        role: None,
        created_at: now,
        expires_at: wanted.expires_at,
        revoked_at: None,
        environment: Environment::Live,
        metadata: BTreeMap::new(),
        rate_limit: None,
        disabled_at: None,
        last_used_at: None,
        successor_id: None,
        rev: 1,
    }
}

fn check(wanted: &Wanted, kind: ScopeKind, now: Ts) -> Result<()> {
    let mut wrong = Vec::new();
    if wanted.name.trim().is_empty() {
        wrong.push(FieldError { pointer: "/name".into(), detail: "must not be blank".into() });
    }
    if wanted.scopes.is_empty() {
        let all: Vec<_> = Scope::all_of(kind).into_iter().map(Scope::word).collect();
        wrong.push(FieldError {
            pointer: "/scopes".into(),
            detail: format!("name at least one of {}", all.join(", ")),
        });
    }
    for (at, scope) in wanted.scopes.iter().enumerate().filter(|(_, scope)| !scope.fits(kind)) {
        let all: Vec<_> = Scope::all_of(kind).into_iter().map(Scope::word).collect();
        wrong.push(FieldError {
            pointer: format!("/scopes/{at}"),
            detail: format!("{scope} is not for this kind of key; it may hold {}", all.join(", ")),
        });
    }
    if wanted.expires_at.is_some_and(|ends| ends <= now) {
        wrong.push(FieldError { pointer: "/expires_at".into(), detail: "must be in the future".into() });
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

/// Scopes that a caller may hand on: those they hold, or those whose every right their role has.
fn may_grant(who: &Who) -> BTreeSet<Scope> {
    match who {
        Who::TenantKey { scopes, .. } => scopes.clone(),
        Who::User { role, .. } => Scope::all_of(ScopeKind::Tenant)
            .into_iter()
            .filter(|scope| {
                let mut rules =
                    policy::TABLE.iter().filter(|rule| rule.tenant_scope == Some(*scope)).peekable();
                match rules.peek() {
                    Some(_) => rules.all(|rule| rule.members.contains(role)),
                    None => matches!(role, TenantRole::Owner | TenantRole::Admin),
                }
            })
            .collect(),
        _ => BTreeSet::new(),
    }
}

/// Makes an API key for the caller's tenant, holding no more than the caller may.
///
/// # Errors
/// As [`Caller::tenant`]; [`Error::Invalid`]; [`Error::Forbidden`] `scope_beyond_own`; [`Error::Conflict`]
/// `key_limit_reached` when the plan's number is in use.
pub async fn create_tenant_key(
    app: &App,
    caller: &Caller,
    wanted: Wanted,
    attempt: Arc<Attempt>,
) -> Result<Answer<CreatedKey>> {
    let tenant = caller.tenant(Verb::ManageKeys)?;
    let now = app.clock.now();
    check(&wanted, ScopeKind::Tenant, now)?;
    let own = may_grant(&caller.who);
    if let Some(beyond) = wanted.scopes.iter().find(|scope| !own.contains(scope)) {
        return Err(Error::forbidden(
            "scope_beyond_own",
            format!("you may not grant {beyond}: a key never holds more than its maker may"),
        ));
    }
    let (again, caller) = (app.clone(), caller.clone());
    let new = Arc::new(secret_key::generate(KeyKind::Tenant));
    let made = Arc::clone(&new);
    let answer = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                let of = tenants::get_in(conn, &Handle::Id(tenant))?;
                if !matches!(of.state, State::Active | State::Provisioning) {
                    return Err(Error::forbidden(
                        "tenant_suspended",
                        format!("the tenant is {}", of.state.word()),
                    ));
                }
                let limit = again.catalogue.get(&of.plan).map_or(u32::MAX, |plan| plan.limits.api_keys);
                if store::count_good(conn, tenant, now)? >= i64::from(limit) {
                    return Err(Error::conflict(
                        "key_limit_reached",
                        format!("the plan `{}` allows {limit} API keys; revoke one first", of.plan),
                    ));
                }
                let key = Key { tenant_id: Some(tenant), ..record(&made, KeyKind::Tenant, &wanted, now) };
                insert_in(conn, &caller, key, &made, now)
            })
        })
        .await?;
    app.ring.forget_hash(&new.hash).await;
    Ok(answer)
}

/// Makes a service key for the operator's application plane.
///
/// # Errors
/// As [`Caller::may`]; [`Error::Invalid`].
pub async fn create_service_key(
    app: &App,
    caller: &Caller,
    wanted: Wanted,
    attempt: Arc<Attempt>,
) -> Result<Answer<CreatedKey>> {
    caller.may(Verb::ManageServiceKeys)?;
    let now = app.clock.now();
    check(&wanted, ScopeKind::Service, now)?;
    create_global(app, caller, record_of(KeyKind::Service, wanted, None), attempt, now).await
}

/// Makes an operator key.
///
/// # Errors
/// As [`Caller::may`]; [`Error::Invalid`].
pub async fn create_operator_key(
    app: &App,
    caller: &Caller,
    wanted: Wanted,
    role: OperatorRole,
    attempt: Arc<Attempt>,
) -> Result<Answer<CreatedKey>> {
    caller.may(Verb::ManageOperators)?;
    let now = app.clock.now();
    // An operator key has a role, not scopes: check the rest with a stand-in.
    check(&Wanted { scopes: vec![Scope::KeysVerify], ..wanted.clone() }, ScopeKind::Service, now)?;
    create_global(app, caller, record_of(KeyKind::Operator, wanted, Some(role)), attempt, now).await
}

struct Draft {
    kind: KeyKind,
    wanted: Wanted,
    role: Option<OperatorRole>,
}

fn record_of(kind: KeyKind, wanted: Wanted, role: Option<OperatorRole>) -> Draft {
    Draft { kind, wanted, role }
}

async fn create_global(
    app: &App,
    caller: &Caller,
    draft: Draft,
    attempt: Arc<Attempt>,
    now: Ts,
) -> Result<Answer<CreatedKey>> {
    let new = Arc::new(secret_key::generate(draft.kind));
    let (made, caller) = (Arc::clone(&new), caller.clone());
    let answer = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                let key = Key { role: draft.role, ..record(&made, draft.kind, &draft.wanted, now) };
                insert_in(conn, &caller, key, &made, now)
            })
        })
        .await?;
    app.ring.forget_hash(&new.hash).await;
    Ok(answer)
}

fn insert_in(conn: &mut Conn, caller: &Caller, key: Key, new: &NewKey, now: Ts) -> Result<CreatedKey> {
    store::insert(conn, &key, &new.hash, &format!("{}:{}", caller.kind(), caller.actor()))?;
    let data = json!({ "key_id": key.id, "kind": key.kind, "name": key.name, "scopes": key.scopes, "role": key.role, "expires_at": key.expires_at });
    log::append_in(conn, caller, now, event(&key, "api_key.created", data))?;
    Ok(CreatedKey { key: new.text.expose_secret().to_owned(), record: key })
}

fn event(key: &Key, kind: &'static str, data: serde_json::Value) -> NewEvent {
    match key.tenant_id {
        Some(tenant) => NewEvent::of(tenant, kind, data),
        None => NewEvent::global(kind, data),
    }
}

/// Revokes a key of the caller's tenant; it is refused from this answer on.
///
/// # Errors
/// As [`Caller::tenant`]; [`Error::NotFound`], also for another tenant's key.
pub async fn revoke_tenant_key(app: &App, caller: &Caller, id: KeyId) -> Result<Key> {
    let tenant = caller.tenant(Verb::ManageKeys)?;
    revoke(app, caller, KeyKind::Tenant, Some(tenant), id).await
}

/// Revokes a service key.
///
/// # Errors
/// As [`Caller::may`]; [`Error::NotFound`].
pub async fn revoke_service_key(app: &App, caller: &Caller, id: KeyId) -> Result<Key> {
    caller.may(Verb::ManageServiceKeys)?;
    revoke(app, caller, KeyKind::Service, None, id).await
}

/// Revokes an operator key; never the last admin's, which would lock everybody out.
///
/// # Errors
/// As [`Caller::may`]; [`Error::NotFound`]; [`Error::Conflict`] `last_admin`.
pub async fn revoke_operator_key(app: &App, caller: &Caller, id: KeyId) -> Result<Key> {
    caller.may(Verb::ManageOperators)?;
    revoke(app, caller, KeyKind::Operator, None, id).await
}

async fn revoke(
    app: &App,
    caller: &Caller,
    kind: KeyKind,
    tenant: Option<TenantId>,
    id: KeyId,
) -> Result<Key> {
    let (again, now, caller) = (app.clone(), app.clock.now(), caller.clone());
    let (key, visits) = app
        .db
        .write(move |conn| {
            let mut key = store::get(conn, kind, tenant, id)?;
            if key.revoked_at.is_some() {
                return Ok((key, Vec::new()));
            }
            if key.role == Some(OperatorRole::Admin)
                && key.standing(now) == Standing::Good
                && again.good_admins_in(conn, now)? <= 1
            {
                return Err(Error::conflict(
                    "last_admin",
                    "this is the last operator with the role admin, people counted: make another first",
                ));
            }
            store::revoke(conn, &key, now)?;
            key.revoked_at = Some(now);
            log::append_in(
                conn,
                &caller,
                now,
                event(&key, "api_key.revoked", json!({ "key_id": id, "kind": kind })),
            )?;
            // What an operator does in a member's stead ends with the operator.
            let visits = match kind {
                KeyKind::Operator => {
                    impersonation::end_of_operator_in(conn, &caller, OperatorId::Key(id), now)?
                }
                KeyKind::Tenant | KeyKind::Service => Vec::new(),
            };
            Ok((key, visits))
        })
        .await?;
    app.ring.forget(id).await;
    for visit in visits {
        app.signed_in.forget_session(visit).await;
    }
    Ok(key)
}

/// Makes the first operator key of an empty store, from `given` or fresh; `None` when there is one already.
///
/// # Errors
/// The store's.
pub async fn bootstrap(app: &App, given: Option<SecretString>) -> Result<Option<SecretString>> {
    let caller = Caller::system("bootstrap");
    let now = app.clock.now();
    let new = Arc::new(match &given {
        Some(text) => secret_key::adopt(text),
        None => secret_key::generate(KeyKind::Operator),
    });
    let made = Arc::clone(&new);
    let first = app
        .db
        .write(move |conn| {
            if store::by_hash(conn, &made.hash)?.is_some()
                || (given.is_none() && store::count(conn, KeyKind::Operator)? > 0)
            {
                return Ok(false);
            }
            let wanted = Wanted { name: "bootstrap".into(), scopes: vec![], expires_at: None };
            let key =
                Key { role: Some(OperatorRole::Admin), ..record(&made, KeyKind::Operator, &wanted, now) };
            insert_in(conn, &caller, key, &made, now)?;
            Ok(true)
        })
        .await?;
    app.ring.forget_hash(&new.hash).await;
    Ok(first.then(|| new.text.clone()))
}
