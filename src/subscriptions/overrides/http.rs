//! The endpoints of overrides.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, post, web};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands;
use super::model::{OverrideView, Wanted};
use crate::app::App;
use crate::auth::Caller;
use crate::catalog::Feature;
use crate::http::{Body, IfMatch, Params, Reply, idempotency, paths, tagged};
use crate::kernel::clock::Ts;
use crate::kernel::page::{Page, PageRequest};
use crate::tenants::Handle;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(list).service(get_one).service(end);
}

/// What to grant or to take away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OverrideRequest {
    /// Which feature, by its key in the catalogue.
    #[schema(min_length = 1, max_length = 64)]
    feature: String,
    /// What to grant in the place of what the plan grants: of the kind that the catalogue has.
    value: Option<Feature>,
    /// Take the feature away.
    #[serde(default)]
    revoke: bool,
    /// From when on it counts; at once when absent.
    starts_at: Option<Ts>,
    /// Until when; for good when absent.
    ends_at: Option<Ts>,
    /// Why: for whoever wonders later.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Grants a tenant a feature beside its plan, or takes one away. It counts from this answer on, or from `starts_at`.
/// Of two overrides of a feature that count at once, the one that was made later wins.
#[utoipa::path(operation_id = "create_override", tag = "entitlements", params(("tenant", description = "Id or slug")), request_body = OverrideRequest, responses((status = 201, body = OverrideView)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/entitlement-overrides")]
async fn create(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    key: idempotency::Key,
    body: Body<OverrideRequest>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    let OverrideRequest { feature, value, revoke, starts_at, ends_at, reason } = body.value;
    let wanted = Wanted { feature, value, revoke, starts_at, ends_at, reason };
    Ok(commands::create(&app, &caller, Handle::parse(&tenant), wanted, attempt).await?.respond())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OverrideParams {
    /// Only those of this feature.
    feature: Option<String>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists a tenant's overrides, newest first, those that have ended included.
#[utoipa::path(operation_id = "list_overrides", tag = "entitlements", params(("tenant", description = "Id or slug"), OverrideParams), responses((status = 200, body = Page<OverrideView>)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/entitlement-overrides")]
async fn list(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    params: Params<OverrideParams>,
) -> Reply<web::Json<Page<OverrideView>>> {
    let OverrideParams { feature, limit, cursor } = params.0;
    let request = PageRequest::parse(limit, cursor.as_deref())?;
    Ok(web::Json(commands::list(&app, &caller, Handle::parse(&tenant), feature, request).await?))
}

/// Reads one of a tenant's overrides.
#[utoipa::path(operation_id = "get_override", tag = "entitlements", params(("tenant", description = "Id or slug"), ("override_id", description = "The override's id")), responses((status = 200, body = OverrideView)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/entitlement-overrides/{override_id}")]
async fn get_one(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Reply<HttpResponse> {
    let id = paths::id(&path.1, "override")?;
    let found = commands::one(&app, &caller, Handle::parse(&path.0), id).await?;
    Ok(tagged(StatusCode::OK, found.record.rev, &found))
}

/// Ends one of a tenant's overrides now; its record stays.
#[utoipa::path(operation_id = "end_override", tag = "entitlements", params(("tenant", description = "Id or slug"), ("override_id", description = "The override's id")), responses((status = 200, body = OverrideView)), security(("bearer" = [])))]
#[delete("/admin/v1/tenants/{tenant}/entitlement-overrides/{override_id}")]
async fn end(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    if_match: IfMatch,
) -> Reply<HttpResponse> {
    let id = paths::id(&path.1, "override")?;
    let ended = commands::end(&app, &caller, Handle::parse(&path.0), id, if_match).await?;
    Ok(tagged(StatusCode::OK, ended.record.rev, &ended))
}
