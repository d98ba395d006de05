//! Who calls, and what they may do. `caller` says who; `policy` is the one table that says what;
//! `password` and `secret_key` are the two kinds of shared secret and how they are kept.
pub mod caller;
pub mod one_time;
pub mod password;
pub mod policy;
pub mod scope;
pub mod secret_key;

pub use caller::{Caller, Who};
pub use policy::Verb;
pub use scope::Scope;
