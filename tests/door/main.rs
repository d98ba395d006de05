//! The data door against real engines. PostgreSQL is given by `TENANTRY_TEST_PG`: comma-separated URLs
//! of an owner (LOGIN CREATEROLE CREATEDB, no superuser needed) on throwaway servers, for instance
//! `postgres://owner:secret@127.0.0.1:5432/door`.
mod attacks;
mod budget;
mod cancel;
mod files;
mod params;
mod postgres;
mod types;
mod world;
