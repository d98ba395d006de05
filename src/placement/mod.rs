//! Where tenants live: what a home is, and how one is built, checked and removed in a cluster.
//!
//! [`home`] names things (pure), [`app_schema`] reads and lints the application's migrations (pure but
//! for reading files), [`cluster`] is the face of a cluster of either engine, and [`postgres`] and
//! [`sqlite`] do the work. Nothing here touches the control store.
pub mod app_schema;
pub mod cluster;
pub mod home;
pub mod postgres;
pub mod sqlite;
pub mod steps;
