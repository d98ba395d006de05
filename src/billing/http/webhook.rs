//! Where the provider's notifications come in. The signature over the raw body is the credential.

use actix_web::{HttpRequest, HttpResponse, post, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::Caller;
use crate::billing::intake;
use crate::http::{Raw, Reply};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(stripe);
}

/// What became of a notification.
#[derive(Serialize, ToSchema)]
struct Received {
    /// `taken`, `repeated` (it had been before), or `ignored` (about nothing of ours, or old news).
    outcome: &'static str,
}

/// Takes a notification of Stripe, signed in `Stripe-Signature`. The same one again changes nothing.
#[utoipa::path(operation_id = "stripe_webhook", tag = "billing", params(("Stripe-Signature" = Option<String>, Header, description = "Stripe's, over the raw body")), request_body(content = serde_json::Value, description = "An event, as Stripe sends it"), responses((status = 200, body = Received)))]
#[post("/v1/billing/stripe/webhook")]
async fn stripe(app: web::Data<App>, caller: Caller, request: HttpRequest, body: Raw) -> Reply<HttpResponse> {
    let signature = request.headers().get("stripe-signature").and_then(|value| value.to_str().ok());
    let outcome = intake::take(&app, &caller, signature, &body.0).await?;
    Ok(HttpResponse::Ok().json(Received { outcome: outcome.word() }))
}
