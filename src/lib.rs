//! Tenantry: the control plane of a multi-tenant SaaS in one binary.
pub mod kernel;
pub mod placement;
