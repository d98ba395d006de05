//! The keys' endpoints.

use actix_web::{HttpResponse, delete, get, post, web};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands::{self, CreatedKey, Wanted};
use super::model::Key;
use super::queries;
use super::verify::{self, Verification};
use crate::app::App;
use crate::auth::caller::OperatorRole;
use crate::auth::{Caller, Scope};
use crate::http::{Body, Params, Reply, idempotency, paths, tagged};
use crate::kernel::clock::Ts;
use crate::kernel::error::Error;
use crate::kernel::page::{Page, PageRequest};

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(verify_key)
        .service(create_tenant_key)
        .service(list_tenant_keys)
        .service(get_tenant_key)
        .service(revoke_tenant_key)
        .service(create_service_key)
        .service(list_service_keys)
        .service(revoke_service_key)
        .service(create_operator_key)
        .service(list_operator_keys)
        .service(revoke_operator_key);
}

/// A new key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeyRequest {
    /// What to call it.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it may do.
    #[schema(max_items = 32)]
    scopes: Vec<Scope>,
    /// When it ends by itself; never when absent.
    expires_at: Option<Ts>,
}

impl From<KeyRequest> for Wanted {
    fn from(request: KeyRequest) -> Self {
        Self { name: request.name, scopes: request.scopes, expires_at: request.expires_at }
    }
}

/// A new operator key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OperatorKeyRequest {
    /// What to call it.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it may do.
    role: OperatorRole,
    /// When it ends by itself; never when absent.
    expires_at: Option<Ts>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageParams {
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl PageParams {
    fn request(&self) -> Result<PageRequest, Error> {
        PageRequest::parse(self.limit, self.cursor.as_deref())
    }
}

/// A key to verify.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VerifyRequest {
    /// The key, as its holder sent it.
    #[schema(max_length = 1024)]
    key: String,
    /// Scopes it must hold.
    #[serde(default)]
    #[schema(max_items = 32)]
    scopes: Vec<Scope>,
    /// What the call costs; taken from the key's limits once those are sold.
    #[serde(default = "one")]
    #[schema(minimum = 0, maximum = 1_000_000)]
    #[expect(dead_code, reason = "part of the contract; nothing is limited by it yet")]
    cost: u32,
}

fn one() -> u32 {
    1
}

