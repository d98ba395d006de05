//! Finds out who a credential belongs to, across the kinds.

use std::pin::Pin;

use crate::app::App;
use crate::auth::{Who, secret_key};
use crate::http::caller::Authenticate;
use crate::identity::sessions::memory;
use crate::kernel::error::{Error, Result};
use crate::keys::ring;
use crate::placement::router;
use crate::tenants::{Handle, State};

/// Longest credential that is looked at.
const LONGEST: usize = 8192;

/// Knows keys and tokens.
pub struct Doorman(pub App);

impl Authenticate for Doorman {
    fn who<'a>(&'a self, credential: &'a str) -> Pin<Box<dyn Future<Output = Result<Who>> + Send + 'a>> {
        Box::pin(async move {
            if credential.len() > LONGEST {
                return Err(Error::Unauthenticated("the credential is too long".into()));
            }
            let is_token = credential.split('.').count() == 3 && !secret_key::looks_like_key(credential);
            let who = if is_token {
                self.0.tokens.meet(&self.0.db, &self.0.vault, credential).await?;
                let claims = self.0.tokens.check(credential, self.0.clock.now())?;
                memory::who(&self.0, &claims).await?
            } else {
                ring::who(&self.0, credential).await?
            };
            self.of_a_living_tenant(who).await
        })
    }
}

impl Doorman {
    /// A credential of a tenant that is gone is a bad credential.
    async fn of_a_living_tenant(&self, who: Who) -> Result<Who> {
        let tenant = match &who {
            Who::TenantKey { tenant, .. } | Who::User { tenant, .. } | Who::Impersonator { tenant, .. } => {
                *tenant
            }
            _ => return Ok(who),
        };
        match router::find(&self.0, &Handle::Id(tenant)).await {
            // A member may still sign in and see how their tenant stands; programs are stopped.
            Ok(resident) => match (&who, resident.tenant.state) {
                (Who::TenantKey { .. }, State::Suspended) => {
                    Err(Error::forbidden("tenant_suspended", "the tenant is suspended"))
                }
                (Who::TenantKey { .. }, State::Deleting) => {
                    Err(Error::forbidden("tenant_deleting", "the tenant is being deleted"))
                }
                _ => Ok(who),
            },
            Err(Error::NotFound(_)) => Err(Error::Unauthenticated("the credential's tenant is gone".into())),
            Err(error) => Err(error),
        }
    }
}
