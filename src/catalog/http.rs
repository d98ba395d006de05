//! The catalogue's endpoints.

use std::sync::Arc;

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::Plan;
use super::version::PlanVersion;
use crate::app::App;
use crate::kernel::id::PlanVersionId;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list);
}

/// A plan that is sold.
#[derive(Serialize, ToSchema)]
struct PlanOnSale {
    #[serde(flatten)]
    plan: Plan,
    /// The number of its version.
    version: u32,
    /// The id of its version.
    version_id: PlanVersionId,
}

impl From<Arc<PlanVersion>> for PlanOnSale {
    fn from(version: Arc<PlanVersion>) -> Self {
        Self { plan: version.plan.clone(), version: version.number, version_id: version.id }
    }
}

/// Plans in the order of the catalogue.
#[derive(Serialize, ToSchema)]
struct PlanList {
    data: Vec<PlanOnSale>,
    /// Always null: the catalogue is one page.
    next_cursor: Option<String>,
}

/// The public catalogue.
#[utoipa::path(tag = "catalogue", responses((status = 200, body = PlanList)))]
#[get("/v1/plans")]
async fn list(app: web::Data<App>) -> HttpResponse {
    let sold = app.catalogue.current();
    let public = sold.plans.iter().filter(|plan| plan.public);
    let data = public.filter_map(|plan| app.catalogue.on_sale(&plan.key)).map(PlanOnSale::from).collect();
    HttpResponse::Ok().json(PlanList { data, next_cursor: None })
}
