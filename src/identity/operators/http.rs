//! The endpoints of operators who are people.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, patch, post, web};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands::{self, Invited, Patch};
use super::model::Operator;
use super::queries;
use super::sign_in::{self, OperatorSession};
use crate::app::App;
use crate::auth::Caller;
use crate::auth::caller::OperatorRole;
use crate::http::client::UserAgent;
use crate::http::{Body, IfMatch, Params, Reply, idempotency, paths, tagged};
use crate::identity::proof::Proof;
use crate::identity::sessions::http::Renewal;
use crate::kernel::page::{Page, PageRequest};

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(list)
        .service(get_one)
        .service(patch_one)
        .service(remove)
        .service(renew_setup)
        .service(set_up)
        .service(sign_in_operator)
        .service(refresh)
        .service(sign_out);
}

/// A new operator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOperator {
    /// Their address.
    #[schema(max_length = 254, example = "ada@example.com")]
    email: String,
    /// What they may do.
    role: OperatorRole,
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

/// Makes an operator who is a person. The token to set a password is in this answer only: hand it to them.
#[utoipa::path(tag = "operators", request_body = NewOperator, responses((status = 201, body = Invited)), security(("bearer" = [])))]
#[post("/admin/v1/operator-users")]
async fn create(
    app: web::Data<App>,
    caller: Caller,
    key: idempotency::Key,
    body: Body<NewOperator>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    let NewOperator { email, role } = body.value;
    Ok(commands::create(&app, &caller, &email, role, attempt).await?.respond())
}

/// Lists operators who are people, newest first.
#[utoipa::path(tag = "operators", params(PageParams), responses((status = 200, body = Page<Operator>)), security(("bearer" = [])))]
#[get("/admin/v1/operator-users")]
async fn list(
    app: web::Data<App>,
    caller: Caller,
    params: Params<PageParams>,
) -> Reply<web::Json<Page<Operator>>> {
    let request = PageRequest::parse(params.0.limit, params.0.cursor.as_deref())?;
    Ok(web::Json(queries::list(&app, &caller, request).await?))
}

/// Reads one operator.
#[utoipa::path(tag = "operators", params(("operator_id", description = "The operator's id")), responses((status = 200, body = Operator)), security(("bearer" = [])))]
#[get("/admin/v1/operator-users/{operator_id}")]
async fn get_one(app: web::Data<App>, caller: Caller, operator_id: web::Path<String>) -> Reply<HttpResponse> {
    let operator = queries::get(&app, &caller, paths::id(&operator_id, "operator")?).await?;
    Ok(tagged(StatusCode::OK, operator.rev, &operator))
}

/// What to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OperatorPatch {
    /// A new role.
    role: Option<OperatorRole>,
    /// Whether they may not sign in; their sessions end with it.
    disabled: Option<bool>,
}

/// Changes an operator's role, or disables them; the last admin is kept.
#[utoipa::path(tag = "operators", params(("operator_id", description = "The operator's id")), request_body = OperatorPatch, responses((status = 200, body = Operator)), security(("bearer" = [])))]
#[patch("/admin/v1/operator-users/{operator_id}")]
async fn patch_one(
    app: web::Data<App>,
    caller: Caller,
    operator_id: web::Path<String>,
    if_match: IfMatch,
    body: Body<OperatorPatch>,
) -> Reply<HttpResponse> {
    let OperatorPatch { role, disabled } = body.value;
    let id = paths::id(&operator_id, "operator")?;
    let operator = commands::patch(&app, &caller, id, Patch { role, disabled }, if_match).await?;
    Ok(tagged(StatusCode::OK, operator.rev, &operator))
}

