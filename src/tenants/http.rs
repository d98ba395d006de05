//! The tenants' endpoints.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, patch, post, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::Handle;
use super::commands::{self, Patch};
use super::model::{State, Tenant};
use super::queries;
use super::store::Filter;
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Body, IfMatch, MaybeBody, Params, Reply, tagged};
use crate::kernel::error::Error;
use crate::kernel::isolation::Isolation;
use crate::kernel::page::{Page, PageRequest};
use crate::work::Operation;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list)
        .service(get_one)
        .service(patch_one)
        .service(suspend)
        .service(resume)
        .service(restore)
        .service(delete_one)
        .service(own)
        .service(patch_own)
        .service(delete_own);
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Part of a slug or name, or a whole id.
    search: Option<String>,
    /// Only this state; deleted tenants are listed only when asked for.
    state: Option<State>,
    /// Only this plan.
    plan: Option<String>,
    /// Only this isolation model.
    isolation: Option<Isolation>,
    /// Only this cluster.
    cluster: Option<String>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists tenants, newest first.
#[utoipa::path(tag = "tenants", params(ListParams), responses((status = 200, body = Page<Tenant>)), security(("bearer" = [])))]
#[get("/admin/v1/tenants")]
async fn list(
    app: web::Data<App>,
    caller: Caller,
    params: Params<ListParams>,
) -> Reply<web::Json<Page<Tenant>>> {
    let params = params.0;
    let request = PageRequest::parse(params.limit, params.cursor.as_deref());
    let filter = Filter {
        search: params.search.filter(|text| !text.trim().is_empty()),
        state: params.state,
        plan: params.plan,
        isolation: params.isolation,
        cluster: params.cluster,
    };
    Ok(web::Json(queries::list(&app, &caller, filter, request?).await?))
}

/// Reads one tenant, by id or slug.
#[utoipa::path(tag = "tenants", params(("tenant", description = "Id or slug")), responses((status = 200, body = Tenant)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}")]
async fn get_one(app: web::Data<App>, caller: Caller, tenant: web::Path<String>) -> Reply<HttpResponse> {
    let tenant = queries::get(&app, &caller, Handle::parse(&tenant)).await?;
    Ok(tagged(StatusCode::OK, tenant.rev(), &tenant))
}

/// What to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TenantPatch {
    /// A new name.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// A new slug.
    #[schema(max_length = 60)]
    slug: Option<String>,
}

impl TenantPatch {
    fn checked(self) -> Result<Patch, Error> {
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Error::field("/name", "must not be blank"));
        }
        Ok(Patch { name: self.name, slug: self.slug })
    }
}

/// Renames a tenant, or changes its slug.
#[utoipa::path(tag = "tenants", params(("tenant", description = "Id or slug")), request_body = TenantPatch, responses((status = 200, body = Tenant)), security(("bearer" = [])))]
#[patch("/admin/v1/tenants/{tenant}")]
async fn patch_one(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    if_match: IfMatch,
    body: Body<TenantPatch>,
) -> Reply<HttpResponse> {
    let tenant =
        commands::patch(&app, &caller, Handle::parse(&tenant), body.value.checked()?, if_match).await?;
    Ok(tagged(StatusCode::OK, tenant.rev(), &tenant))
}

/// Why a tenant is stopped.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
struct Suspension {
    /// Shown on the tenant.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Stops a tenant: its keys, tokens and data door refuse from this answer on.
#[utoipa::path(tag = "tenants", params(("tenant", description = "Id or slug")), request_body(content = Option<Suspension>), responses((status = 200, body = Tenant)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/suspend")]
async fn suspend(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    body: MaybeBody<Suspension>,
) -> Reply<HttpResponse> {
    let reason = body.0.and_then(|body| body.reason);
    let tenant = commands::suspend(&app, &caller, Handle::parse(&tenant), reason).await?;
    Ok(tagged(StatusCode::OK, tenant.rev(), &tenant))
}

/// Lets a suspended tenant go on.
#[utoipa::path(tag = "tenants", params(("tenant", description = "Id or slug")), responses((status = 200, body = Tenant)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/resume")]
async fn resume(app: web::Data<App>, caller: Caller, tenant: web::Path<String>) -> Reply<HttpResponse> {
    let tenant = commands::resume(&app, &caller, Handle::parse(&tenant)).await?;
    Ok(tagged(StatusCode::OK, tenant.rev(), &tenant))
}

/// Takes a deletion back within its grace.
#[utoipa::path(tag = "tenants", params(("tenant", description = "Id or slug")), responses((status = 200, body = Tenant)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/restore")]
async fn restore(app: web::Data<App>, caller: Caller, tenant: web::Path<String>) -> Reply<HttpResponse> {
    let tenant = commands::restore(&app, &caller, Handle::parse(&tenant)).await?;
    Ok(tagged(StatusCode::OK, tenant.rev(), &tenant))
}

/// A deletion on its way.
#[derive(Serialize, ToSchema)]
struct Deletion {
    tenant: Tenant,
    operation: Operation,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeleteParams {
    /// Seconds until the removal begins, at most a year; `tenancy.delete_grace_s` when absent.
    #[param(maximum = 31_536_000)]
    grace_s: Option<u32>,
}

/// Stops a tenant and removes it, with all that is its own on the cluster, when its grace is over.
#[utoipa::path(tag = "tenants", params(("tenant", description = "Id or slug"), DeleteParams), responses((status = 202, body = Deletion)), security(("bearer" = [])))]
#[delete("/admin/v1/tenants/{tenant}")]
async fn delete_one(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    params: Params<DeleteParams>,
    if_match: IfMatch,
) -> Reply<HttpResponse> {
    if params.0.grace_s.is_some_and(|grace| grace > 31_536_000) {
        return Err(Error::field("?grace_s", "must be at most 31536000 (a year)").into());
    }
    let grace = params.0.grace_s.map(|seconds| Duration::from_secs(u64::from(seconds)));
    let (tenant, operation) =
        commands::delete(&app, &caller, Handle::parse(&tenant), grace, if_match).await?;
    Ok(HttpResponse::Accepted().json(Deletion { tenant, operation }))
}

/// The caller's own tenant.
#[utoipa::path(tag = "tenant", responses((status = 200, body = Tenant)), security(("bearer" = [])))]
#[get("/v1/tenant")]
async fn own(app: web::Data<App>, caller: Caller) -> Reply<HttpResponse> {
    let tenant = queries::own(&app, &caller).await?;
    Ok(tagged(StatusCode::OK, tenant.rev(), &tenant))
}

/// Renames the caller's own tenant, or changes its slug.
#[utoipa::path(tag = "tenant", request_body = TenantPatch, responses((status = 200, body = Tenant)), security(("bearer" = [])))]
#[patch("/v1/tenant")]
async fn patch_own(
    app: web::Data<App>,
    caller: Caller,
    if_match: IfMatch,
    body: Body<TenantPatch>,
) -> Reply<HttpResponse> {
    let tenant = commands::patch_own(&app, &caller, body.value.checked()?, if_match).await?;
    Ok(tagged(StatusCode::OK, tenant.rev(), &tenant))
}

/// Deletes the caller's own tenant, with the configured grace.
#[utoipa::path(tag = "tenant", responses((status = 202, body = Deletion)), security(("bearer" = [])))]
#[delete("/v1/tenant")]
async fn delete_own(app: web::Data<App>, caller: Caller, if_match: IfMatch) -> Reply<HttpResponse> {
    let (tenant, operation) = commands::delete_own(&app, &caller, if_match).await?;
    Ok(HttpResponse::Accepted().json(Deletion { tenant, operation }))
}
