//! The endpoints of projections.

use actix_web::{HttpResponse, get, post, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{Projection, Projections};
use super::{commands, queries};
use crate::app::App;
use crate::auth::Caller;
use crate::http::Reply;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(rebuild).service(pause).service(resume);
}

/// Lists the read models and all others that follow what is written, and how far they are.
#[utoipa::path(operation_id = "list_projections", tag = "operations", responses((status = 200, body = Projections)), security(("bearer" = [])))]
#[get("/admin/v1/projections")]
async fn list(app: web::Data<App>, caller: Caller) -> Reply<web::Json<Projections>> {
    Ok(web::Json(queries::list(&app, &caller).await?))
}

/// Builds a read model anew, beside the one that answers, which goes on until the new one has caught up. Asked again
/// while that is under way, it changes nothing.
#[utoipa::path(operation_id = "rebuild_projection", tag = "operations", params(("projection", description = "Its name")), responses((status = 202, body = Projection)), security(("bearer" = [])))]
#[post("/admin/v1/projections/{projection}/rebuild")]
async fn rebuild(app: web::Data<App>, caller: Caller, projection: web::Path<String>) -> Reply<HttpResponse> {
    Ok(HttpResponse::Accepted().json(commands::rebuild(&app, &caller, &projection).await?))
}

/// Lets one who follows stand still. What it keeps answers as it is; what happens waits in the log.
#[utoipa::path(operation_id = "pause_projection", tag = "operations", params(("projection", description = "Its name")), responses((status = 200, body = Projection)), security(("bearer" = [])))]
#[post("/admin/v1/projections/{projection}/pause")]
async fn pause(
    app: web::Data<App>,
    caller: Caller,
    projection: web::Path<String>,
) -> Reply<web::Json<Projection>> {
    Ok(web::Json(commands::pause(&app, &caller, &projection).await?))
}

/// Lets one that was paused go on from where it stands.
#[utoipa::path(operation_id = "resume_projection", tag = "operations", params(("projection", description = "Its name")), responses((status = 200, body = Projection)), security(("bearer" = [])))]
#[post("/admin/v1/projections/{projection}/resume")]
async fn resume(
    app: web::Data<App>,
    caller: Caller,
    projection: web::Path<String>,
) -> Reply<web::Json<Projection>> {
    Ok(web::Json(commands::resume(&app, &caller, &projection).await?))
}
