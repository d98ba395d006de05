//! What happens to a tenant.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::Tenant;
use crate::facts;
use crate::kernel::clock::Ts;
use crate::kernel::isolation::Isolation;

/// What a tenant is when it begins.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = TenantFacts)]
pub struct Facts {
    /// Its name in addresses.
    #[schema(example = "acme")]
    pub slug: String,
    /// Its name for people.
    #[schema(example = "Acme")]
    pub name: String,
    /// Its plan, by key.
    #[schema(example = "pro")]
    pub plan: String,
    /// How its data is kept apart.
    pub isolation: Isolation,
    /// The cluster that holds its data, by name.
    #[schema(example = "main")]
    pub cluster: String,
    /// The region, where it has one.
    #[schema(example = "eu")]
    pub region: Option<String>,
}

impl Facts {
    /// Those of `tenant`.
    #[must_use]
    pub fn of(tenant: &Tenant) -> Self {
        Self {
            slug: tenant.slug.clone(),
            name: tenant.name.clone(),
            plan: tenant.plan.clone(),
            isolation: tenant.isolation,
            cluster: tenant.cluster.clone(),
            region: tenant.region.clone(),
        }
    }
}

facts! {
    /// A tenant was made; its data has a place only with `tenant.provisioned`.
    TenantCreated = "tenant.created", Tenant (Facts)

    /// A tenant's data has its place: it is served from now on.
    TenantProvisioned = "tenant.provisioned", Tenant (Facts)

    /// A tenant got another name or slug.
    TenantUpdated = "tenant.updated", Tenant {
        /// Its name in addresses.
        #[schema(example = "acme")]
        pub slug: String,
        /// Its name for people.
        #[schema(example = "Acme")]
        pub name: String,
    }

    /// A tenant was stopped: it is refused everywhere, its data stays.
    TenantSuspended = "tenant.suspended", Tenant {
        /// Why.
        #[schema(example = "unpaid invoice")]
        pub reason: Option<String>,
    }

    /// A suspended tenant goes on.
    TenantResumed = "tenant.resumed", Tenant {}

    /// A tenant was deleted; its data is removed when the grace is over.
    TenantDeletionScheduled = "tenant.deletion_scheduled", Tenant {
        /// When its data is removed.
        pub delete_at: Ts,
    }

    /// A deletion was taken back within its grace.
    TenantRestored = "tenant.restored", Tenant {}

    /// A tenant and its data are gone.
    TenantDeleted = "tenant.deleted", Tenant {}
}
