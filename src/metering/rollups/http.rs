//! The endpoints of projections.

use actix_web::{HttpResponse, get, post, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands::{self, Projection, Projections};
use crate::app::App;
use crate::auth::Caller;
use crate::http::Reply;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(rebuild);
}

/// Lists the read models that follow what is written, and how far they are.
#[utoipa::path(operation_id = "list_projections", tag = "operations", responses((status = 200, body = Projections)), security(("bearer" = [])))]
#[get("/admin/v1/projections")]
async fn list(app: web::Data<App>, caller: Caller) -> Reply<web::Json<Projections>> {
    Ok(web::Json(commands::list(&app, &caller).await?))
}

/// Builds a read model anew, beside the one that answers, which goes on until the new one has caught up. Asked again
/// while that is under way, it changes nothing.
#[utoipa::path(operation_id = "rebuild_projection", tag = "operations", params(("projection", description = "Its name")), responses((status = 202, body = Projection)), security(("bearer" = [])))]
#[post("/admin/v1/projections/{projection}/rebuild")]
async fn rebuild(app: web::Data<App>, caller: Caller, projection: web::Path<String>) -> Reply<HttpResponse> {
    Ok(HttpResponse::Accepted().json(commands::rebuild(&app, &caller, &projection).await?))
}
