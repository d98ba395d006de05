//! The endpoints of webhooks: tenants' own here, operators' in [`admin`]; [`bodies`] is what is sent.

mod admin;
mod bodies;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, patch, post, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{DeliveryDetail, DeliveryView, EndpointCreated, EndpointView, Replayed};
use super::{commands, queries};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Body, IfMatch, Params, Reply, idempotency, paths, tagged};
use crate::kernel::page::{Page, PageRequest};
use bodies::{DeliveryParams, EndpointPatch, EndpointRequest, ListParams, ReplayRequest, SecretRotation};

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(list)
        .service(get_one)
        .service(change)
        .service(remove)
        .service(enable)
        .service(rotate_secret)
        .service(test)
        .service(replay)
        .service(deliveries)
        .service(delivery)
        .service(retry);
    admin::routes(config);
}

/// Makes an endpoint that the caller's tenant's events are sent to. The secret that verifies them is in this answer only.
#[utoipa::path(operation_id = "create_webhook_endpoint", tag = "webhooks", request_body = EndpointRequest, responses((status = 201, body = EndpointCreated)), security(("bearer" = [])))]
#[post("/v1/tenant/webhook-endpoints")]
async fn create(
    app: web::Data<App>,
    caller: Caller,
    key: idempotency::Key,
    body: Body<EndpointRequest>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    Ok(commands::create(&app, &caller, body.value.into(), attempt).await?.respond())
}

/// Lists the caller's tenant's endpoints, newest first.
#[utoipa::path(operation_id = "list_webhook_endpoints", tag = "webhooks", params(ListParams), responses((status = 200, body = Page<EndpointView>)), security(("bearer" = [])))]
#[get("/v1/tenant/webhook-endpoints")]
async fn list(
    app: web::Data<App>,
    caller: Caller,
    params: Params<ListParams>,
) -> Reply<web::Json<Page<EndpointView>>> {
    let request = PageRequest::parse(params.0.limit, params.0.cursor.as_deref())?;
    Ok(web::Json(queries::list(&app, &caller, request).await?))
}

/// Reads one of the caller's tenant's endpoints.
#[utoipa::path(operation_id = "get_webhook_endpoint", tag = "webhooks", params(("endpoint_id", description = "The endpoint's id")), responses((status = 200, body = EndpointView)), security(("bearer" = [])))]
#[get("/v1/tenant/webhook-endpoints/{endpoint_id}")]
async fn get_one(app: web::Data<App>, caller: Caller, id: web::Path<String>) -> Reply<HttpResponse> {
    let found = queries::one(&app, &caller, paths::id(&id, "webhook endpoint")?).await?;
    Ok(tagged(StatusCode::OK, found.rev, &found))
}

/// Changes one of the caller's tenant's endpoints, or switches it off and on.
#[utoipa::path(operation_id = "patch_webhook_endpoint", tag = "webhooks", params(("endpoint_id", description = "The endpoint's id")), request_body = EndpointPatch, responses((status = 200, body = EndpointView)), security(("bearer" = [])))]
#[patch("/v1/tenant/webhook-endpoints/{endpoint_id}")]
async fn change(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
    if_match: IfMatch,
    body: Body<EndpointPatch>,
) -> Reply<HttpResponse> {
    let id = paths::id(&id, "webhook endpoint")?;
    let found = commands::patch(&app, &caller, id, body.value.into(), if_match).await?;
    Ok(tagged(StatusCode::OK, found.rev, &found))
}

