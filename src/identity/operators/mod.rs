//! Operators who are people: with an address, a password that they set themselves, and a role. Apart from
//! members in every way, so that nothing a tenant can do makes an operator. Operator keys are in `keys`.

pub mod commands;
pub mod http;
pub mod model;
pub mod queries;
pub mod sign_in;
pub(super) mod store;
