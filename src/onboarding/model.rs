//! What onboarding answers. No I/O.

use serde::Serialize;

use crate::kernel::id::{SignupId, TenantId};
use crate::tenants::Tenant;
use crate::words;
use crate::work::Operation;

words! {
    /// Whether a signup's address is known to be its owner's.
    Verification as "Verification", "state of a verification" {
        /// A code was sent and waits to be entered.
        Pending = "pending",
        /// The code was entered.
        Verified = "verified",
        /// The installation does not ask for it.
        NotRequired = "not_required",
    }
}

/// What a signup is answered with.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SignedUp {
    /// The signup.
    pub signup_id: SignupId,
    /// The tenant it made.
    pub tenant_id: TenantId,
    /// The tenant's slug, derived when none was asked for.
    pub slug: String,
    /// Whether the address waits to be verified.
    pub verification: Verification,
    /// The work that makes the tenant's home; done at once when a placement was in stock.
    pub operation: Operation,
}

/// What an operator's creation is answered with.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CreatedTenant {
    /// The tenant.
    pub tenant: Tenant,
    /// The work that makes its home.
    pub operation: Operation,
}
