//! Webhooks as operators see them: where events of which tenant go, and what becomes of them.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::bodies::{AllDeliveryParams, AllEndpointParams, ReplayRequest};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Body, Params, Reply, idempotency, paths, tagged};
use crate::kernel::page::{Page, PageRequest};
use crate::webhooks::model::{DeliveryDetail, DeliveryView, EndpointView, Replayed};
use crate::webhooks::{commands, queries};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(endpoints).service(replay).service(deliveries).service(delivery);
}

/// Lists all tenants' webhook endpoints, newest first.
#[utoipa::path(operation_id = "list_all_webhook_endpoints", tag = "webhooks", params(AllEndpointParams), responses((status = 200, body = Page<EndpointView>)), security(("bearer" = [])))]
#[get("/admin/v1/webhook-endpoints")]
async fn endpoints(
    app: web::Data<App>,
    caller: Caller,
    params: Params<AllEndpointParams>,
) -> Reply<web::Json<Page<EndpointView>>> {
    let AllEndpointParams { tenant, limit, cursor } = params.0;
    let request = PageRequest::parse(limit, cursor.as_deref())?;
    Ok(web::Json(queries::list_all(&app, &caller, tenant, request).await?))
}

/// Sends events to a tenant's endpoint again: all since a time that have not arrived there, or one.
#[utoipa::path(operation_id = "replay_webhooks_of_tenant", tag = "webhooks", params(("endpoint_id", description = "The endpoint's id")), request_body = ReplayRequest, responses((status = 202, body = Replayed)), security(("bearer" = [])))]
#[post("/admin/v1/webhook-endpoints/{endpoint_id}/replay")]
async fn replay(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
    key: idempotency::Key,
    body: Body<ReplayRequest>,
) -> Reply<HttpResponse> {
    let id = paths::id(&id, "webhook endpoint")?;
    let attempt = app.attempt(&caller, key, &body.raw)?;
    Ok(commands::replay_any(&app, &caller, id, body.value.into(), attempt).await?.respond())
}

/// Lists all tenants' webhook deliveries, newest first.
#[utoipa::path(operation_id = "list_all_webhook_deliveries", tag = "webhooks", params(AllDeliveryParams), responses((status = 200, body = Page<DeliveryView>)), security(("bearer" = [])))]
#[get("/admin/v1/webhook-deliveries")]
async fn deliveries(
    app: web::Data<App>,
    caller: Caller,
    params: Params<AllDeliveryParams>,
) -> Reply<web::Json<Page<DeliveryView>>> {
    let (filter, request) = params.0.read()?;
    Ok(web::Json(queries::all_deliveries(&app, &caller, filter, request).await?))
}

/// Reads any webhook delivery, with what is sent and every attempt.
#[utoipa::path(operation_id = "get_any_webhook_delivery", tag = "webhooks", params(("delivery_id", description = "The delivery's id")), responses((status = 200, body = DeliveryDetail)), security(("bearer" = [])))]
#[get("/admin/v1/webhook-deliveries/{delivery_id}")]
async fn delivery(app: web::Data<App>, caller: Caller, id: web::Path<String>) -> Reply<HttpResponse> {
    let found = queries::any_delivery(&app, &caller, paths::id(&id, "webhook delivery")?).await?;
    Ok(tagged(StatusCode::OK, found.delivery.rev, &found))
}
