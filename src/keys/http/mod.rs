//! The keys' endpoints: tenants' own, the services' and the operators' are one shape, written once as
//! `endpoints!`; [`of_tenants`] is the operators' view of a tenant's keys; [`bodies`] is what is sent.

mod bodies;
mod of_tenants;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, patch, post, web};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands;
use super::model::{CreatedKey, KeyView, RotatedKey};
use super::queries;
use super::verify::{self, Verification};
use super::whose::Whose;
use crate::app::App;
use crate::auth::{Caller, Scope};
use crate::http::{Body, IfMatch, Params, Reply, Strict, body, idempotency, paths, tagged};
use crate::kernel::page::Page;
use bodies::{KeyPatch, KeyRequest, ListParams, OperatorKeyPatch, OperatorKeyRequest, Rotation};

/// Registers the one that is called before each request of the application.
pub fn hot(config: &mut ServiceConfig<'_>) {
    config.service(verify_key);
}

/// Registers the other endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    for register in [own::routes, services::routes, operators::routes, of_tenants::routes] {
        register(config);
    }
}

/// A key to verify.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VerifyRequest {
    /// The key, as its holder sent it.
    #[schema(max_length = 1024)]
    #[serde(deserialize_with = "body::text::<1024, _>")]
    key: String,
    /// Scopes it must hold.
    #[serde(default, deserialize_with = "body::few::<32, _, _>")]
    #[schema(max_items = 32)]
    scopes: Vec<Scope>,
    /// What the call costs: taken from the key's rate limit and its tenant's, or from neither. 0 only looks.
    #[serde(default = "one", deserialize_with = "body::at_most::<1_000_000, _>")]
    #[schema(minimum = 0, maximum = 1_000_000)]
    cost: u32,
}

fn one() -> u32 {
    1
}

