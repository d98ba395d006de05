//! The endpoints of plans for operators.

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::queries::{self, PlanDetail, PlanOverview};
use crate::app::App;
use crate::auth::Caller;
use crate::http::Reply;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(get_one);
}

/// All plans.
#[derive(Serialize, ToSchema)]
struct PlanOverviews {
    data: Vec<PlanOverview>,
    /// Always null: the catalogue is one page.
    next_cursor: Option<String>,
}

/// All plans, with their editions and how many tenants are on each; archived ones and those that are not
/// public included.
#[utoipa::path(tag = "catalogue", responses((status = 200, body = PlanOverviews)), security(("bearer" = [])))]
#[get("/admin/v1/plans")]
async fn list(app: web::Data<App>, caller: Caller) -> Reply<web::Json<PlanOverviews>> {
    let data = queries::list(&app, &caller).await?;
    Ok(web::Json(PlanOverviews { data, next_cursor: None }))
}

/// One plan with all its editions.
#[utoipa::path(tag = "catalogue", params(("plan", description = "The plan's key")), responses((status = 200, body = PlanDetail)), security(("bearer" = [])))]
#[get("/admin/v1/plans/{plan}")]
async fn get_one(
    app: web::Data<App>,
    caller: Caller,
    plan: web::Path<String>,
) -> Reply<web::Json<PlanDetail>> {
    Ok(web::Json(queries::get(&app, &caller, plan.into_inner()).await?))
}
