//! Where tenants' data lives and how it is reached.
pub mod connections;
pub mod door;