/// Verifies a tenant's API key. Always 200: a key that may not is an answer.
#[utoipa::path(tag = "services", request_body = VerifyRequest, responses((status = 200, body = Verification)), security(("bearer" = [])))]
#[post("/v1/api-keys/verify")]
async fn verify_key(app: web::Data<App>, caller: Caller, body: Strict<VerifyRequest>) -> Reply<HttpResponse> {
    let VerifyRequest { key, scopes, cost } = body.0;
    let answer = verify::verify(&app, &caller, &key, &scopes, cost).await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// The six calls on one kind of key. The names of the functions are the document's operation ids.
macro_rules! endpoints {
    (
        $module:ident: $whose:expr, tag $tag:literal, all $all:literal, one $one:literal, rotate $at_rotate:literal,
        new $New:ident, patch $Patch:ident;
        $(#[$create_doc:meta])* $create:ident;
        $(#[$list_doc:meta])* $list:ident;
        $(#[$get_doc:meta])* $get:ident;
        $(#[$patch_doc:meta])* $patch:ident;
        $(#[$rotate_doc:meta])* $rotate:ident;
        $(#[$revoke_doc:meta])* $revoke:ident;
    ) => {
        mod $module {
            use super::*;

            pub(super) fn routes(config: &mut ServiceConfig<'_>) {
                config.service($create).service($list).service($get).service($patch).service($rotate).service($revoke);
            }

            $(#[$create_doc])*
            #[utoipa::path(tag = $tag, request_body = $New, responses((status = 201, body = CreatedKey)), security(("bearer" = [])))]
            #[post($all)]
            async fn $create(app: web::Data<App>, caller: Caller, key: idempotency::Key, body: Body<$New>) -> Reply<HttpResponse> {
                let attempt = app.attempt(&caller, key, &body.raw)?;
                Ok(commands::create(&app, &caller, $whose, body.value.into(), attempt).await?.respond())
            }

            $(#[$list_doc])*
            #[utoipa::path(tag = $tag, params(ListParams), responses((status = 200, body = Page<KeyView>)), security(("bearer" = [])))]
            #[get($all)]
            async fn $list(app: web::Data<App>, caller: Caller, params: Params<ListParams>) -> Reply<web::Json<Page<KeyView>>> {
                let (filter, request) = params.0.read()?;
                Ok(web::Json(queries::list(&app, &caller, $whose, filter, request).await?))
            }

            $(#[$get_doc])*
            #[utoipa::path(tag = $tag, params(("key_id", description = "The key's id")), responses((status = 200, body = KeyView)), security(("bearer" = [])))]
            #[get($one)]
            async fn $get(app: web::Data<App>, caller: Caller, key_id: web::Path<String>) -> Reply<HttpResponse> {
                let key = queries::one(&app, &caller, $whose, paths::id(&key_id, "key")?).await?;
                Ok(tagged(StatusCode::OK, key.record.rev, &key))
            }

            $(#[$patch_doc])*
            #[utoipa::path(tag = $tag, params(("key_id", description = "The key's id")), request_body = $Patch, responses((status = 200, body = KeyView)), security(("bearer" = [])))]
            #[patch($one)]
            async fn $patch(app: web::Data<App>, caller: Caller, key_id: web::Path<String>, if_match: IfMatch, body: Body<$Patch>) -> Reply<HttpResponse> {
                let id = paths::id(&key_id, "key")?;
                let key = commands::patch(&app, &caller, $whose, id, body.value.into(), if_match).await?;
                Ok(tagged(StatusCode::OK, key.record.rev, &key))
            }

            $(#[$rotate_doc])*
            #[utoipa::path(tag = $tag, params(("key_id", description = "The key's id")), request_body = Rotation, responses((status = 201, body = RotatedKey)), security(("bearer" = [])))]
            #[post($at_rotate)]
            async fn $rotate(app: web::Data<App>, caller: Caller, key_id: web::Path<String>, key: idempotency::Key, body: Body<Rotation>) -> Reply<HttpResponse> {
                let id = paths::id(&key_id, "key")?;
                let attempt = app.attempt(&caller, key, &body.raw)?;
                Ok(commands::rotate(&app, &caller, $whose, id, body.value.overlap(), attempt).await?.respond())
            }

            $(#[$revoke_doc])*
            #[utoipa::path(tag = $tag, params(("key_id", description = "The key's id")), responses((status = 200, body = KeyView)), security(("bearer" = [])))]
            #[delete($one)]
            async fn $revoke(app: web::Data<App>, caller: Caller, key_id: web::Path<String>, if_match: IfMatch) -> Reply<HttpResponse> {
                let key = commands::revoke(&app, &caller, $whose, paths::id(&key_id, "key")?, if_match).await?;
                Ok(tagged(StatusCode::OK, key.record.rev, &key))
            }
        }
    };
}

endpoints! {
    own: Whose::Own, tag "tenant", all "/v1/tenant/api-keys", one "/v1/tenant/api-keys/{key_id}",
    rotate "/v1/tenant/api-keys/{key_id}/rotate", new KeyRequest, patch KeyPatch;
    /// Makes an API key for the caller's tenant. The key is in this answer only.
    create_tenant_key;
    /// Lists the caller's tenant's API keys, newest first.
    list_tenant_keys;
    /// Reads one of the caller's tenant's API keys.
    get_tenant_key;
    /// Changes one of the caller's tenant's API keys, or switches it off and on.
    patch_tenant_key;
    /// Makes a key that takes this one's place, with the same settings; both work until the overlap is over. The new
    /// key is in this answer only.
    rotate_tenant_key;
    /// Revokes one of the caller's tenant's API keys, for good: it is refused from this answer on.
    revoke_tenant_key;
}

endpoints! {
    services: Whose::Services, tag "operators", all "/admin/v1/service-keys", one "/admin/v1/service-keys/{key_id}",
    rotate "/admin/v1/service-keys/{key_id}/rotate", new KeyRequest, patch KeyPatch;
    /// Makes a service key for the application plane. The key is in this answer only.
    create_service_key;
    /// Lists service keys, newest first.
    list_service_keys;
    /// Reads a service key.
    get_service_key;
    /// Changes a service key, or switches it off and on.
    patch_service_key;
    /// Makes a service key that takes this one's place, with the same settings; both work until the overlap is over. The
    /// new key is in this answer only.
    rotate_service_key;
    /// Revokes a service key, for good: it is refused from this answer on.
    revoke_service_key;
}

endpoints! {
    operators: Whose::Operators, tag "operators", all "/admin/v1/operators", one "/admin/v1/operators/{key_id}",
    rotate "/admin/v1/operators/{key_id}/rotate", new OperatorKeyRequest, patch OperatorKeyPatch;
    /// Makes an operator key with a role. The key is in this answer only.
    create_operator_key;
    /// Lists operator keys, newest first.
    list_operator_keys;
    /// Reads an operator key.
    get_operator_key;
    /// Changes an operator key, or switches it off and on; the last one with the role admin is kept as it is.
    patch_operator_key;
    /// Makes an operator key that takes this one's place, with the same role; both work until the overlap is over. The
    /// new key is in this answer only.
    rotate_operator_key;
    /// Revokes an operator key, for good; the last one with the role admin is kept.
    revoke_operator_key;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What the handler reads without asking the schema is what the schema allows.
    #[test]
    fn reading_a_verify_request_is_as_strict_as_its_schema() {
        let shape = crate::http::schema_check::Shape::of::<VerifyRequest>();
        let many = |count| vec!["data:read"; count];
        let bodies = [
            json!({ "key": "x" }),
            json!({ "key": "é".repeat(1024), "scopes": many(32), "cost": 1_000_000 }),
            json!({ "key": "é".repeat(1025) }),
            json!({ "key": "a\u{0}b" }),
            json!({ "key": "x", "scopes": many(33) }),
            json!({ "key": "x", "scopes": ["everything"] }),
            json!({ "key": "x", "scopes": null }),
            json!({ "key": "x", "cost": 1_000_001 }),
            json!({ "key": "x", "cost": -1 }),
            json!({ "key": "x", "cost": 1.5 }),
            json!({ "key": "x", "cost": null }),
            json!({ "key": "x", "more": 1 }),
            json!({ "key": 1 }),
            json!({}),
            Value::Null,
            json!([]),
        ];
        for value in bodies {
            let read = serde_json::from_value::<VerifyRequest>(value.clone());
            assert_eq!(read.is_ok(), shape.faults(&value).is_empty(), "{value}");
        }
    }
}
