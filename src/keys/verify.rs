//! The verify call: whether a key may do what its holder asks, answered from memory.

use std::collections::BTreeSet;

use serde::Serialize;

use super::model::Standing;
use crate::app::App;
use crate::auth::scope::Scope;
use crate::auth::secret_key::{self, KeyKind};
use crate::auth::{Caller, Verb};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{KeyId, TenantId};
use crate::placement::router;
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
    pub tenant_slug: Option<String>,
    /// The tenant's plan.
    pub plan: Option<String>,
    /// What the key may do.
    pub scopes: Option<BTreeSet<Scope>>,
}

impl Verification {
    fn refused(code: VerifyCode) -> Self {
        Self {
            valid: false,
            code,
            key_id: None,
            tenant_id: None,
            tenant_slug: None,
            plan: None,
            scopes: None,
        }
    }
}

/// Verifies a tenant's API key, in this order: found, not revoked, enabled, not expired, tenant active, scopes held.
///
/// # Errors
/// As [`Caller::may`]; the store's on a cold miss. A key that may not is an answer, not an error.
pub async fn verify(app: &App, caller: &Caller, text: &str, needed: &[Scope]) -> Result<Verification> {
    caller.may(Verb::VerifyKeys)?;
    if !matches!(secret_key::parse(text), Some((KeyKind::Tenant, _))) {
        return Ok(Verification::refused(VerifyCode::NotFound));
    }
    let Some(key) = app.ring.find(&app.db, text).await? else {
        return Ok(Verification::refused(VerifyCode::NotFound));
    };
    let Some(tenant) = key.tenant_id else { return Ok(Verification::refused(VerifyCode::NotFound)) };
    let resident = match router::find(app, &Handle::Id(tenant)).await {
        Ok(resident) => resident,
        Err(Error::NotFound(_)) => return Ok(Verification::refused(VerifyCode::NotFound)),
        Err(error) => return Err(error),
    };
    let now = app.clock.now();
    let code = match key.standing(now) {
        Standing::Revoked => VerifyCode::Revoked,
        Standing::Disabled => VerifyCode::Disabled,
        Standing::Expired => VerifyCode::Expired,
        Standing::Good if resident.tenant.state != State::Active => VerifyCode::TenantSuspended,
        Standing::Good if !needed.iter().all(|scope| key.scopes.contains(scope)) => {
            VerifyCode::InsufficientScope
        }
        Standing::Good => VerifyCode::Valid,
    };
    if code == VerifyCode::Valid {
        app.uses.note(key.id, now);
    }
    Ok(Verification {
        valid: code == VerifyCode::Valid,
        code,
        key_id: Some(key.id),
        tenant_id: Some(tenant),
        tenant_slug: Some(resident.tenant.slug.clone()),
        plan: Some(resident.tenant.plan.clone()),
        scopes: Some(key.scopes.clone()),
    })
}