/// Removes an operator; the last admin is kept.
#[utoipa::path(tag = "operators", params(("operator_id", description = "The operator's id")), responses((status = 204, description = "Removed")), security(("bearer" = [])))]
#[delete("/admin/v1/operator-users/{operator_id}")]
async fn remove(
    app: web::Data<App>,
    caller: Caller,
    operator_id: web::Path<String>,
    if_match: IfMatch,
) -> Reply<HttpResponse> {
    commands::remove(&app, &caller, paths::id(&operator_id, "operator")?, if_match).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Makes a new token to set a password: the old password and all sessions of the operator end.
#[utoipa::path(tag = "operators", params(("operator_id", description = "The operator's id")), responses((status = 201, body = Invited)), security(("bearer" = [])))]
#[post("/admin/v1/operator-users/{operator_id}/setup")]
async fn renew_setup(
    app: web::Data<App>,
    caller: Caller,
    operator_id: web::Path<String>,
    key: idempotency::Key,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, b"")?;
    let id = paths::id(&operator_id, "operator")?;
    Ok(commands::renew_setup(&app, &caller, id, attempt).await?.respond())
}

/// A password to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Setup {
    /// The token that an admin handed over.
    #[schema(value_type = String, max_length = 256, format = Password)]
    token: SecretString,
    /// The password.
    #[schema(value_type = String, max_length = 1024, format = Password)]
    password: SecretString,
}

/// Sets an operator's password with the token that an admin handed over. Then they can sign in.
#[utoipa::path(tag = "operators", request_body = Setup, responses((status = 200, body = Operator)))]
#[post("/admin/v1/operator-setup")]
async fn set_up(app: web::Data<App>, caller: Caller, body: Body<Setup>) -> Reply<HttpResponse> {
    let Setup { token, password } = body.value;
    Ok(HttpResponse::Ok().json(commands::set_up(&app, &caller, &token, password).await?))
}

/// An operator who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OperatorCredentials {
    /// Their address.
    #[schema(max_length = 254, example = "ada@example.com")]
    email: String,
    /// Their password.
    #[schema(value_type = String, max_length = 1024, format = Password)]
    password: SecretString,
    /// The code of their authenticator, when they have set one up.
    #[schema(max_length = 16, example = "123456")]
    totp: Option<String>,
    /// One of their recovery codes instead; it is good once.
    #[schema(value_type = Option<String>, max_length = 64)]
    recovery_code: Option<SecretString>,
}

/// Signs an operator in: a short-lived access token for the admin API, and a refresh token.
#[utoipa::path(tag = "operators", request_body = OperatorCredentials, responses((status = 200, body = OperatorSession)))]
#[post("/admin/v1/sessions")]
async fn sign_in_operator(
    app: web::Data<App>,
    caller: Caller,
    agent: UserAgent,
    body: Body<OperatorCredentials>,
) -> Reply<HttpResponse> {
    let OperatorCredentials { email, password, totp, recovery_code } = body.value;
    let proof = Proof { password, totp, recovery_code };
    Ok(HttpResponse::Ok().json(sign_in::sign_in(&app, &caller, &email, proof, agent.0).await?))
}

/// Renews an operator's session, as `POST /v1/sessions/refresh` does a member's.
#[utoipa::path(tag = "operators", request_body = Renewal, responses((status = 200, body = OperatorSession)))]
#[post("/admin/v1/sessions/refresh")]
async fn refresh(
    app: web::Data<App>,
    caller: Caller,
    agent: UserAgent,
    body: Body<Renewal>,
) -> Reply<HttpResponse> {
    let text = body.value.refresh_token.expose_secret();
    Ok(HttpResponse::Ok().json(sign_in::refresh(&app, &caller, agent.0, text).await?))
}

/// Signs the calling operator out.
#[utoipa::path(tag = "operators", responses((status = 204, description = "Signed out")), security(("bearer" = [])))]
#[delete("/admin/v1/sessions/current")]
async fn sign_out(app: web::Data<App>, caller: Caller) -> Reply<HttpResponse> {
    sign_in::sign_out(&app, &caller).await?;
    Ok(HttpResponse::NoContent().finish())
}
