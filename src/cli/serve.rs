//! `serve` and `openapi`: the two commands that need the whole product.

use super::Outcome;
use super::failure::Failure;
use super::out::Out;
use crate::catalog;
use crate::config::Inputs;

// MERGE: replace this module by `use crate::server;`.
mod server {
    use crate::catalog::Opened;
    use crate::kernel::error::Error;

    #[expect(clippy::unused_async, reason = "stands for the real one")]
    pub(super) async fn serve(_opened: Opened) -> Result<(), Error> {
        Err(Error::internal("the server is not part of this build"))
    }

    pub(super) fn openapi() -> utoipa::openapi::OpenApi {
        crate::http::openapi::complete(utoipa::openapi::OpenApi::default())
    }
}

/// Checks config and catalogue, then serves until told to stop.
///
/// # Errors
/// [`Failure::Config`] with every problem; what ended the server.
pub fn run(inputs: &Inputs) -> Outcome {
    let opened = catalog::open(inputs)?;
    Ok(actix_web::rt::System::new().block_on(Box::pin(server::serve(opened)))?)
}

/// Prints the OpenAPI document.
///
/// # Errors
/// As [`Out::say`].
pub fn print_openapi(out: &Out) -> Outcome {
    let text = server::openapi()
        .to_pretty_json()
        .map_err(|error| Failure::failed(format!("the OpenAPI document cannot be written: {error}")))?;
    out.say(text)
}
