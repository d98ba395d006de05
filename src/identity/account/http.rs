//! The endpoints of a person's own account.

use actix_web::{HttpResponse, get, post, web};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::queries::{self, Me};
use super::{commands, email, reset};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Body, Reply};

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(me)
        .service(change_password)
        .service(request_email)
        .service(confirm_email)
        .service(request_reset)
        .service(confirm_reset);
}

/// What is said when a mail may be on its way.
#[derive(Serialize, ToSchema)]
struct Underway {
    /// In words for people.
    detail: &'static str,
}

/// Reads the caller's own account and where they belong.
#[utoipa::path(tag = "account", responses((status = 200, body = Me)), security(("bearer" = [])))]
#[get("/v1/me")]
async fn me(app: web::Data<App>, caller: Caller) -> Reply<web::Json<Me>> {
    Ok(web::Json(queries::me(&app, &caller).await?))
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    /// The present one.
    #[schema(value_type = String, max_length = 1024, format = Password)]
    current_password: SecretString,
    /// The one from now on.
    #[schema(value_type = String, max_length = 1024, format = Password)]
    new_password: SecretString,
}

/// Changes the caller's password. Their other sessions end.
#[utoipa::path(tag = "account", request_body = PasswordChange, responses((status = 204, description = "The new password holds")), security(("bearer" = [])))]
#[post("/v1/me/password")]
async fn change_password(
    app: web::Data<App>,
    caller: Caller,
    body: Body<PasswordChange>,
) -> Reply<HttpResponse> {
    let PasswordChange { current_password, new_password } = body.value;
    commands::change_password(&app, &caller, current_password, new_password).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Another address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EmailRequest {
    /// The caller's password.
    #[schema(value_type = String, max_length = 1024, format = Password)]
    password: SecretString,
    /// The new address, which gets a code.
    #[schema(max_length = 254, example = "ada@example.com")]
    email: String,
}

/// Asks for another address: a code goes to it, unless it belongs to somebody else.
#[utoipa::path(tag = "account", request_body = EmailRequest, responses((status = 202, body = Underway)), security(("bearer" = [])))]
#[post("/v1/me/email")]
async fn request_email(app: web::Data<App>, caller: Caller, body: Body<EmailRequest>) -> Reply<HttpResponse> {
    let EmailRequest { password, email } = body.value;
    email::request(&app, &caller, password, &email).await?;
    let detail = "if the address can become yours, a code is on its way to it";
    Ok(HttpResponse::Accepted().json(Underway { detail }))
}

/// A code from a mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EmailCode {
    /// Its digits.
    #[schema(max_length = 32, example = "12345678")]
    code: String,
}

/// Makes the asked-for address the caller's. Their other sessions end, and the old address is told.
#[utoipa::path(tag = "account", request_body = EmailCode, responses((status = 200, body = Me)), security(("bearer" = [])))]
#[post("/v1/me/email/confirm")]
async fn confirm_email(app: web::Data<App>, caller: Caller, body: Body<EmailCode>) -> Reply<web::Json<Me>> {
    email::confirm(&app, &caller, &body.value.code).await?;
    Ok(web::Json(queries::me(&app, &caller).await?))
}

/// Who forgot their password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResetRequest {
    /// Their address.
    #[schema(max_length = 254, example = "ada@example.com")]
    email: String,
}

/// Asks for a token that sets a new password. Answered alike whether the address is known or not.
#[utoipa::path(tag = "account", request_body = ResetRequest, responses((status = 202, body = Underway)))]
#[post("/v1/password-resets")]
async fn request_reset(app: web::Data<App>, caller: Caller, body: Body<ResetRequest>) -> Reply<HttpResponse> {
    reset::request(&app, &caller, &body.value.email).await?;
    let detail = "if this address has an account, a mail with a token is on its way";
    Ok(HttpResponse::Accepted().json(Underway { detail }))
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The token from the mail.
    #[schema(max_length = 200)]
    token: String,
    /// The new password.
    #[schema(value_type = String, max_length = 1024, format = Password)]
    password: SecretString,
}

/// Sets a new password with the token from the mail, once. All sessions of the person end.
#[utoipa::path(tag = "account", request_body = NewPassword, responses((status = 204, description = "The new password holds")))]
#[post("/v1/password-resets/confirm")]
async fn confirm_reset(app: web::Data<App>, caller: Caller, body: Body<NewPassword>) -> Reply<HttpResponse> {
    let NewPassword { token, password } = body.value;
    reset::confirm(&app, &caller, &token, password).await?;
    Ok(HttpResponse::NoContent().finish())
}
