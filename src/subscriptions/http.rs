//! The subscriptions' endpoints.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post, web};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::commands::{self, When, Whose};
use super::view::SubscriptionView;
use super::{plans, queries};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Body, IfMatch, MaybeBody, Reply, tagged};
use crate::kernel::clock::Ts;
use crate::tenants::Handle;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(own)
        .service(change_own)
        .service(cancel_own)
        .service(resume_own)
        .service(get_one)
        .service(patch_one)
        .service(change)
        .service(cancel)
        .service(resume)
        .service(pause)
        .service(extend_trial)
        .configure(plans::http::routes);
}

fn shown(view: &SubscriptionView) -> HttpResponse {
    tagged(StatusCode::OK, view.rev(), view)
}

/// Another plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanChange {
    /// The plan's key.
    #[schema(min_length = 1, max_length = 64)]
    plan: String,
    /// When it comes; absent, at once for a plan that costs as much or more, else with the end of the period.
    when: Option<When>,
}

/// The end of a subscription.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
struct Cancellation {
    /// When it ends; absent, with the period.
    when: Option<When>,
}

/// Another end of a trial.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TrialEnd {
    /// When it ends, in the future.
    until: Ts,
}

/// The caller's own tenant's subscription.
#[utoipa::path(tag = "tenant", responses((status = 200, body = SubscriptionView)), security(("bearer" = [])))]
#[get("/v1/tenant/subscription")]
async fn own(app: web::Data<App>, caller: Caller) -> Reply<HttpResponse> {
    Ok(shown(&queries::own(&app, &caller).await?))
}

/// Puts the caller's own tenant on another plan. What is due for it is on an invoice at once.
#[utoipa::path(tag = "tenant", request_body = PlanChange, responses((status = 200, body = SubscriptionView)), security(("bearer" = [])))]
#[post("/v1/tenant/subscription/change")]
async fn change_own(
    app: web::Data<App>,
    caller: Caller,
    if_match: IfMatch,
    body: Body<PlanChange>,
) -> Reply<HttpResponse> {
    let PlanChange { plan, when } = body.value;
    Ok(shown(&commands::change(&app, &caller, Whose::Own, plan, when, if_match).await?))
}

/// Ends the caller's own tenant's subscription, with its period unless the body says now.
#[utoipa::path(tag = "tenant", request_body(content = Option<Cancellation>), responses((status = 200, body = SubscriptionView)), security(("bearer" = [])))]
#[post("/v1/tenant/subscription/cancel")]
async fn cancel_own(
    app: web::Data<App>,
    caller: Caller,
    if_match: IfMatch,
    body: MaybeBody<Cancellation>,
) -> Reply<HttpResponse> {
    let when = body.0.unwrap_or_default().when;
    Ok(shown(&commands::cancel(&app, &caller, Whose::Own, when, if_match).await?))
}

/// Takes a scheduled cancellation of the caller's own tenant's subscription back, or begins an ended one anew.
#[utoipa::path(tag = "tenant", responses((status = 200, body = SubscriptionView)), security(("bearer" = [])))]
#[post("/v1/tenant/subscription/resume")]
async fn resume_own(app: web::Data<App>, caller: Caller, if_match: IfMatch) -> Reply<HttpResponse> {
    Ok(shown(&commands::resume(&app, &caller, Whose::Own, if_match).await?))
}

/// Any tenant's subscription.
#[utoipa::path(tag = "subscriptions", params(("tenant", description = "Id or slug")), responses((status = 200, body = SubscriptionView)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/subscription")]
async fn get_one(app: web::Data<App>, caller: Caller, tenant: web::Path<String>) -> Reply<HttpResponse> {
    Ok(shown(&queries::of(&app, &caller, Handle::parse(&tenant)).await?))
}

/// What to change of a subscription itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SubscriptionPatch {
    /// By whose calendar its periods count, as a name of the tz database.
    #[schema(min_length = 1, max_length = 64)]
    time_zone: String,
}

/// Lets the periods of a tenant's subscription follow another time zone's calendar, from the end of the present
/// one on.
#[utoipa::path(tag = "subscriptions", params(("tenant", description = "Id or slug")), request_body = SubscriptionPatch, responses((status = 200, body = SubscriptionView)), security(("bearer" = [])))]
#[patch("/admin/v1/tenants/{tenant}/subscription")]
async fn patch_one(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    if_match: IfMatch,
    body: Body<SubscriptionPatch>,
) -> Reply<HttpResponse> {
    let handle = Handle::parse(&tenant);
    Ok(shown(&commands::set_time_zone(&app, &caller, handle, body.value.time_zone, if_match).await?))
}

/// Puts a tenant on another plan, also one that is not public.
#[utoipa::path(tag = "subscriptions", params(("tenant", description = "Id or slug")), request_body = PlanChange, responses((status = 200, body = SubscriptionView)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/subscription/change")]
async fn change(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    if_match: IfMatch,
    body: Body<PlanChange>,
) -> Reply<HttpResponse> {
    let PlanChange { plan, when } = body.value;
    let whose = Whose::Of(Handle::parse(&tenant));
    Ok(shown(&commands::change(&app, &caller, whose, plan, when, if_match).await?))
}

/// Ends a tenant's subscription, with its period unless the body says now.
#[utoipa::path(tag = "subscriptions", params(("tenant", description = "Id or slug")), request_body(content = Option<Cancellation>), responses((status = 200, body = SubscriptionView)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/subscription/cancel")]
async fn cancel(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    if_match: IfMatch,
    body: MaybeBody<Cancellation>,
) -> Reply<HttpResponse> {
    let (whose, when) = (Whose::Of(Handle::parse(&tenant)), body.0.unwrap_or_default().when);
    Ok(shown(&commands::cancel(&app, &caller, whose, when, if_match).await?))
}

/// Takes a scheduled cancellation back, begins an ended subscription anew, or lets a paused one go on.
#[utoipa::path(tag = "subscriptions", params(("tenant", description = "Id or slug")), responses((status = 200, body = SubscriptionView)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/subscription/resume")]
async fn resume(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    if_match: IfMatch,
) -> Reply<HttpResponse> {
    let whose = Whose::Of(Handle::parse(&tenant));
    Ok(shown(&commands::resume(&app, &caller, whose, if_match).await?))
}

/// Puts a tenant's subscription to rest: nothing is due, and its period is longer by the time it rested.
#[utoipa::path(tag = "subscriptions", params(("tenant", description = "Id or slug")), responses((status = 200, body = SubscriptionView)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/subscription/pause")]
async fn pause(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    if_match: IfMatch,
) -> Reply<HttpResponse> {
    Ok(shown(&commands::pause(&app, &caller, Handle::parse(&tenant), if_match).await?))
}

/// Moves the end of a tenant's trial.
#[utoipa::path(tag = "subscriptions", params(("tenant", description = "Id or slug")), request_body = TrialEnd, responses((status = 200, body = SubscriptionView)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/subscription/extend-trial")]
async fn extend_trial(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    if_match: IfMatch,
    body: Body<TrialEnd>,
) -> Reply<HttpResponse> {
    let handle = Handle::parse(&tenant);
    Ok(shown(&commands::extend_trial(&app, &caller, handle, body.value.until, if_match).await?))
}
