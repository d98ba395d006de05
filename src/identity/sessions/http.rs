//! The endpoints of sessions.

use std::time::Duration;

use actix_web::{HttpResponse, delete, get, post, web};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands::{self, Session, SignIn};
use super::impersonation::{self, Impersonation, Wanted};
use super::model::SessionView;
use super::{queries, renewal};
use crate::app::App;
use crate::auth::Caller;
use crate::auth::caller::TenantRole;
use crate::http::client::UserAgent;
use crate::http::{Body, Params, Reply, idempotency, paths};
use crate::identity::proof::Proof;
use crate::kernel::error::Error;
use crate::kernel::id::UserId;
use crate::kernel::page::{Page, PageRequest};
use crate::tenants::Handle;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(sign_in)
        .service(refresh)
        .service(sign_out)
        .service(list_own)
        .service(end_others)
        .service(end_own)
        .service(list_of_tenant)
        .service(end_in_tenant)
        .service(impersonate)
        .service(end_visit);
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
    /// The code of their authenticator, when they have set one up.
    #[schema(max_length = 16, example = "123456")]
    totp: Option<String>,
    /// One of their recovery codes instead; it is good once.
    #[schema(value_type = Option<String>, max_length = 64)]
    recovery_code: Option<SecretString>,
}

/// Signs in with address and password: a short-lived access token for one tenant, and a refresh token.
///
/// With a second factor set up, the right password alone is answered 401 `second_factor_required`.
#[utoipa::path(tag = "identity", request_body = Credentials, responses((status = 200, body = Session)))]
#[post("/v1/sessions")]
async fn sign_in(
    app: web::Data<App>,
    caller: Caller,
    agent: UserAgent,
    body: Body<Credentials>,
) -> Reply<HttpResponse> {
    let Credentials { email, password, tenant, totp, recovery_code } = body.value;
    let proof = Proof { password, totp, recovery_code };
    let wanted = SignIn { email, proof, tenant, agent: agent.0 };
    Ok(HttpResponse::Ok().json(commands::sign_in(&app, &caller, wanted).await?))
}

/// A session to renew.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::identity) struct Renewal {
    /// The refresh token of the answer before.
    #[schema(value_type = String, max_length = 256, format = Password)]
    pub refresh_token: SecretString,
}

/// Renews a session: the next access token and the next refresh token. Each refresh token is good once; a spent
/// one that comes back ends the session.
#[utoipa::path(tag = "identity", request_body = Renewal, responses((status = 200, body = Session)))]
#[post("/v1/sessions/refresh")]
async fn refresh(
    app: web::Data<App>,
    caller: Caller,
    agent: UserAgent,
    body: Body<Renewal>,
) -> Reply<HttpResponse> {
    let text = secrecy::ExposeSecret::expose_secret(&body.value.refresh_token);
    Ok(HttpResponse::Ok().json(renewal::refresh(&app, &caller, agent.0, text).await?))
}

/// Signs out: the session of the access token in hand ends.
#[utoipa::path(tag = "identity", responses((status = 204, description = "Signed out")), security(("bearer" = [])))]
#[delete("/v1/sessions/current")]
async fn sign_out(app: web::Data<App>, caller: Caller) -> Reply<HttpResponse> {
    commands::sign_out(&app, &caller).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Lists one's own open sessions in all one's tenants, newest first, and operators' visits in one's stead.
#[utoipa::path(tag = "identity", params(PageParams), responses((status = 200, body = Page<SessionView>)), security(("bearer" = [])))]
#[get("/v1/me/sessions")]
async fn list_own(
    app: web::Data<App>,
    caller: Caller,
    params: Params<PageParams>,
) -> Reply<web::Json<Page<SessionView>>> {
    Ok(web::Json(queries::own(&app, &caller, params.0.request()?).await?))
}

/// Ends all one's sessions but the one that asks.
#[utoipa::path(tag = "identity", responses((status = 204, description = "They have ended")), security(("bearer" = [])))]
#[delete("/v1/me/sessions")]
async fn end_others(app: web::Data<App>, caller: Caller) -> Reply<HttpResponse> {
    commands::end_others(&app, &caller).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Ends one of one's own sessions, or an operator's visit in one's stead.
#[utoipa::path(tag = "identity", params(("session_id", description = "The session's id")), responses((status = 204, description = "It has ended")), security(("bearer" = [])))]
#[delete("/v1/me/sessions/{session_id}")]
async fn end_own(app: web::Data<App>, caller: Caller, session_id: web::Path<String>) -> Reply<HttpResponse> {
    commands::end_own(&app, &caller, paths::id(&session_id, "session")?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Lists the open sessions in one's tenant, newest first: members', and operators' visits.
#[utoipa::path(tag = "tenant", params(PageParams), responses((status = 200, body = Page<SessionView>)), security(("bearer" = [])))]
#[get("/v1/tenant/sessions")]
async fn list_of_tenant(
    app: web::Data<App>,
    caller: Caller,
    params: Params<PageParams>,
) -> Reply<web::Json<Page<SessionView>>> {
    Ok(web::Json(queries::of_tenant(&app, &caller, params.0.request()?).await?))
}

/// Ends a session in one's tenant, or an operator's visit.
#[utoipa::path(tag = "tenant", params(("session_id", description = "The session's id")), responses((status = 204, description = "It has ended")), security(("bearer" = [])))]
#[delete("/v1/tenant/sessions/{session_id}")]
async fn end_in_tenant(
    app: web::Data<App>,
    caller: Caller,
    session_id: web::Path<String>,
) -> Reply<HttpResponse> {
    commands::end_in_tenant(&app, &caller, paths::id(&session_id, "session")?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A visit to a tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VisitRequest {
    /// The member in whose stead.
    user_id: Option<UserId>,
    /// Or the role to have, when it is not in one member's stead.
    role: Option<TenantRole>,
    /// Why; the tenant reads it.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// How many seconds the visit lasts.
    #[serde(default = "quarter_of_an_hour")]
    #[schema(minimum = 60, maximum = 3_600)]
    ttl_s: u64,
}

fn quarter_of_an_hour() -> u64 {
    900
}

/// Acts inside a tenant for a while, in a member's stead or with a member's role. The tenant sees the visit in
/// its log and among its sessions, and can end it. What lasts beyond the visit, or concerns the member in
/// person, is refused: keys, members, passwords, factors, ownership, deletion.
#[utoipa::path(tag = "operators", params(("tenant", description = "Id or slug")), request_body = VisitRequest, responses((status = 201, body = Impersonation)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/impersonate")]
async fn impersonate(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    key: idempotency::Key,
    body: Body<VisitRequest>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    let VisitRequest { user_id, role, reason, ttl_s } = body.value;
    let wanted = Wanted { user: user_id, role, reason, lasts: Duration::from_secs(ttl_s) };
    Ok(impersonation::start(&app, &caller, Handle::parse(&tenant), wanted, attempt).await?.respond())
}

/// Ends a visit to a tenant.
#[utoipa::path(tag = "operators", params(("tenant", description = "Id or slug"), ("session_id", description = "The visit's session")), responses((status = 204, description = "It has ended")), security(("bearer" = [])))]
#[delete("/admin/v1/tenants/{tenant}/impersonate/{session_id}")]
async fn end_visit(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Reply<HttpResponse> {
    let (tenant, session) = path.into_inner();
    impersonation::end(&app, &caller, Handle::parse(&tenant), paths::id(&session, "session")?).await?;
    Ok(HttpResponse::NoContent().finish())
}
