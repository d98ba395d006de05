//! `serve` and `openapi`: the two commands that need the whole product.

use secrecy::SecretString;

use super::Outcome;
use super::failure::Failure;
use super::out::Out;
use crate::catalog::{self, Opened};
use crate::config::{Environment, Inputs, Problems};
use crate::mail::templates;
use crate::placement::app_schema;
use crate::server;
use crate::work::failpoint;

/// The variable that sets the first operator key of an empty store.
const FIRST_KEY: &str = "TENANTRY_BOOTSTRAP_OPERATOR_KEY";

/// The variable that holds a debug build at a named place, for tests of crashes.
const FAILPOINT: &str = "TENANTRY_FAILPOINT";

/// Checks config and catalogue, then serves until told to stop.
///
/// # Errors
/// [`Failure::Config`] with every problem; what ended the server.
pub fn run(inputs: &Inputs) -> Outcome {
    let opened = checked(inputs)?;
    let first_key = first_key(&inputs.env)?;
    if let Some(Some(name)) = inputs.env.get(FAILPOINT) {
        failpoint::arm(name.to_owned());
    }
    Ok(actix_web::rt::System::new().block_on(Box::pin(server::serve(opened, first_key)))?)
}

/// The config, the plans and the application's schema, all checked, with every problem told in one go.
///
/// # Errors
/// The problems.
pub(super) fn checked(inputs: &Inputs) -> Result<Opened, Problems> {
    let opened = catalog::open(inputs)?;
    let loaded = &opened.loaded;
    let mut found = app_schema::problems(&loaded.settings, &loaded.origin("application.migrations_dir"));
    found.extend(templates::problems(&loaded.settings));
    Problems::or(found, opened)
}

/// The key that the environment gives for an empty store.
pub(super) fn first_key(env: &Environment) -> Outcome<Option<SecretString>> {
    match env.get(FIRST_KEY).map(|value| value.as_deref().map(str::trim)) {
        None | Some(Some("")) => Ok(None),
        Some(Some(text)) if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(SecretString::from(text)))
        }
        Some(_) => {
            let remedy = "give one word of letters, digits and _, or unset it";
            Err(Failure::Usage(format!("{FIRST_KEY} holds no key: {remedy}")))
        }
    }
}

/// Prints the OpenAPI document.
///
/// # Errors
/// As [`Out::say`].
pub fn print_openapi(out: &Out) -> Outcome {
    out.say(server::openapi()?)
}
