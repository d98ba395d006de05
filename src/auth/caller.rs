//! The caller of a request: who they are, and where the request came from.

use std::sync::Arc;

use super::policy::{self, Verb};
use super::refused;
use super::scope::Scopes;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{KeyId, OperatorUserId, SessionId, TenantId, UserId};
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

/// An operator, whichever way they prove it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OperatorId {
    /// By key.
    Key(KeyId),
    /// By signing in.
    User(OperatorUserId),
}

impl OperatorId {
    /// The kind, as events name it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Key(_) => "operator",
            Self::User(_) => "operator_user",
        }
    }
}

impl std::fmt::Display for OperatorId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::User(user) => user.fmt(f),
        }
    }
}

impl std::str::FromStr for OperatorId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self::Key).or_else(|_| text.parse().map(Self::User))
    }
}

/// The cause of what was due by time alone.
pub const CLOCK: &str = "clock";

/// Who calls.
#[derive(Clone, Copy, Debug)]
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
        scopes: Scopes,
    },
    /// A program of a tenant, by API key.
    TenantKey {
        /// The key.
        key: KeyId,
        /// The key's tenant.
        tenant: TenantId,
        /// What it may do.
        scopes: Scopes,
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
    /// An operator who is a person, by access token.
    OperatorUser {
        /// The person.
        user: OperatorUserId,
        /// Their role.
        role: OperatorRole,
        /// The session the token belongs to.
        session: SessionId,
    },
    /// An operator inside a tenant, in a member's stead or with a member's role, for a while. A kind of its
    /// own: what asks for a person never takes them for one.
    Impersonator {
        /// The operator.
        operator: OperatorId,
        /// The member in whose stead, if it is one's.
        user: Option<UserId>,
        /// The tenant.
        tenant: TenantId,
        /// With which role there.
        role: TenantRole,
        /// The session, which says until when and why.
        session: SessionId,
    },
}

/// A request's caller. Every command and query takes one and asks it on the first line.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub who: Who,
    /// The request's id, which goes into events and logs.
    pub request_id: Option<Arc<str>>,
    /// The peer's address.
    pub address: Option<Arc<str>>,
    /// What made the product do what it does on its own: an operation or an event, by id, or [`CLOCK`].
    pub cause: Option<Arc<str>>,
}

impl Caller {
    /// The product itself, acting on its own.
    #[must_use]
    pub fn system(part: &'static str) -> Self {
        Self { who: Who::System(part), request_id: None, address: None, cause: None }
    }

    /// The same, doing it because of that operation or event, or of [`CLOCK`]: what it appends to the log says so.
    #[must_use]
    pub fn because(self, of: impl std::fmt::Display) -> Self {
        Self { cause: Some(Arc::from(of.to_string())), ..self }
    }

    /// Authorises `verb`.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for nobody; [`Error::Forbidden`] with `wrong_credential` for a
    /// credential of a kind that never may, `insufficient_scope` or `insufficient_role` for one that may
    /// with more.
    pub fn may(&self, verb: Verb) -> Result<()> {
        policy::check(&self.who, verb).inspect_err(|error| {
            if matches!(error, Error::Forbidden { .. }) {
                refused::note(verb);
            }
        })
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
            Who::TenantKey { tenant, .. } | Who::User { tenant, .. } | Who::Impersonator { tenant, .. } => {
                Some(*tenant)
            }
            Who::Anonymous
            | Who::System(_)
            | Who::Operator { .. }
            | Who::OperatorUser { .. }
            | Who::Service { .. } => None,
        }
    }

    /// Authorises `verb` for a member who calls in person, and answers who that is and in which session.
    ///
    /// # Errors
    /// As [`Caller::may`]; [`Error::Forbidden`] for a program, and for an operator in a member's stead.
    pub fn person(&self, verb: Verb) -> Result<(UserId, SessionId)> {
        self.may(verb)?;
        match &self.who {
            Who::User { user, session, .. } => Ok((*user, *session)),
            _ => Err(Error::forbidden("wrong_credential", "this call is for a member in person")),
        }
    }

    /// Authorises `verb` for an operator who signed in, and answers who that is and in which session.
    ///
    /// # Errors
    /// As [`Caller::may`]; [`Error::Forbidden`] for an operator key.
    pub fn officer(&self, verb: Verb) -> Result<(OperatorUserId, SessionId)> {
        self.may(verb)?;
        match &self.who {
            Who::OperatorUser { user, session, .. } => Ok((*user, *session)),
            _ => Err(Error::forbidden("wrong_credential", "this call is for an operator who signed in")),
        }
    }

    /// The operator who calls, if it is one outside of any tenant.
    #[must_use]
    pub fn operator(&self) -> Option<OperatorId> {
        match &self.who {
            Who::Operator { key, .. } => Some(OperatorId::Key(*key)),
            Who::OperatorUser { user, .. } => Some(OperatorId::User(*user)),
            _ => None,
        }
    }

    /// Whom answers that are kept for a repeated request belong to: the caller, in the tenant they call for.
    #[must_use]
    pub fn scope(&self) -> String {
        let session = match &self.who {
            Who::Impersonator { session, .. } => format!(":{session}"),
            _ => String::new(),
        };
        let tenant = self.own_tenant().map(|tenant| format!(":{tenant}")).unwrap_or_default();
        format!("{}:{}{tenant}{session}", self.kind(), self.actor())
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
            Who::OperatorUser { .. } => "operator_user",
            Who::Impersonator { operator, .. } => operator.kind(),
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
            Who::OperatorUser { user, .. } => user.to_string(),
            Who::Impersonator { operator, .. } => operator.to_string(),
        }
    }
}
