//! Tenantry: the control plane of a multi-tenant SaaS in one binary.
//!
//! `docs/ARCHITECTURE.md` has the map: the floor (`kernel`, `db`, `config`, `log`, `work`, `auth`, `http`),
//! the capabilities on it, and the two files that know them all (`app`, `server`).
pub mod auth;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod db;
pub mod http;
pub mod kernel;
pub mod log;
pub mod work;
