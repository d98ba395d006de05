//! What is used: quotas, which count use against what a plan grants.

pub mod quota;
