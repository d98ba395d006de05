//! The verify call: whether a key may do what its holder asks, answered from memory.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::hot::HotKey;
use super::model::Standing;
use crate::app::App;
use crate::auth::scope::{Scope, Scopes};
use crate::auth::secret_key::{self, Environment, KeyKind};
use crate::auth::{Caller, Verb};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{KeyId, TenantId};
use crate::kernel::limits::{self, Taken, Tally};
use crate::metering::quota::lending;
use crate::placement::router::{self, Resident};
use crate::subscriptions;
use crate::tenants::{Handle, State};

/// What became of a verification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VerifyCode {
    /// The key may.
    Valid,
    /// No such key, or not a tenant's.
    NotFound,
    /// It was revoked.
    Revoked,
    /// It is switched off.
    Disabled,
    /// Its time is over.
    Expired,
    /// Its tenant is not active.
    TenantSuspended,
    /// It lacks a scope.
    InsufficientScope,
    /// Its own limit or its tenant's does not allow that much now.
    RateLimited,
    /// Its tenant has used up what its plan grants of the meter that verifying takes from.
    QuotaExceeded,
}

/// How the tighter of a key's two limits stands: its own, and its tenant's by the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RateLimitState {
    /// What may be used at once when nothing was used lately.
    limit: u32,
    /// What may be used right now.
    remaining: u32,
    /// Milliseconds until nothing counts as used any more.
    reset_ms: u64,
}

impl From<Tally> for RateLimitState {
    fn from(tally: Tally) -> Self {
        // Rounded up: who comes back then finds it whole.
        let reset = tally.standing.full_in.as_nanos().div_ceil(1_000_000);
        Self {
            limit: tally.standing.limit,
            remaining: tally.standing.remaining,
            reset_ms: u64::try_from(reset).unwrap_or(u64::MAX),
        }
    }
}

/// The answer of the verify call.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Verification {
    /// Whether the key may do what was asked.
    pub valid: bool,
    /// Why, or why not.
    pub code: VerifyCode,
    /// The key.
    pub key_id: Option<KeyId>,
    /// Its tenant.
    pub tenant_id: Option<TenantId>,
    /// The tenant's slug.
    #[schema(value_type = Option<String>)]
    #[serde(serialize_with = "slug")]
    tenant_slug: Option<Arc<Resident>>,
    /// The tenant's plan.
    #[schema(value_type = Option<String>)]
    #[serde(serialize_with = "plan")]
    plan: Option<Arc<Resident>>,
    /// What the key is for.
    pub environment: Option<Environment>,
    /// What the key may do.
    #[schema(value_type = Option<BTreeSet<Scope>>)]
    pub scopes: Option<Scopes>,
    /// How the tighter of its limits stands; null when nothing limits it.
    pub rate_limit: Option<RateLimitState>,
    /// How much the tenant has used beyond a soft quota of the meter that verifying takes from, about a second old.
    pub overage: u64,
}

fn slug<S: Serializer>(of: &Option<Arc<Resident>>, serializer: S) -> Result<S::Ok, S::Error> {
    of.as_ref().map(|resident| resident.slug()).serialize(serializer)
}

fn plan<S: Serializer>(of: &Option<Arc<Resident>>, serializer: S) -> Result<S::Ok, S::Error> {
    of.as_ref().map(|resident| &resident.version.plan.key).serialize(serializer)
}

impl Verification {
    fn not_found() -> Self {
        Self {
            valid: false,
            code: VerifyCode::NotFound,
            key_id: None,
            tenant_id: None,
            tenant_slug: None,
            plan: None,
            environment: None,
            scopes: None,
            rate_limit: None,
            overage: 0,
        }
    }
}

/// What keeps the key from it before any limit is asked.
fn refusal(
    key: &HotKey,
    scopes: Scopes,
    now: Ts,
    resident: &Resident,
    needed: &[Scope],
) -> Option<VerifyCode> {
    match key.standing(now) {
        Standing::Revoked => Some(VerifyCode::Revoked),
        Standing::Disabled => Some(VerifyCode::Disabled),
        Standing::Expired => Some(VerifyCode::Expired),
        Standing::Good if resident.state != State::Active => Some(VerifyCode::TenantSuspended),
        Standing::Good if !needed.iter().all(|scope| scopes.contains(scope)) => {
            Some(VerifyCode::InsufficientScope)
        }
        Standing::Good => None,
    }
}

/// Asks the tenant's limit and the key's own for `cost`: both give it or neither does. 0 only looks.
pub fn take(app: &App, key: &HotKey, resident: &Resident, cost: u32) -> Taken {
    limits::take(Some(&resident.limit), key.limit(), app.buckets.now(), cost)
}

/// Verifies a tenant's API key, in this order: found, not revoked, enabled, not expired, tenant active, scopes
/// held, `cost` within the rate limits, and within the quota of `keys.verify_meter`. While an invoice holds a tenant
/// to reading, none of its keys holds `data:write`. Whatever refuses, nothing is taken from the limits and the quota.
///
/// # Errors
/// As [`Caller::may`]; the store's on a cold miss. A key that may not is an answer, not an error.
pub async fn verify(
    app: &App,
    caller: &Caller,
    text: &str,
    needed: &[Scope],
    cost: u32,
) -> Result<Verification> {
    caller.may(Verb::VerifyKeys)?;
    let Some((KeyKind::Tenant, id)) = secret_key::parse(text) else { return Ok(Verification::not_found()) };
    let Some((id, key)) = app.ring.find(&app.db, text, Some(id)).await? else {
        return Ok(Verification::not_found());
    };
    let Some(tenant) = key.tenant() else { return Ok(Verification::not_found()) };
    let resident = match router::find(app, &Handle::Id(tenant)).await {
        Ok(resident) => resident,
        Err(Error::NotFound(_)) => return Ok(Verification::not_found()),
        Err(error) => return Err(error),
    };
    let now = app.clock.now();
    let scopes = match resident.standing {
        // An invoice is unpaid: its data can only be read.
        subscriptions::Standing::Restricted => key.scopes().without(Scope::DataWrite),
        _ => key.scopes(),
    };
    let refusal = refusal(&key, scopes, now, &resident, needed);
    let mut taken = take(app, &key, &resident, if refusal.is_some() { 0 } else { cost });
    let code = match refusal {
        Some(code) => code,
        None if taken.refused => VerifyCode::RateLimited,
        None if lending::spend(app, &resident, cost, now).await? => VerifyCode::Valid,
        None => {
            limits::give_back(Some(&resident.limit), key.limit(), cost);
            taken = take(app, &key, &resident, 0);
            VerifyCode::QuotaExceeded
        }
    };
    let overage = resident.purse.as_ref().map_or(0, |grip| grip.purse.overage());
    if code == VerifyCode::Valid {
        app.uses.note(id, &key, now);
    }
    Ok(Verification {
        valid: code == VerifyCode::Valid,
        code,
        key_id: Some(id),
        tenant_id: Some(tenant),
        tenant_slug: Some(Arc::clone(&resident)),
        plan: Some(resident),
        environment: secret_key::environment(text),
        scopes: Some(scopes),
        rate_limit: taken.tighter().map(RateLimitState::from),
        overage,
    })
}