/// Verifies a tenant's API key. Always 200: a key that may not is an answer.
#[utoipa::path(tag = "services", request_body = VerifyRequest, responses((status = 200, body = Verification)), security(("bearer" = [])))]
#[post("/v1/api-keys/verify")]
async fn verify_key(app: web::Data<App>, caller: Caller, body: Body<VerifyRequest>) -> Reply<HttpResponse> {
    let answer = verify::verify(&app, &caller, &body.value.key, &body.value.scopes).await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// Makes an API key for the caller's tenant. The key is in this answer only.
#[utoipa::path(tag = "tenant", request_body = KeyRequest, responses((status = 201, body = CreatedKey)), security(("bearer" = [])))]
#[post("/v1/tenant/api-keys")]
async fn create_tenant_key(
    app: web::Data<App>,
    caller: Caller,
    key: idempotency::Key,
    body: Body<KeyRequest>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    Ok(commands::create_tenant_key(&app, &caller, body.value.into(), attempt).await?.respond())
}

/// Lists the caller's tenant's API keys, newest first.
#[utoipa::path(tag = "tenant", params(PageParams), responses((status = 200, body = Page<Key>)), security(("bearer" = [])))]
#[get("/v1/tenant/api-keys")]
async fn list_tenant_keys(
    app: web::Data<App>,
    caller: Caller,
    params: Params<PageParams>,
) -> Reply<web::Json<Page<Key>>> {
    Ok(web::Json(queries::of_tenant(&app, &caller, params.0.request()?).await?))
}

/// Reads one of the caller's tenant's API keys.
#[utoipa::path(tag = "tenant", params(("key_id", description = "The key's id")), responses((status = 200, body = Key)), security(("bearer" = [])))]
#[get("/v1/tenant/api-keys/{key_id}")]
async fn get_tenant_key(
    app: web::Data<App>,
    caller: Caller,
    key_id: web::Path<String>,
) -> Reply<HttpResponse> {
    let key = queries::one_of_tenant(&app, &caller, paths::id(&key_id, "key")?).await?;
    Ok(tagged(actix_web::http::StatusCode::OK, key.rev, &key))
}

/// Revokes one of the caller's tenant's API keys: it is refused from this answer on.
#[utoipa::path(tag = "tenant", params(("key_id", description = "The key's id")), responses((status = 200, body = Key)), security(("bearer" = [])))]
#[delete("/v1/tenant/api-keys/{key_id}")]
async fn revoke_tenant_key(
    app: web::Data<App>,
    caller: Caller,
    key_id: web::Path<String>,
) -> Reply<HttpResponse> {
    Ok(HttpResponse::Ok().json(commands::revoke_tenant_key(&app, &caller, paths::id(&key_id, "key")?).await?))
}

/// Makes a service key for the application plane. The key is in this answer only.
#[utoipa::path(tag = "operators", request_body = KeyRequest, responses((status = 201, body = CreatedKey)), security(("bearer" = [])))]
#[post("/admin/v1/service-keys")]
async fn create_service_key(
    app: web::Data<App>,
    caller: Caller,
    key: idempotency::Key,
    body: Body<KeyRequest>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    Ok(commands::create_service_key(&app, &caller, body.value.into(), attempt).await?.respond())
}

/// Lists service keys, newest first.
#[utoipa::path(tag = "operators", params(PageParams), responses((status = 200, body = Page<Key>)), security(("bearer" = [])))]
#[get("/admin/v1/service-keys")]
async fn list_service_keys(
    app: web::Data<App>,
    caller: Caller,
    params: Params<PageParams>,
) -> Reply<web::Json<Page<Key>>> {
    Ok(web::Json(queries::of_services(&app, &caller, params.0.request()?).await?))
}

/// Revokes a service key.
#[utoipa::path(tag = "operators", params(("key_id", description = "The key's id")), responses((status = 200, body = Key)), security(("bearer" = [])))]
#[delete("/admin/v1/service-keys/{key_id}")]
async fn revoke_service_key(
    app: web::Data<App>,
    caller: Caller,
    key_id: web::Path<String>,
) -> Reply<HttpResponse> {
    Ok(HttpResponse::Ok()
        .json(commands::revoke_service_key(&app, &caller, paths::id(&key_id, "key")?).await?))
}

/// Makes an operator key with a role. The key is in this answer only.
#[utoipa::path(tag = "operators", request_body = OperatorKeyRequest, responses((status = 201, body = CreatedKey)), security(("bearer" = [])))]
#[post("/admin/v1/operators")]
async fn create_operator_key(
    app: web::Data<App>,
    caller: Caller,
    key: idempotency::Key,
    body: Body<OperatorKeyRequest>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    let OperatorKeyRequest { name, role, expires_at } = body.value;
    let wanted = Wanted { name, scopes: vec![], expires_at };
    Ok(commands::create_operator_key(&app, &caller, wanted, role, attempt).await?.respond())
}

/// Lists operator keys, newest first.
#[utoipa::path(tag = "operators", params(PageParams), responses((status = 200, body = Page<Key>)), security(("bearer" = [])))]
#[get("/admin/v1/operators")]
async fn list_operator_keys(
    app: web::Data<App>,
    caller: Caller,
    params: Params<PageParams>,
) -> Reply<web::Json<Page<Key>>> {
    Ok(web::Json(queries::of_operators(&app, &caller, params.0.request()?).await?))
}

/// Revokes an operator key; the last one with the role admin is kept.
#[utoipa::path(tag = "operators", params(("key_id", description = "The key's id")), responses((status = 200, body = Key)), security(("bearer" = [])))]
#[delete("/admin/v1/operators/{key_id}")]
async fn revoke_operator_key(
    app: web::Data<App>,
    caller: Caller,
    key_id: web::Path<String>,
) -> Reply<HttpResponse> {
    Ok(HttpResponse::Ok()
        .json(commands::revoke_operator_key(&app, &caller, paths::id(&key_id, "key")?).await?))
}
