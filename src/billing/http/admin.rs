//! Invoices and accounts as operators see them.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{ListParams, shown};
use crate::app::App;
use crate::auth::Caller;
use crate::billing::model::{AccountView, Invoice, State};
use crate::billing::store::Filter;
use crate::billing::{commands, queries};
use crate::http::{Body, IfMatch, MaybeBody, Params, Reply, paths, tagged};
use crate::kernel::clock::Ts;
use crate::kernel::error::Error;
use crate::kernel::page::{Page, PageRequest};
use crate::tenants::Handle;
use crate::work::Operation;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list)
        .service(list_of_tenant)
        .service(one)
        .service(mark_paid)
        .service(void)
        .service(account)
        .service(hand_over);
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AllParams {
    /// Only this tenant's: an id or a slug.
    tenant: Option<String>,
    /// Only in this state.
    state: Option<State>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists invoices, newest first.
#[utoipa::path(operation_id = "list_invoices", tag = "billing", params(AllParams), responses((status = 200, body = Page<Invoice>)), security(("bearer" = [])))]
#[get("/admin/v1/invoices")]
async fn list(
    app: web::Data<App>,
    caller: Caller,
    params: Params<AllParams>,
) -> Reply<web::Json<Page<Invoice>>> {
    let params = params.0;
    let request = PageRequest::parse(params.limit, params.cursor.as_deref())?;
    let tenant = params.tenant.as_deref().map(Handle::parse);
    let filter = Filter { tenant: None, state: params.state };
    Ok(web::Json(queries::list(&app, &caller, tenant, filter, request).await?))
}

/// Lists a tenant's invoices, newest first.
#[utoipa::path(operation_id = "list_invoices_of_tenant", tag = "tenants", params(("tenant", description = "Id or slug"), ListParams), responses((status = 200, body = Page<Invoice>)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/invoices")]
async fn list_of_tenant(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    params: Params<ListParams>,
) -> Reply<web::Json<Page<Invoice>>> {
    let params = params.0;
    let request = PageRequest::parse(params.limit, params.cursor.as_deref())?;
    let filter = Filter { tenant: None, state: params.state };
    let tenant = Handle::parse(&tenant);
    Ok(web::Json(queries::list_of(&app, &caller, tenant, filter, request).await?))
}

/// Reads an invoice: as JSON, or as a page that prints well with `Accept: text/html` or `.html` behind the id.
#[utoipa::path(operation_id = "get_invoice", tag = "billing", params(("invoice_id", description = "The invoice's id; with `.html` behind it, the page")), responses((status = 200, content((Invoice = "application/json"), (String = "text/html")))), security(("bearer" = [])))]
#[get("/admin/v1/invoices/{invoice_id}")]
async fn one(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<String>,
    request: HttpRequest,
) -> Reply<HttpResponse> {
    let (id, wish) = shown::asked(&path, &request)?;
    let invoice = queries::one(&app, &caller, id).await?;
    shown::answer(&app, &invoice, wish)
}

/// A payment that came in some way we do not see.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
struct PaidMark {
    /// When it was paid; now when absent, never in the future.
    paid_at: Option<Ts>,
    /// What names the payment: a bank's reference, a receipt. Never a card's number.
    #[schema(min_length = 1, max_length = 200)]
    reference: Option<String>,
}

/// Marks an open invoice paid.
#[utoipa::path(operation_id = "mark_invoice_paid", tag = "billing", params(("invoice_id", description = "The invoice's id")), request_body(content = Option<PaidMark>), responses((status = 200, body = Invoice)), security(("bearer" = [])))]
#[post("/admin/v1/invoices/{invoice_id}/mark-paid")]
async fn mark_paid(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<String>,
    if_match: IfMatch,
    body: MaybeBody<PaidMark>,
) -> Reply<HttpResponse> {
    let mark = body.0.unwrap_or_default();
    let id = paths::id(&path, "invoice")?;
    let invoice = commands::mark_paid(&app, &caller, id, mark.paid_at, mark.reference, if_match).await?;
    Ok(tagged(StatusCode::OK, invoice.rev(), &invoice))
}

/// Why an invoice is taken back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Voiding {
    /// Shown on the invoice.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Takes an open invoice back: nobody owes it any more. What a provider collects is to be taken back there.
#[utoipa::path(operation_id = "void_invoice", tag = "billing", params(("invoice_id", description = "The invoice's id")), request_body = Voiding, responses((status = 200, body = Invoice)), security(("bearer" = [])))]
#[post("/admin/v1/invoices/{invoice_id}/void")]
async fn void(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<String>,
    if_match: IfMatch,
    body: Body<Voiding>,
) -> Reply<HttpResponse> {
    let reason = body.value.reason.trim().to_owned();
    if reason.is_empty() {
        return Err(Error::field("/reason", "must not be blank").into());
    }
    let invoice = commands::void(&app, &caller, paths::id(&path, "invoice")?, reason, if_match).await?;
    Ok(tagged(StatusCode::OK, invoice.rev(), &invoice))
}

/// How a tenant's billing stands: who collects, what they know, and what was paid ahead.
#[utoipa::path(operation_id = "get_billing_of_tenant", tag = "tenants", params(("tenant", description = "Id or slug")), responses((status = 200, body = AccountView)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/billing")]
async fn account(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
) -> Reply<web::Json<AccountView>> {
    Ok(web::Json(queries::account(&app, &caller, Handle::parse(&tenant)).await?))
}

/// A hand-over on its way.
#[derive(Serialize, ToSchema)]
struct HandOver {
    operation: Operation,
}

/// Tells the provider again what a tenant has bought; for a tenant from before there was one, or after a mistake there was
/// mended.
#[utoipa::path(operation_id = "hand_tenant_over", tag = "tenants", params(("tenant", description = "Id or slug")), responses((status = 202, body = HandOver)), security(("bearer" = [])))]
#[post("/admin/v1/tenants/{tenant}/billing/hand-over")]
async fn hand_over(app: web::Data<App>, caller: Caller, tenant: web::Path<String>) -> Reply<HttpResponse> {
    let operation = commands::hand_over(&app, &caller, Handle::parse(&tenant)).await?;
    Ok(HttpResponse::Accepted().json(HandOver { operation }))
}
