//! The endpoints of the catalogue of events. They are for everybody: what they tell is the product's, not a tenant's.

use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{EventType, EventTypeInFull};
use crate::app::App;
use crate::http::Reply;
use crate::http::etag;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(one);
}

/// All types of events, by name.
#[derive(Serialize, ToSchema)]
struct EventTypeList {
    data: Vec<EventType>,
    /// Always null: the catalogue is one page.
    next_cursor: Option<String>,
}

/// Which types of events there are. Changes with the program alone.
#[utoipa::path(operation_id = "list_event_types", tag = "events", responses((status = 200, body = EventTypeList), (status = 304, description = "As it was at `If-None-Match`")))]
#[get("/v1/event-types")]
async fn list(request: HttpRequest) -> Reply<HttpResponse> {
    Ok(etag::by_content(&request, &EventTypeList { data: super::all(), next_cursor: None })?)
}

/// A type of event: the JSON Schema of its data, and an example.
#[utoipa::path(operation_id = "get_event_type", tag = "events", params(("event_type", description = "Its name: `tenant.suspended`")), responses((status = 200, body = EventTypeInFull), (status = 304, description = "As it was at `If-None-Match`")))]
#[get("/v1/event-types/{event_type}")]
async fn one(app: web::Data<App>, request: HttpRequest, kind: web::Path<String>) -> Reply<HttpResponse> {
    Ok(etag::by_content(&request, &super::one(&app, &kind)?)?)
}