/// Removes one of the caller's tenant's endpoints, with all that waits for it.
#[utoipa::path(operation_id = "delete_webhook_endpoint", tag = "webhooks", params(("endpoint_id", description = "The endpoint's id")), responses((status = 204, description = "Removed")), security(("bearer" = [])))]
#[delete("/v1/tenant/webhook-endpoints/{endpoint_id}")]
async fn remove(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
    if_match: IfMatch,
) -> Reply<HttpResponse> {
    commands::remove(&app, &caller, paths::id(&id, "webhook endpoint")?, if_match).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Enables an endpoint: what waited for it is sent. One that was failing is tried at once.
#[utoipa::path(operation_id = "enable_webhook_endpoint", tag = "webhooks", params(("endpoint_id", description = "The endpoint's id")), responses((status = 200, body = EndpointView)), security(("bearer" = [])))]
#[post("/v1/tenant/webhook-endpoints/{endpoint_id}/enable")]
async fn enable(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
    if_match: IfMatch,
) -> Reply<HttpResponse> {
    let found = commands::enable(&app, &caller, paths::id(&id, "webhook endpoint")?, if_match).await?;
    Ok(tagged(StatusCode::OK, found.rev, &found))
}

/// Makes a new secret for an endpoint; both sign until the overlap is over. It is in this answer only.
#[utoipa::path(operation_id = "rotate_webhook_secret", tag = "webhooks", params(("endpoint_id", description = "The endpoint's id")), request_body = SecretRotation, responses((status = 201, body = EndpointCreated)), security(("bearer" = [])))]
#[post("/v1/tenant/webhook-endpoints/{endpoint_id}/rotate-secret")]
async fn rotate_secret(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
    key: idempotency::Key,
    body: Body<SecretRotation>,
) -> Reply<HttpResponse> {
    let id = paths::id(&id, "webhook endpoint")?;
    let attempt = app.attempt(&caller, key, &body.raw)?;
    Ok(commands::rotate(&app, &caller, id, body.value.overlap(), attempt).await?.respond())
}

/// Sends an event of the type `webhook.ping` to an endpoint, whatever types it takes.
#[utoipa::path(operation_id = "test_webhook_endpoint", tag = "webhooks", params(("endpoint_id", description = "The endpoint's id")), responses((status = 202, body = DeliveryView)), security(("bearer" = [])))]
#[post("/v1/tenant/webhook-endpoints/{endpoint_id}/test")]
async fn test(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
    key: idempotency::Key,
) -> Reply<HttpResponse> {
    let id = paths::id(&id, "webhook endpoint")?;
    let attempt = app.attempt(&caller, key, b"")?;
    Ok(commands::test(&app, &caller, id, attempt).await?.respond())
}

/// Sends events to an endpoint again: all since a time that have not arrived there, or one.
#[utoipa::path(operation_id = "replay_webhooks", tag = "webhooks", params(("endpoint_id", description = "The endpoint's id")), request_body = ReplayRequest, responses((status = 202, body = Replayed)), security(("bearer" = [])))]
#[post("/v1/tenant/webhook-endpoints/{endpoint_id}/replay")]
async fn replay(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
    key: idempotency::Key,
    body: Body<ReplayRequest>,
) -> Reply<HttpResponse> {
    let id = paths::id(&id, "webhook endpoint")?;
    let attempt = app.attempt(&caller, key, &body.raw)?;
    Ok(commands::replay(&app, &caller, id, body.value.into(), attempt).await?.respond())
}

/// Lists the deliveries to one of the caller's tenant's endpoints, newest first.
#[utoipa::path(operation_id = "list_webhook_deliveries", tag = "webhooks", params(("endpoint_id", description = "The endpoint's id"), DeliveryParams), responses((status = 200, body = Page<DeliveryView>)), security(("bearer" = [])))]
#[get("/v1/tenant/webhook-endpoints/{endpoint_id}/deliveries")]
async fn deliveries(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
    params: Params<DeliveryParams>,
) -> Reply<web::Json<Page<DeliveryView>>> {
    let id = paths::id(&id, "webhook endpoint")?;
    let (filter, request) = params.0.read()?;
    Ok(web::Json(queries::deliveries_of(&app, &caller, id, filter, request).await?))
}

/// Reads a delivery, with what is sent and every attempt.
#[utoipa::path(operation_id = "get_webhook_delivery", tag = "webhooks", params(("endpoint_id", description = "The endpoint's id"), ("delivery_id", description = "The delivery's id")), responses((status = 200, body = DeliveryDetail)), security(("bearer" = [])))]
#[get("/v1/tenant/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}")]
async fn delivery(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Reply<HttpResponse> {
    let endpoint = paths::id(&path.0, "webhook endpoint")?;
    let found = queries::delivery(&app, &caller, endpoint, paths::id(&path.1, "webhook delivery")?).await?;
    Ok(tagged(StatusCode::OK, found.delivery.rev, &found))
}

/// Sends a delivery again now, whatever became of it, from the beginning of its schedule.
#[utoipa::path(operation_id = "retry_webhook_delivery", tag = "webhooks", params(("endpoint_id", description = "The endpoint's id"), ("delivery_id", description = "The delivery's id")), responses((status = 202, body = DeliveryView)), security(("bearer" = [])))]
#[post("/v1/tenant/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/retry")]
async fn retry(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    key: idempotency::Key,
) -> Reply<HttpResponse> {
    let (endpoint, id) = (paths::id(&path.0, "webhook endpoint")?, paths::id(&path.1, "webhook delivery")?);
    let attempt = app.attempt(&caller, key, b"")?;
    Ok(commands::retry(&app, &caller, endpoint, id, attempt).await?.respond())
}
