//! The endpoints of the keys that sign access tokens, for operators and for whoever checks tokens.

use actix_web::{HttpResponse, delete, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands;
use super::model::{CACHE_S, SigningKey};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Body, Reply, idempotency};
use crate::identity::token::Jwk;
use crate::kernel::page::Page;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(jwks).service(discovery).service(list).service(rotate).service(retire);
}

fn cached() -> (&'static str, String) {
    ("cache-control", format!("public, max-age={CACHE_S}"))
}

/// A JSON Web Key Set (RFC 7517).
#[derive(Serialize, ToSchema)]
struct KeySet {
    keys: Vec<Jwk>,
}

/// The public keys that check our access tokens.
#[utoipa::path(tag = "identity", responses((status = 200, body = KeySet)))]
#[get("/.well-known/jwks.json")]
async fn jwks(app: web::Data<App>) -> HttpResponse {
    HttpResponse::Ok().insert_header(cached()).json(KeySet { keys: app.tokens.published(app.clock.now()) })
}

/// What a token library needs to know of us.
#[derive(Serialize, ToSchema)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
    token_endpoint: String,
    id_token_signing_alg_values_supported: Vec<&'static str>,
    response_types_supported: Vec<&'static str>,
    subject_types_supported: Vec<&'static str>,
}

/// Where a token library finds the keys (OpenID Connect Discovery 1.0).
#[utoipa::path(tag = "identity", responses((status = 200, body = Discovery)))]
#[get("/.well-known/openid-configuration")]
async fn discovery(app: web::Data<App>) -> HttpResponse {
    let issuer = app.tokens.issuer().to_owned();
    HttpResponse::Ok().insert_header(cached()).json(Discovery {
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        token_endpoint: format!("{issuer}/v1/sessions"),
        id_token_signing_alg_values_supported: vec!["EdDSA"],
        response_types_supported: vec!["token"],
        subject_types_supported: vec!["public"],
        issuer,
    })
}

/// Lists the keys that sign access tokens, newest first: a handful, so it is one page.
#[utoipa::path(tag = "operators", responses((status = 200, body = Page<SigningKey>)), security(("bearer" = [])))]
#[get("/admin/v1/signing-keys")]
async fn list(app: web::Data<App>, caller: Caller) -> Reply<web::Json<Page<SigningKey>>> {
    let data = commands::list(&app, &caller).await?;
    Ok(web::Json(Page { data, next_cursor: None }))
}

/// How to rotate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SigningKeyRotation {
    /// Sign with the new key now, before cached key sets can hold it. For when the present key may be known
    /// to others; retire that one then.
    #[serde(default)]
    at_once: bool,
}

/// Makes the next signing key. It signs ten minutes later, when every cached key set holds it.
#[utoipa::path(tag = "operators", request_body = SigningKeyRotation, responses((status = 201, body = SigningKey)), security(("bearer" = [])))]
#[post("/admin/v1/signing-keys/rotate")]
async fn rotate(
    app: web::Data<App>,
    caller: Caller,
    key: idempotency::Key,
    body: Body<SigningKeyRotation>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    Ok(commands::rotate(&app, &caller, body.value.at_once, attempt).await?.respond())
}

/// Takes a signing key out of use at once: all its tokens are refused from this answer on.
#[utoipa::path(tag = "operators", params(("kid", description = "The key's id in the key set")), responses((status = 200, body = SigningKey)), security(("bearer" = [])))]
#[delete("/admin/v1/signing-keys/{kid}")]
async fn retire(app: web::Data<App>, caller: Caller, kid: web::Path<String>) -> Reply<HttpResponse> {
    Ok(HttpResponse::Ok().json(commands::retire(&app, &caller, kid.into_inner()).await?))
}
