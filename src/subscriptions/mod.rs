//! placeholder until merged
pub mod overrides;
