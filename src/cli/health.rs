//! `healthcheck`: is the server of this config alive?

use serde_json::json;

use super::Outcome;
use super::client;
use super::failure::Failure;
use super::out::Out;
use super::target;
use crate::config::{Inputs, load};

/// Asks `GET /healthz`.
///
/// # Errors
/// [`Failure::Unreachable`] without an answer, [`Failure::Failed`] with another one than 2xx.
pub async fn run(inputs: &Inputs, out: &Out) -> Outcome {
    let settings = load(inputs)?.settings;
    let server = target::own_server(&settings, inputs)?;
    let mut url = server.value.clone();
    url.set_path("/healthz");
    let answer = client::http(&url)?.get(url.clone()).send().await;
    let status = answer.map_err(|error| client::unreachable(&server, &error))?.status();
    if !status.is_success() {
        return Err(Failure::failed(format!("{url} answered {status}")));
    }
    if out.json {
        return out.document(&json!({ "ok": true, "url": url.as_str(), "status": status.as_u16() }));
    }
    out.say(format_args!("{url} answered {status}"))
}
