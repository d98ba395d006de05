//! What tests stand on: places to keep a control store and tenants' data, each test with its own.

pub mod postgres;
pub mod sqlite;
