//! The endpoints of billing: a tenant's own invoices here, those of operators and of the provider in the files beside.

mod admin;
mod by_hand;
mod shown;
mod webhook;

use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{Invoice, State};
use super::queries;
use super::store::Filter;
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Params, Reply};
use crate::kernel::page::{Page, PageRequest};

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list)
        .service(one)
        .configure(admin::routes)
        .configure(by_hand::routes)
        .configure(webhook::routes);
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only in this state.
    state: Option<State>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the invoices of one's own tenant, newest first.
#[utoipa::path(operation_id = "list_own_invoices", tag = "tenant", params(ListParams), responses((status = 200, body = Page<Invoice>)), security(("bearer" = [])))]
#[get("/v1/tenant/invoices")]
async fn list(
    app: web::Data<App>,
    caller: Caller,
    params: Params<ListParams>,
) -> Reply<web::Json<Page<Invoice>>> {
    let params = params.0;
    let request = PageRequest::parse(params.limit, params.cursor.as_deref())?;
    let filter = Filter { tenant: None, state: params.state };
    Ok(web::Json(queries::list_own(&app, &caller, filter, request).await?))
}

/// Reads an invoice of one's own tenant: as JSON, or as a page that prints well with `Accept: text/html` or `.html` behind
/// the id.
#[utoipa::path(operation_id = "get_own_invoice", tag = "tenant", params(("invoice_id", description = "The invoice's id; with `.html` behind it, the page")), responses((status = 200, content((Invoice = "application/json"), (String = "text/html")))), security(("bearer" = [])))]
#[get("/v1/tenant/invoices/{invoice_id}")]
async fn one(
    app: web::Data<App>,
    caller: Caller,
    path: web::Path<String>,
    request: HttpRequest,
) -> Reply<HttpResponse> {
    let (id, wish) = shown::asked(&path, &request)?;
    let invoice = queries::own(&app, &caller, id).await?;
    shown::answer(&app, &invoice, wish)
}
