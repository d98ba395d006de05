//! The endpoint that takes usage events.

use std::collections::BTreeMap;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, post, web};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands::{self, Taken};
use super::model::event::{Attributes, Form, read, split};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::http::{Raw, Reply};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};

/// Registers the endpoint.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(take);
}

/// A CloudEvent 1.0. Attributes beside these are allowed and not looked at.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is the schema of what is read piece by piece")]
struct UsageEvent {
    /// `1.0`.
    #[schema(max_length = 255)]
    specversion: String,
    /// Its id, once in its source: sent again with the same, it is not counted again.
    #[schema(min_length = 1, max_length = 255)]
    id: String,
    /// Where it comes from.
    #[schema(min_length = 1, max_length = 255)]
    source: String,
    /// What happened: a meter's key, or the `event_type` of meters.
    #[serde(rename = "type")]
    #[schema(min_length = 1, max_length = 255)]
    kind: String,
    /// The tenant, by id or slug. Needed with a service key; with a tenant's credential it is that tenant.
    #[schema(min_length = 1, max_length = 255)]
    subject: Option<String>,
    /// When it happened; when it came in, if absent.
    time: Option<Ts>,
    /// What the meters read: values are whole numbers.
    data: Option<BTreeMap<String, Value>>,
}

fn essence(request: &HttpRequest) -> String {
    let text = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    text.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

fn form(essence: &str) -> Result<Form> {
    match essence {
        "application/cloudevents+json" => Ok(Form::One),
        "application/cloudevents-batch+json" => Ok(Form::Batch),
        "application/json" => Ok(Form::Either),
        _ => Err(Error::UnsupportedMedia(
            "send events as application/cloudevents+json, application/cloudevents-batch+json or application/json"
                .into(),
        )),
    }
}

/// The attributes of the binary mode, from their headers.
fn binary<'a>(request: &HttpRequest, data: Option<&'a RawValue>) -> Attributes<'a> {
    let header = |name: &str| {
        let text = request.headers().get(name)?.to_str().ok()?;
        Some(percent_decode_str(text).decode_utf8_lossy().into_owned())
    };
    Attributes {
        specversion: header("ce-specversion"),
        id: header("ce-id"),
        source: header("ce-source"),
        kind: header("ce-type"),
        subject: header("ce-subject"),
        time: header("ce-time"),
        data,
    }
}

/// Takes up to 1,000 usage events, as CloudEvents 1.0: one, a batch, or one in binary mode (attributes in `ce-`
/// headers). Each is answered for on its own, in order; one that was counted before is a duplicate, so a call that
/// got no answer can be sent again as it is. `accepted` means counted and on disk.
#[utoipa::path(operation_id = "send_usage_events", tag = "services", request_body(content(
    (Vec<UsageEvent> = "application/cloudevents-batch+json"), (UsageEvent = "application/cloudevents+json"), (Vec<UsageEvent> = "application/json"))),
    responses((status = 200, body = Taken)), security(("bearer" = [])))]
#[post("/v1/usage/events")]
async fn take(
    app: web::Data<App>,
    caller: Caller,
    request: HttpRequest,
    body: Raw,
) -> Reply<web::Json<Taken>> {
    caller.may(Verb::WriteUsage)?;
    Ok(web::Json(answer(&app, &caller, &request, &body.0).await?))
}

async fn answer(app: &App, caller: &Caller, request: &HttpRequest, body: &Bytes) -> Result<Taken> {
    let essence = essence(request);
    if request.headers().contains_key("ce-specversion") && !essence.starts_with("application/cloudevents") {
        let data = serde_json::from_slice::<&RawValue>(body).ok();
        return commands::take(app, caller, vec![binary(request, data).check()]).await;
    }
    let events = split(body, form(&essence)?)?;
    commands::take(app, caller, events.into_iter().map(read).collect()).await
}
