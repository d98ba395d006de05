//! Finds out who a credential belongs to, across the kinds, and counts programs' requests against their limits.

use std::pin::Pin;
use std::sync::Arc;

use crate::app::App;
use crate::auth::{Who, secret_key};
use crate::http::caller::{Authenticate, Found};
use crate::identity::sessions::memory;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::limits;
use crate::keys::{ring, verify};
use crate::placement::router::{self, Resident};
use crate::tenants::{Handle, State};

/// Longest credential that is looked at.
const LONGEST: usize = 8192;

/// Knows keys and tokens.
pub struct Doorman(pub App);

impl Authenticate for Doorman {
    fn find<'a>(&'a self, credential: &'a str) -> Pin<Box<dyn Future<Output = Result<Found>> + Send + 'a>> {
        Box::pin(async move {
            if credential.len() > LONGEST {
                return Err(Error::Unauthenticated("the credential is too long".into()));
            }
            let is_token = credential.split('.').count() == 3 && !secret_key::looks_like_key(credential);
            if is_token {
                self.0.tokens.meet(&self.0.db, &self.0.vault, credential).await?;
                let claims = self.0.tokens.check(credential, self.0.clock.now())?;
                let who = memory::who(&self.0, &claims).await?;
                if let Who::User { tenant, .. } | Who::Impersonator { tenant, .. } = who {
                    // A member may still sign in and see how their tenant stands.
                    living(&self.0, tenant).await?;
                }
                return Ok(Found { who, limits: None });
            }
            let (who, key) = ring::who(&self.0, credential).await?;
            let Who::TenantKey { tenant, .. } = who else {
                // A service's or an operator's key has no plan behind it, only what it was given itself.
                let limits = key.limit().map(|own| limits::take(None, Some(own), self.0.buckets.now(), 1));
                return Ok(Found { who, limits });
            };
            let resident = living(&self.0, tenant).await?;
            match resident.state {
                State::Suspended => Err(Error::forbidden("tenant_suspended", "the tenant is suspended")),
                State::Deleting => Err(Error::forbidden("tenant_deleting", "the tenant is being deleted")),
                _ => Ok(Found { who, limits: Some(verify::take(&self.0, &key, &resident, 1)) }),
            }
        })
    }
}

/// A credential of a tenant that is gone is a bad credential.
async fn living(app: &App, tenant: TenantId) -> Result<Arc<Resident>> {
    router::find(app, &Handle::Id(tenant)).await.map_err(|error| match error {
        Error::NotFound(_) => Error::Unauthenticated("the credential's tenant is gone".into()),
        other => other,
    })
}
