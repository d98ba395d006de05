//! The data door against real engines. PostgreSQL is given by `TENANTRY_TEST_PG`: comma-separated URLs
//! of an owner (LOGIN CREATEROLE CREATEDB, no superuser needed) on throwaway servers, for instance
//! `postgres://owner:secret@127.0.0.1:5432/door`.
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod files;
#[cfg(test)]
mod params;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod types;
#[cfg(test)]
mod world;
