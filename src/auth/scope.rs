//! Scopes: what a key may do. Tenant scopes go on tenants' own API keys, service scopes on the keys of
//! the operator's application plane; neither kind can hold the other's.

use crate::words;

/// Who may hold a scope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScopeKind {
    /// A tenant's API key.
    Tenant,
    /// A service key.
    Service,
}

words! {
    /// One thing a key may do.
    Scope as "Scope", "scope" {
        /// Read through the data door, in a read-only transaction.
        DataRead = "data:read",
        /// Write through the data door.
        DataWrite = "data:write",
        /// Create, list, change, rotate and revoke the tenant's API keys.
        KeysManage = "keys:manage",
        /// Invite, change and remove members.
        MembersManage = "members:manage",
        /// Send usage events.
        UsageWrite = "usage:write",
        /// Read the tenant's events.
        EventsRead = "events:read",
        /// Manage webhook endpoints.
        WebhooksManage = "webhooks:manage",
        /// Read the tenant itself, its placement and its operations.
        TenantRead = "tenant:read",
        /// Rename or delete the tenant.
        TenantManage = "tenant:manage",
        /// Verify tenants' API keys.
        KeysVerify = "keys:verify",
        /// Ask where a tenant lives.
        RoutesRead = "routes:read",
        /// Receive a tenant's database credentials with its route.
        RoutesCredentials = "routes:credentials",
        /// Check what a tenant may do.
        EntitlementsCheck = "entitlements:check",
    }
}

impl Scope {
    /// Whether a key of `kind` may hold it.
    #[must_use]
    pub fn fits(self, kind: ScopeKind) -> bool {
        match self {
            Self::UsageWrite => true,
            Self::KeysVerify | Self::RoutesRead | Self::RoutesCredentials | Self::EntitlementsCheck => {
                kind == ScopeKind::Service
            }
            _ => kind == ScopeKind::Tenant,
        }
    }

    /// The scopes that fit a key of `kind`.
    #[must_use]
    pub fn all_of(kind: ScopeKind) -> Vec<Self> {
        Self::ALL.iter().copied().filter(|scope| scope.fits(kind)).collect()
    }
}
