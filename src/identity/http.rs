//! The endpoints of sign-in and of the keys by which others check our tokens.

use actix_web::{HttpResponse, get, post, web};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands::{self, Session};
use super::token::Jwk;
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Body, Reply};

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(sign_in)
        .service(jwks)
        .service(discovery)
        .configure(super::account::http::routes)
        .configure(super::members::http::routes)
        .configure(super::invitations::http::routes);
}

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// The person's address.
    #[schema(max_length = 254, example = "ada@example.com")]
    email: String,
    /// Their password.
    #[schema(value_type = String, max_length = 1024, format = Password)]
    password: SecretString,
    /// Id or slug of the tenant to sign in to; needed by people who belong to several.
    #[schema(max_length = 64)]
    tenant: Option<String>,
}

/// Signs in with address and password: a short-lived access token for one tenant.
#[utoipa::path(tag = "identity", request_body = Credentials, responses((status = 200, body = Session)))]
#[post("/v1/sessions")]
async fn sign_in(app: web::Data<App>, caller: Caller, body: Body<Credentials>) -> Reply<HttpResponse> {
    let Credentials { email, password, tenant } = body.value;
    Ok(HttpResponse::Ok().json(commands::sign_in(&app, &caller, &email, password, tenant).await?))
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
    HttpResponse::Ok()
        .insert_header(("cache-control", "public, max-age=300"))
        .json(KeySet { keys: app.tokens.published().to_vec() })
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
    HttpResponse::Ok().insert_header(("cache-control", "public, max-age=300")).json(Discovery {
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        token_endpoint: format!("{issuer}/v1/sessions"),
        id_token_signing_alg_values_supported: vec!["EdDSA"],
        response_types_supported: vec!["token"],
        subject_types_supported: vec!["public"],
        issuer,
    })
}
