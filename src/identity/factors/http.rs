//! The endpoints of second factors, for members and for operators.

use actix_web::{HttpResponse, delete, post, web};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands::{self, Enrolment, Realm, RecoveryCodes};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Body, Reply};

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(begin)
        .service(confirm)
        .service(remove)
        .service(begin_operator)
        .service(confirm_operator)
        .service(remove_operator);
}

/// Proof that whoever holds the token knows the password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Again {
    /// The present password.
    #[schema(value_type = String, max_length = 1024, format = Password)]
    password: SecretString,
}

/// A code of the authenticator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Code {
    /// Six digits.
    #[schema(max_length = 16, example = "123456")]
    code: String,
}

/// Begins to set up an authenticator (TOTP). The secret is in this answer only; nothing is asked for until it is
/// confirmed.
#[utoipa::path(tag = "identity", request_body = Again, responses((status = 200, body = Enrolment)), security(("bearer" = [])))]
#[post("/v1/me/totp")]
async fn begin(app: web::Data<App>, caller: Caller, body: Body<Again>) -> Reply<HttpResponse> {
    Ok(HttpResponse::Ok().json(commands::begin(&app, &caller, Realm::Members, body.value.password).await?))
}

/// Confirms the authenticator with a code of it. The recovery codes are in this answer only.
#[utoipa::path(tag = "identity", request_body = Code, responses((status = 200, body = RecoveryCodes)), security(("bearer" = [])))]
#[post("/v1/me/totp/confirm")]
async fn confirm(app: web::Data<App>, caller: Caller, body: Body<Code>) -> Reply<HttpResponse> {
    Ok(HttpResponse::Ok().json(commands::confirm(&app, &caller, Realm::Members, body.value.code).await?))
}

/// Removes the authenticator and the recovery codes.
#[utoipa::path(tag = "identity", request_body = Again, responses((status = 204, description = "Removed")), security(("bearer" = [])))]
#[delete("/v1/me/totp")]
async fn remove(app: web::Data<App>, caller: Caller, body: Body<Again>) -> Reply<HttpResponse> {
    commands::remove(&app, &caller, Realm::Members, body.value.password).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Begins to set up an operator's own authenticator.
#[utoipa::path(tag = "operators", request_body = Again, responses((status = 200, body = Enrolment)), security(("bearer" = [])))]
#[post("/admin/v1/me/totp")]
async fn begin_operator(app: web::Data<App>, caller: Caller, body: Body<Again>) -> Reply<HttpResponse> {
    Ok(HttpResponse::Ok().json(commands::begin(&app, &caller, Realm::Operators, body.value.password).await?))
}

/// Confirms an operator's own authenticator. The recovery codes are in this answer only.
#[utoipa::path(tag = "operators", request_body = Code, responses((status = 200, body = RecoveryCodes)), security(("bearer" = [])))]
#[post("/admin/v1/me/totp/confirm")]
async fn confirm_operator(app: web::Data<App>, caller: Caller, body: Body<Code>) -> Reply<HttpResponse> {
    Ok(HttpResponse::Ok().json(commands::confirm(&app, &caller, Realm::Operators, body.value.code).await?))
}

/// Removes an operator's own authenticator and recovery codes.
#[utoipa::path(tag = "operators", request_body = Again, responses((status = 204, description = "Removed")), security(("bearer" = [])))]
#[delete("/admin/v1/me/totp")]
async fn remove_operator(app: web::Data<App>, caller: Caller, body: Body<Again>) -> Reply<HttpResponse> {
    commands::remove(&app, &caller, Realm::Operators, body.value.password).await?;
    Ok(HttpResponse::NoContent().finish())
}
