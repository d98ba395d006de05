//! A tenant's API keys as operators see them: who holds what, and how to stop it.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, patch, post, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::bodies::{KeyRequest, KeySwitch, ListParams};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Body, IfMatch, Params, Reply, idempotency, paths, tagged};
use crate::kernel::page::Page;
use crate::keys::model::{CreatedKey, KeyView};
use crate::keys::whose::Whose;
use crate::keys::{commands, queries};
use crate::tenants::Handle;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(list).service(get_one).service(switch).service(revoke);
}

fn of(tenant: &str) -> Whose {
    Whose::Of(Handle::parse(tenant))
}

/// Makes an API key for a tenant. The key is in this answer only.
#[utoipa::path(operation_id = "create_key_of_tenant", tag = "tenants", params(("tenant", description = "Id or slug")), request_body = KeyRequest, responses((status = 201, body = CreatedKey)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/api-keys")]
async fn create(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    key: idempotency::Key,
    body: Body<KeyRequest>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    Ok(commands::create(&app, &caller, of(&tenant), body.value.into(), attempt).await?.respond())
}

/// Lists a tenant's API keys, newest first.
#[utoipa::path(operation_id = "list_keys_of_tenant", tag = "tenants", params(("tenant", description = "Id or slug"), ListParams), responses((status = 200, body = Page<KeyView>)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/api-keys")]
async fn list(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    params: Params<ListParams>,
) -> Reply<web::Json<Page<KeyView>>> {
    let (filter, request) = params.0.read()?;
    Ok(web::Json(queries::list(&app, &caller, of(&tenant), filter, request).await?))
}

/// Reads one of a tenant's API keys.
#[utoipa::path(operation_id = "get_key_of_tenant", tag = "tenants", params(("tenant", description = "Id or slug"), ("key_id", description = "The key's id")), responses((status = 200, body = KeyView)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/api-keys/{key_id}")]
async fn get_one(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Reply<HttpResponse> {
    let key = queries::one(&app, &caller, of(&path.0), paths::id(&path.1, "key")?).await?;
    Ok(tagged(StatusCode::OK, key.record.rev, &key))
}

/// Switches one of a tenant's API keys off, or on again.
#[utoipa::path(operation_id = "switch_key_of_tenant", tag = "tenants", params(("tenant", description = "Id or slug"), ("key_id", description = "The key's id")), request_body = KeySwitch, responses((status = 200, body = KeyView)), security(("bearer" = [])))]
#[patch("/admin/v1/tenants/{tenant}/api-keys/{key_id}")]
async fn switch(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    if_match: IfMatch,
    body: Body<KeySwitch>,
) -> Reply<HttpResponse> {
    let id = paths::id(&path.1, "key")?;
    let key = commands::switch(&app, &caller, of(&path.0), id, body.value.disabled, if_match).await?;
    Ok(tagged(StatusCode::OK, key.record.rev, &key))
}

/// Revokes one of a tenant's API keys, for good: it is refused from this answer on.
#[utoipa::path(operation_id = "revoke_key_of_tenant", tag = "tenants", params(("tenant", description = "Id or slug"), ("key_id", description = "The key's id")), responses((status = 200, body = KeyView)), security(("bearer" = [])))]
#[delete("/admin/v1/tenants/{tenant}/api-keys/{key_id}")]
async fn revoke(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
    if_match: IfMatch,
) -> Reply<HttpResponse> {
    let key = commands::revoke(&app, &caller, of(&path.0), paths::id(&path.1, "key")?, if_match).await?;
    Ok(tagged(StatusCode::OK, key.record.rev, &key))
}
