//! The data door against real engines: PostgreSQL 15, the newest, and SQLite's files.

mod attacks;
mod budget;
mod cancel;
mod files;
mod params;
mod postgres;
mod types;
mod world;
