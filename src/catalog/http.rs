//! The catalogue's endpoints.

use std::sync::Arc;

use actix_web::{HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands;
use super::diff::Diff;
use super::model::Plan;
use super::version::PlanVersion;
use crate::app::App;
use crate::auth::Caller;
use crate::http::{MaybeBody, Reply};
use crate::kernel::id::PlanVersionId;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(reload);
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

/// How to load the plans file.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
struct Reload {
    /// Only tell what would change.
    #[serde(default)]
    dry_run: bool,
}

/// What loading the plans file changes.
#[derive(Serialize, ToSchema)]
struct Reloaded {
    /// Whether it was only told.
    dry_run: bool,
    /// What is different from what was sold before.
    diff: Diff,
}

/// Reads the plans file again: an edited plan gets another version, one that is gone is archived. A file with a
/// mistake is refused whole, each mistake with its line, and so is one without the default plan.
#[utoipa::path(tag = "catalogue", request_body(content = Option<Reload>), responses((status = 200, body = Reloaded)), security(("bearer" = [])))]
#[post("/admin/v1/plans/reload")]
async fn reload(app: web::Data<App>, caller: Caller, body: MaybeBody<Reload>) -> Reply<web::Json<Reloaded>> {
    let Reload { dry_run } = body.0.unwrap_or_default();
    let diff = commands::reload(&app, &caller, dry_run).await?;
    Ok(web::Json(Reloaded { dry_run, diff }))
}
