//! Tenantry: the control plane of a multi-tenant SaaS in one binary.
pub mod catalog;
pub mod config;
pub mod kernel;
