//! Scopes: what a key may do. Tenant scopes go on tenants' own API keys, service scopes on the keys of
//! the operator's application plane; neither kind can hold the other's.

use serde::{Deserialize, Serialize};

/// Who may hold a scope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScopeKind {
    /// A tenant's API key.
    Tenant,
    /// A service key.
    Service,
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $word:literal in $($kind:ident)|+;)+) => {
        /// One thing a key may do.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum Scope {
            $($(#[$doc])* #[serde(rename = $word)] $name,)+
        }

        impl Scope {
            /// All scopes, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word on the wire.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// Whether a key of `kind` may hold it.
            #[must_use]
            pub fn fits(self, kind: ScopeKind) -> bool {
                match self { $(Self::$name => [$(ScopeKind::$kind),+].contains(&kind)),+ }
            }
        }
    };
}

scopes! {
    /// Read through the data door, in a read-only transaction.
    DataRead = "data:read" in Tenant;
    /// Write through the data door.
    DataWrite = "data:write" in Tenant;
    /// Create, list and revoke the tenant's API keys.
    KeysManage = "keys:manage" in Tenant;
    /// Invite, change and remove members.
    MembersManage = "members:manage" in Tenant;
    /// Send usage events.
    UsageWrite = "usage:write" in Tenant | Service;
    /// Read the tenant's events.
    EventsRead = "events:read" in Tenant;
    /// Manage webhook endpoints.
    WebhooksManage = "webhooks:manage" in Tenant;
    /// Read the tenant itself, its placement and its operations.
    TenantRead = "tenant:read" in Tenant;
    /// Rename or delete the tenant.
    TenantManage = "tenant:manage" in Tenant;
    /// Verify tenants' API keys.
    KeysVerify = "keys:verify" in Service;
    /// Ask where a tenant lives.
    RoutesRead = "routes:read" in Service;
    /// Receive a tenant's database credentials with its route.
    RoutesCredentials = "routes:credentials" in Service;
    /// Check what a tenant may do.
    EntitlementsCheck = "entitlements:check" in Service;
}

impl Scope {
    /// The scopes that fit a key of `kind`.
    #[must_use]
    pub fn all_of(kind: ScopeKind) -> Vec<Self> {
        Self::ALL.iter().copied().filter(|scope| scope.fits(kind)).collect()
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|scope| scope.word() == text)
            .ok_or_else(|| format!("`{text}` is no scope"))
    }
}

impl utoipa::PartialSchema for Scope {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::ALL.iter().map(|scope| scope.word())))
            .description(Some("One thing a key may do"))
            .into()
    }
}

impl utoipa::ToSchema for Scope {
    fn name() -> std::borrow::Cow<'static, str> {
        "Scope".into()
    }
}
