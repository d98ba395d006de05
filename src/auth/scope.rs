//! Scopes: what a key may do. Tenant scopes go on tenants' own API keys, service scopes on the keys of
//! the operator's application plane; neither kind can hold the other's.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

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
        /// Read the tenant's audit trail.
        AuditRead = "audit:read",
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

/// A set of scopes, in four bytes: what memory holds of a key, and what a caller brings along.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u32);

impl Scopes {
    fn bit(scope: Scope) -> u32 {
        let at = Scope::ALL.iter().position(|known| *known == scope).and_then(|at| u32::try_from(at).ok());
        at.and_then(|at| 1u32.checked_shl(at)).unwrap_or(0)
    }

    /// The set as bits, the lowest first, in the order of [`Scope::ALL`].
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The set of these bits.
    #[must_use]
    pub fn of_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether `scope` is in it.
    #[must_use]
    pub fn contains(self, scope: &Scope) -> bool {
        self.0 & Self::bit(*scope) != 0
    }

    /// All of it but `scope`.
    #[must_use]
    pub fn without(self, scope: Scope) -> Self {
        Self(self.0 & !Self::bit(scope))
    }

    /// Those in it, in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |bits, scope| bits | Self::bit(scope)))
    }
}

impl From<&BTreeSet<Scope>> for Scopes {
    fn from(all: &BTreeSet<Scope>) -> Self {
        all.iter().copied().collect()
    }
}

impl std::fmt::Debug for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_scopes_holds_what_was_put_in_and_nothing_else() {
        assert!(Scope::ALL.len() <= 32, "give the set more room");
        for scope in Scope::ALL {
            let one: Scopes = [scope].into_iter().collect();
            assert_eq!(one.iter().collect::<Vec<_>>(), [scope]);
            let others: BTreeSet<_> = Scope::ALL.into_iter().filter(|other| *other != scope).collect();
            let without = Scopes::from(&others);
            let all: Scopes = Scope::ALL.into_iter().collect();
            assert_eq!(all.without(scope), without);
            assert!(!without.contains(&scope));
            assert_eq!(serde_json::to_value(without).unwrap(), serde_json::to_value(&others).unwrap());
        }
    }
}
