//! The keys that sign access tokens: their life, from published ahead over signing to published still, and
//! their rotation, which is exact however many replicas there are: the store's transaction decides.

pub mod commands;
pub mod http;
pub mod model;
pub(super) mod store;
