//! The endpoints of plans for operators.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands::{self, Moving};
use super::queries::{self, PlanDetail, PlanOverview};
use crate::app::App;
use crate::auth::Caller;
use crate::http::idempotency::Key;
use crate::http::{Body, Reply, tagged};
use crate::subscriptions::view::SubscriptionView;
use crate::tenants::Handle;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(get_one).service(move_tenants);
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

/// Whom to move: one of both.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Movers {
    /// One tenant, by id or slug.
    #[schema(max_length = 100)]
    tenant: Option<String>,
    /// All of the plan.
    all: Option<bool>,
}

/// Moves tenants of a plan to its newest edition: one at once, or all by an operation. What is granted changes
/// with the move, what is charged with the next period.
#[utoipa::path(tag = "catalogue", params(("plan", description = "The plan's key")), request_body = Movers, responses((status = 200, description = "One was moved", body = SubscriptionView), (status = 202, description = "All are being moved", body = Moving)), security(("bearer" = [])))]
#[post("/admin/v1/plans/{plan}/move-tenants")]
async fn move_tenants(
    app: web::Data<App>,
    caller: Caller,
    plan: web::Path<String>,
    key: Key,
    body: Body<Movers>,
) -> Reply<HttpResponse> {
    let plan = plan.into_inner();
    match (&body.value.tenant, body.value.all) {
        (Some(tenant), None | Some(false)) => {
            let view = commands::move_one(&app, &caller, plan, Handle::parse(tenant)).await?;
            Ok(tagged(StatusCode::OK, view.rev(), &view))
        }
        (None, Some(true)) => {
            let attempt = app.attempt(&caller, key, &body.raw)?;
            Ok(commands::move_all(&app, &caller, plan, attempt).await?.respond())
        }
        _ => Err(commands::nobody(&caller).into()),
    }
}
