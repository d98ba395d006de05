//! The caller of a request: who they are, and where the request came from.

use std::collections::BTreeSet;

use super::policy::{self, Verb};
use super::scope::Scope;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{KeyId, SessionId, TenantId, UserId};
use crate::words;

words! {
    /// What an operator may do.
    OperatorRole as "OperatorRole", "operator's role" {
        /// Everything.
        Admin = "admin",
        /// Help tenants: suspend, resume, retry; not delete, nor manage keys and operators.
        Support = "support",
        /// Read.
        Viewer = "viewer",
    }
}

words! {
    /// What a member may do inside their tenant.
    TenantRole as "TenantRole", "member's role" {
        /// Everything, deletion of the tenant included.
        Owner = "owner",
        /// Everything but deletion and ownership.
        Admin = "admin",
        /// Data and keys.
        Developer = "developer",
        /// Plan and invoices.
        Billing = "billing",
        /// Read.
        Viewer = "viewer",
    }
}

/// Who calls.
#[derive(Clone, Debug)]
pub enum Who {
    /// Nobody: no credential was sent.
    Anonymous,
    /// The product itself, for work that nobody asked for; the word says which part.
    System(&'static str),
    /// An operator, by key.
    Operator {
        /// The key.
        key: KeyId,
        /// Its role.
        role: OperatorRole,
    },
    /// A service of the application plane, by key.
    Service {
        /// The key.
        key: KeyId,
        /// What it may do.
        scopes: BTreeSet<Scope>,
    },
    /// A program of a tenant, by API key.
    TenantKey {
        /// The key.
        key: KeyId,
        /// The key's tenant.
        tenant: TenantId,
        /// What it may do.
        scopes: BTreeSet<Scope>,
    },
    /// A person of a tenant, by access token.
    User {
        /// The person.
        user: UserId,
        /// The tenant the token is for.
        tenant: TenantId,
        /// Their role there.
        role: TenantRole,
        /// The session the token belongs to.
        session: SessionId,
    },
}

/// A request's caller. Every command and query takes one and asks it on the first line.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub who: Who,
    /// The request's id, which goes into events and logs.
    pub request_id: Option<String>,
    /// The peer's address.
    pub address: Option<String>,
}

impl Caller {
    /// The product itself, acting on its own.
    #[must_use]
    pub fn system(part: &'static str) -> Self {
        Self { who: Who::System(part), request_id: None, address: None }
    }

    /// Authorises `verb`.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for nobody; [`Error::Forbidden`] with `wrong_credential` for a
    /// credential of a kind that never may, `insufficient_scope` or `insufficient_role` for one that may
    /// with more.
    pub fn may(&self, verb: Verb) -> Result<()> {
        policy::check(&self.who, verb)
    }

    /// Authorises `verb` inside the caller's own tenant and answers which that is: the credential
    /// says, never the request.
    ///
    /// # Errors
    /// As [`Caller::may`]; [`Error::Forbidden`] for a caller without a tenant.
    pub fn tenant(&self, verb: Verb) -> Result<TenantId> {
        self.may(verb)?;
        self.own_tenant().ok_or_else(|| {
            Error::forbidden(
                "wrong_credential",
                "this call is for a tenant: use a tenant's API key or a member's access token",
            )
        })
    }

    /// The tenant the credential belongs to, if any.
    #[must_use]
    pub fn own_tenant(&self) -> Option<TenantId> {
        match &self.who {
            Who::TenantKey { tenant, .. } | Who::User { tenant, .. } => Some(*tenant),
            Who::Anonymous | Who::System(_) | Who::Operator { .. } | Who::Service { .. } => None,
        }
    }

    /// The kind of caller, as events and idempotency keys name it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.who {
            Who::Anonymous => "anonymous",
            Who::System(_) => "system",
            Who::Operator { .. } => "operator",
            Who::Service { .. } => "service",
            Who::TenantKey { .. } => "tenant_key",
            Who::User { .. } => "user",
        }
    }

    /// The caller's id within its kind.
    #[must_use]
    pub fn actor(&self) -> String {
        match &self.who {
            Who::Anonymous => "anonymous".into(),
            Who::System(part) => (*part).into(),
            Who::Operator { key, .. } | Who::Service { key, .. } | Who::TenantKey { key, .. } => {
                key.to_string()
            }
            Who::User { user, .. } => user.to_string(),
        }
    }
}
