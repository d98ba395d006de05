//! Tenantry: the control plane of a multi-tenant SaaS in one binary.
pub mod auth;
pub mod db;
pub mod http;
pub mod kernel;
pub mod log;
pub mod work;
