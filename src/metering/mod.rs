//! What is used. [`ingest`] takes usage events, each once; [`rollups`] adds them up by the hour, following what was
//! taken; [`usage`] answers how much that was; [`quota`] counts it against what a plan grants.

pub mod counted;
pub mod events;
pub mod ingest;
pub mod quota;
pub mod rollups;
pub mod usage;

pub use rollups::remove_of_tenant_in;
pub use usage::used_in;
