//! Who calls, and what they may do. `caller` says who; `policy` is the one table that says what;
//! `password`, `secret_key` and `opaque` are the kinds of shared secret and how they are kept; `throttle`
//! bounds how often one may be guessed; `refused` remembers what the request at hand was refused.
pub mod caller;
pub mod one_time;
pub mod opaque;
pub mod password;
pub mod policy;
pub mod refused;
pub mod scope;
pub mod secret_key;
pub mod throttle;

pub use caller::{Caller, Who};
pub use policy::Verb;
pub use scope::{Scope, Scopes};
