//! The invitations' endpoints.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, post, web};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::accept::{self, Joined};
use super::model::Invitation;
use super::{commands, queries};
use crate::app::App;
use crate::auth::Caller;
use crate::auth::caller::TenantRole;
use crate::http::{Body, IfMatch, Params, Reply, idempotency, paths, tagged};
use crate::identity::members::http::PageParams;
use crate::kernel::page::Page;
use crate::tenants::Handle;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(take)
        .service(invite)
        .service(list)
        .service(one)
        .service(revoke)
        .service(resend)
        .service(invite_to)
        .service(of_any);
}

/// Whom to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InvitationRequest {
    /// Their address.
    #[schema(max_length = 254, example = "grace@example.com")]
    email: String,
    /// What they will be; at most what the caller is.
    role: TenantRole,
}

/// Invites an address to the caller's tenant. The token goes to that address alone.
#[utoipa::path(tag = "members", request_body = InvitationRequest, responses((status = 201, body = Invitation)), security(("bearer" = [])))]
#[post("/v1/tenant/invitations")]
async fn invite(
    app: web::Data<App>,
    caller: Caller,
    key: idempotency::Key,
    body: Body<InvitationRequest>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    let InvitationRequest { email, role } = body.value;
    Ok(commands::invite(&app, &caller, &email, role, attempt).await?.respond())
}

/// Lists the invitations of the caller's tenant, newest first.
#[utoipa::path(tag = "members", params(PageParams), responses((status = 200, body = Page<Invitation>)), security(("bearer" = [])))]
#[get("/v1/tenant/invitations")]
async fn list(
    app: web::Data<App>,
    caller: Caller,
    params: Params<PageParams>,
) -> Reply<web::Json<Page<Invitation>>> {
    Ok(web::Json(queries::list(&app, &caller, params.0.request()?).await?))
}

/// Reads one invitation of the caller's tenant.
#[utoipa::path(tag = "members", params(("invitation_id", description = "The invitation's id")), responses((status = 200, body = Invitation)), security(("bearer" = [])))]
#[get("/v1/tenant/invitations/{invitation_id}")]
async fn one(app: web::Data<App>, caller: Caller, invitation_id: web::Path<String>) -> Reply<HttpResponse> {
    let found = queries::one(&app, &caller, paths::id(&invitation_id, "invitation")?).await?;
    Ok(tagged(StatusCode::OK, found.rev, &found))
}

/// Takes an invitation back: its token is void and its seat free.
#[utoipa::path(tag = "members", params(("invitation_id", description = "The invitation's id")), responses((status = 200, body = Invitation)), security(("bearer" = [])))]
#[delete("/v1/tenant/invitations/{invitation_id}")]
async fn revoke(
    app: web::Data<App>,
    caller: Caller,
    invitation_id: web::Path<String>,
    if_match: IfMatch,
) -> Reply<HttpResponse> {
    let id = paths::id(&invitation_id, "invitation")?;
    let revoked = commands::revoke(&app, &caller, id, if_match).await?;
    Ok(tagged(StatusCode::OK, revoked.rev, &revoked))
}

/// Sends an invitation again, with a new token and its whole time.
#[utoipa::path(tag = "members", params(("invitation_id", description = "The invitation's id")), responses((status = 200, body = Invitation)), security(("bearer" = [])))]
#[post("/v1/tenant/invitations/{invitation_id}/resend")]
async fn resend(
    app: web::Data<App>,
    caller: Caller,
    invitation_id: web::Path<String>,
) -> Reply<HttpResponse> {
    let sent = commands::resend(&app, &caller, paths::id(&invitation_id, "invitation")?).await?;
    Ok(tagged(StatusCode::OK, sent.rev, &sent))
}

/// An invitation to take.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Acceptance {
    /// The token from the mail.
    #[schema(max_length = 200)]
    token: String,
    /// A new password, or that of the account which the address has; not needed by who is signed in.
    #[schema(value_type = Option<String>, max_length = 1024, format = Password)]
    password: Option<SecretString>,
}

/// Takes an invitation with its token: somebody new sets a password, somebody known gives theirs or is signed in.
#[utoipa::path(tag = "members", request_body = Acceptance, responses((status = 201, body = Joined)))]
#[post("/v1/invitations/accept")]
async fn take(
    app: web::Data<App>,
    caller: Caller,
    key: idempotency::Key,
    body: Body<Acceptance>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    let Acceptance { token, password } = body.value;
    Ok(accept::accept(&app, &caller, &token, password, attempt).await?.respond())
}

/// Invites an address to any tenant, in place of an open invitation for it.
#[utoipa::path(tag = "tenants", params(("tenant", description = "Id or slug")), request_body = InvitationRequest, responses((status = 201, body = Invitation)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/invitations")]
async fn invite_to(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    key: idempotency::Key,
    body: Body<InvitationRequest>,
) -> Reply<HttpResponse> {
    let attempt = app.attempt(&caller, key, &body.raw)?;
    let InvitationRequest { email, role } = body.value;
    let handle = Handle::parse(&tenant);
    Ok(commands::invite_to(&app, &caller, handle, &email, role, attempt).await?.respond())
}

/// Lists the invitations of any tenant, newest first.
#[utoipa::path(tag = "tenants", params(("tenant", description = "Id or slug"), PageParams), responses((status = 200, body = Page<Invitation>)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/invitations")]
async fn of_any(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    params: Params<PageParams>,
) -> Reply<web::Json<Page<Invitation>>> {
    let handle = Handle::parse(&tenant);
    Ok(web::Json(queries::of_any(&app, &caller, handle, params.0.request()?).await?))
}
