//! The edge: problem+json for every failure, the caller, checked bodies, idempotency keys, ETags, request
//! ids and the OpenAPI document. No rule of the product lives here.

pub mod body;
pub mod caller;
pub mod client;
mod denials;
pub mod etag;
pub mod idempotency;
pub mod limits;
pub mod openapi;
pub mod paths;
pub mod problem;
pub mod query;
pub mod request;
pub mod schema_check;

pub use body::{Body, Form, MaybeBody, Raw, Sound, Strict};
pub use etag::{IfMatch, tagged};
pub use idempotency::{Answer, Attempt, Outcome};
pub use problem::{Problem, ProblemBody};
pub use query::Params;

/// What a handler answers.
pub type Reply<T> = std::result::Result<T, Problem>;
