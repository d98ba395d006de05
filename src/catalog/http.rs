//! The catalogue's endpoints.

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::Plan;
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::http::Reply;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(list_all);
}

/// Plans in the order of the catalogue.
#[derive(Serialize, ToSchema)]
struct PlanList {
    data: Vec<Plan>,
    /// Always null: the catalogue is one page.
    next_cursor: Option<String>,
}

/// The public catalogue.
#[utoipa::path(tag = "catalogue", responses((status = 200, body = PlanList)))]
#[get("/v1/plans")]
async fn list(app: web::Data<App>) -> HttpResponse {
    let data = app.catalogue.plans.iter().filter(|plan| plan.public).cloned().collect();
    HttpResponse::Ok().json(PlanList { data, next_cursor: None })
}

/// All plans, those that are not public included.
#[utoipa::path(tag = "catalogue", responses((status = 200, body = PlanList)), security(("bearer" = [])))]
#[get("/admin/v1/plans")]
async fn list_all(app: web::Data<App>, caller: Caller) -> Reply<HttpResponse> {
    caller.may(Verb::ReadConfig)?;
    Ok(HttpResponse::Ok().json(PlanList { data: app.catalogue.plans.clone(), next_cursor: None }))
}
