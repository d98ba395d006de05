//! Tenantry: the control plane of a multi-tenant SaaS in one binary.
//!
//! `docs/ARCHITECTURE.md` has the map: the floor (`kernel`, `db`, `config`, `log`, `work`, `auth`, `http`),
//! the capabilities on it, and the files that know them all (`app`, `server`, `cli`).
pub mod app;
pub mod audit;
pub mod auth;
pub mod billing;
pub mod broker;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod db;
pub mod directory;
pub mod entitlements;
pub mod feeds;
pub mod http;
pub mod identity;
pub mod kernel;
pub mod keys;
pub mod log;
pub mod mail;
pub mod metering;
pub mod onboarding;
pub mod operations;
pub mod placement;
pub mod projections;
pub mod server;
pub mod subscriptions;
pub mod telemetry;
pub mod tenants;
pub mod webhooks;
pub mod work;
