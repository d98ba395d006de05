//! The members' endpoints.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, patch, post, web};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::Member;
use super::{commands, queries};
use crate::app::App;
use crate::auth::Caller;
use crate::auth::caller::TenantRole;
use crate::http::{Body, IfMatch, Params, Reply, paths, tagged};
use crate::kernel::error::Error;
use crate::kernel::id::UserId;
use crate::kernel::page::{Page, PageRequest};
use crate::tenants::Handle;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(one).service(change).service(remove).service(transfer).service(of_any);
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::identity) struct PageParams {
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl PageParams {
    pub(in crate::identity) fn request(&self) -> Result<PageRequest, Error> {
        PageRequest::parse(self.limit, self.cursor.as_deref())
    }
}

/// Lists the members of the caller's tenant, newest first.
#[utoipa::path(tag = "members", params(PageParams), responses((status = 200, body = Page<Member>)), security(("bearer" = [])))]
#[get("/v1/tenant/members")]
async fn list(
    app: web::Data<App>,
    caller: Caller,
    params: Params<PageParams>,
) -> Reply<web::Json<Page<Member>>> {
    Ok(web::Json(queries::list(&app, &caller, params.0.request()?).await?))
}

/// Reads one member of the caller's tenant.
#[utoipa::path(tag = "members", params(("user_id", description = "The person's id")), responses((status = 200, body = Member)), security(("bearer" = [])))]
#[get("/v1/tenant/members/{user_id}")]
async fn one(app: web::Data<App>, caller: Caller, user_id: web::Path<String>) -> Reply<HttpResponse> {
    let member = queries::one(&app, &caller, paths::id(&user_id, "member")?).await?;
    Ok(tagged(StatusCode::OK, member.rev, &member))
}

/// A change of a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MemberPatch {
    /// What they may do from now on.
    role: TenantRole,
}

/// Gives a member another role; it holds from their next sign-in, for their sessions in this tenant end. Only owners
/// make or unmake owners, and the last one stays.
#[utoipa::path(tag = "members", params(("user_id", description = "The person's id")), request_body = MemberPatch, responses((status = 200, body = Member)), security(("bearer" = [])))]
#[patch("/v1/tenant/members/{user_id}")]
async fn change(
    app: web::Data<App>,
    caller: Caller,
    user_id: web::Path<String>,
    if_match: IfMatch,
    body: Body<MemberPatch>,
) -> Reply<HttpResponse> {
    let user = paths::id(&user_id, "member")?;
    let member = commands::change_role(&app, &caller, user, body.value.role, if_match).await?;
    Ok(tagged(StatusCode::OK, member.rev, &member))
}

/// Removes a member; one's own id leaves the tenant. Their sessions in it end.
#[utoipa::path(tag = "members", params(("user_id", description = "The person's id")), responses((status = 204, description = "They are no member any more")), security(("bearer" = [])))]
#[delete("/v1/tenant/members/{user_id}")]
async fn remove(
    app: web::Data<App>,
    caller: Caller,
    user_id: web::Path<String>,
    if_match: IfMatch,
) -> Reply<HttpResponse> {
    commands::remove(&app, &caller, paths::id(&user_id, "member")?, if_match).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Who shall own the tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Transfer {
    /// A member.
    user_id: UserId,
    /// The caller's own password.
    #[schema(value_type = String, max_length = 1024, format = Password)]
    password: SecretString,
}

/// Makes another member the owner, and the caller an administrator. Both sign in again.
#[utoipa::path(tag = "members", request_body = Transfer, responses((status = 200, body = Member)), security(("bearer" = [])))]
#[post("/v1/tenant/ownership")]
async fn transfer(app: web::Data<App>, caller: Caller, body: Body<Transfer>) -> Reply<HttpResponse> {
    let Transfer { user_id, password } = body.value;
    let member = commands::transfer(&app, &caller, user_id, password).await?;
    Ok(tagged(StatusCode::OK, member.rev, &member))
}

/// Lists the members of any tenant, newest first.
#[utoipa::path(tag = "tenants", params(("tenant", description = "Id or slug"), PageParams), responses((status = 200, body = Page<Member>)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/members")]
async fn of_any(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    params: Params<PageParams>,
) -> Reply<web::Json<Page<Member>>> {
    let handle = Handle::parse(&tenant);
    Ok(web::Json(queries::of_any(&app, &caller, handle, params.0.request()?).await?))
}
