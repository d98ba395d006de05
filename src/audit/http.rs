//! The endpoints of the audit trail.

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpResponse, get, post, web};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use super::export::{Export, Format};
use super::model::shown::Shown;
use super::queries::{self, Of};
use super::verify::{self, Asked, Checkpoint, Verified};
use crate::app::App;
use crate::auth::Caller;
use crate::http::caller::Credential;
use crate::http::{MaybeBody, Params, Reply};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, FieldError, Result};
use crate::kernel::page::{DEFAULT_LIMIT, MAX_LIMIT, Page};
use crate::log::{Kinds, Narrow, Outcome, Place};
use crate::tenants::Handle;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(own_export)
        .service(own)
        .service(whole)
        .service(proof)
        .service(taken)
        .service(all)
        .service(export_of_tenant)
        .service(of_tenant);
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only these types, with commas between: whole (`tenant.suspended`) or by noun (`tenant.*`).
    types: Option<String>,
    /// Only what came out so.
    outcome: Option<Outcome>,
    /// Only what this actor did, by id.
    actor: Option<String>,
    /// Only what came from this address, as far as the reader may see it.
    address: Option<String>,
    /// Not before this moment.
    since: Option<Ts>,
    /// Before this moment.
    until: Option<Ts>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportParams {
    /// `jsonl`, JSON Lines, when absent; or `csv`.
    format: Option<Format>,
    /// Only these types, with commas between: whole (`tenant.suspended`) or by noun (`tenant.*`).
    types: Option<String>,
    /// Only what came out so.
    outcome: Option<Outcome>,
    /// Only what this actor did, by id.
    actor: Option<String>,
    /// Only what came from this address, as far as the reader may see it.
    address: Option<String>,
    /// Not before this moment.
    since: Option<Ts>,
    /// Before this moment.
    until: Option<Ts>,
}

fn kinds(types: Option<&str>, wrong: &mut Vec<FieldError>) -> Kinds {
    types.map_or(Ok(Kinds::all()), str::parse).unwrap_or_else(|error| {
        wrong.push(FieldError { pointer: "?types".into(), detail: error.to_string() });
        Kinds::all()
    })
}

/// Not every engine keeps what was long before us.
fn bounded(at: Option<Ts>) -> Option<Ts> {
    at.map(|at| at.max(Ts::EPOCH))
}

impl ListParams {
    fn read(self) -> Result<(Narrow, (Option<Place>, u32))> {
        let mut wrong = Vec::new();
        let kinds = kinds(self.types.as_deref(), &mut wrong);
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            wrong.push(FieldError { pointer: "?limit".into(), detail: format!("must be 1 to {MAX_LIMIT}") });
        }
        let after = self.cursor.as_deref().map(str::parse::<Place>).transpose().unwrap_or_else(|_| {
            let detail = "not a cursor of this list: pass next_cursor of the page before, unchanged".into();
            wrong.push(FieldError { pointer: "?cursor".into(), detail });
            None
        });
        let narrow = Narrow {
            tenant: None,
            kinds,
            outcome: self.outcome,
            actor: self.actor,
            address: self.address,
            since: bounded(self.since),
            until: bounded(self.until),
        };
        if wrong.is_empty() { Ok((narrow, (after, limit))) } else { Err(Error::Invalid(wrong)) }
    }
}

impl ExportParams {
    fn read(self) -> Result<(Narrow, Format)> {
        let mut wrong = Vec::new();
        let kinds = kinds(self.types.as_deref(), &mut wrong);
        let narrow = Narrow {
            tenant: None,
            kinds,
            outcome: self.outcome,
            actor: self.actor,
            address: self.address,
            since: bounded(self.since),
            until: bounded(self.until),
        };
        if wrong.is_empty() {
            Ok((narrow, self.format.unwrap_or(Format::Jsonl)))
        } else {
            Err(Error::Invalid(wrong))
        }
    }
}

async fn list(app: &App, caller: &Caller, of: Of, params: ListParams) -> Reply<web::Json<Page<Shown>>> {
    let (narrow, at) = params.read()?;
    Ok(web::Json(queries::page(app, caller, of, narrow, at).await?))
}

async fn file(app: &App, reader: (Caller, Credential), of: Of, params: ExportParams) -> Reply<HttpResponse> {
    let (narrow, format) = params.read()?;
    let export = Export::begin(app, reader, of, narrow, format).await?;
    let body = futures_util::stream::unfold(export, |mut export| async move {
        let part = export.next().await?;
        Some((part, export))
    });
    Ok(HttpResponse::Ok()
        .content_type(format.media_type())
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"audit.{format}\"")))
        .streaming(body))
}

/// The audit trail of the caller's own tenant, newest first: what was done and what was refused, by whom, when and
/// from where. A page may hold fewer entries than asked for, also none, and still have a next one.
#[utoipa::path(operation_id = "list_own_audit", tag = "tenant", params(ListParams), responses((status = 200, body = Page<Shown>)), security(("bearer" = [])))]
#[get("/v1/tenant/audit")]
async fn own(
    app: web::Data<App>,
    caller: Caller,
    params: Params<ListParams>,
) -> Reply<web::Json<Page<Shown>>> {
    list(&app, &caller, Of::Own, params.0).await
}

/// The audit trail of the caller's own tenant as a file, oldest first. An export that is cut off ends the connection
/// before the body is whole.
#[utoipa::path(operation_id = "export_own_audit", tag = "tenant", params(ExportParams), responses((status = 200, content((String = "application/jsonl"), (String = "text/csv")))), security(("bearer" = [])))]
#[get("/v1/tenant/audit/export")]
async fn own_export(
    app: web::Data<App>,
    caller: Caller,
    credential: Credential,
    params: Params<ExportParams>,
) -> Reply<HttpResponse> {
    file(&app, (caller, credential), Of::Own, params.0).await
}

/// The audit trail of all tenants and of the installation, newest first, as for a tenant.
#[utoipa::path(operation_id = "list_audit", tag = "operations", params(ListParams), responses((status = 200, body = Page<Shown>)), security(("bearer" = [])))]
#[get("/admin/v1/audit")]
async fn all(
    app: web::Data<App>,
    caller: Caller,
    params: Params<ListParams>,
) -> Reply<web::Json<Page<Shown>>> {
    list(&app, &caller, Of::All, params.0).await
}

/// The audit trail of all tenants and of the installation as a file, oldest first.
#[utoipa::path(operation_id = "export_audit", tag = "operations", params(ExportParams), responses((status = 200, content((String = "application/jsonl"), (String = "text/csv")))), security(("bearer" = [])))]
#[get("/admin/v1/audit/export")]
async fn whole(
    app: web::Data<App>,
    caller: Caller,
    credential: Credential,
    params: Params<ExportParams>,
) -> Reply<HttpResponse> {
    file(&app, (caller, credential), Of::All, params.0).await
}

/// The audit trail of one tenant, newest first; of a deleted one by its id.
#[utoipa::path(operation_id = "list_tenant_audit", tag = "tenants", params(("tenant", description = "Id or slug"), ListParams), responses((status = 200, body = Page<Shown>)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/audit")]
async fn of_tenant(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    params: Params<ListParams>,
) -> Reply<web::Json<Page<Shown>>> {
    list(&app, &caller, Of::Tenant(Handle::parse(&tenant)), params.0).await
}

/// The audit trail of one tenant as a file, oldest first.
#[utoipa::path(operation_id = "export_tenant_audit", tag = "tenants", params(("tenant", description = "Id or slug"), ExportParams), responses((status = 200, content((String = "application/jsonl"), (String = "text/csv")))), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/audit/export")]
async fn export_of_tenant(
    app: web::Data<App>,
    caller: Caller,
    credential: Credential,
    tenant: web::Path<String>,
    params: Params<ExportParams>,
) -> Reply<HttpResponse> {
    let of = Of::Tenant(Handle::parse(&tenant));
    file(&app, (caller, credential), of, params.0).await
}

/// Proves that the trail is as it was sealed, from the first event on, and names the first that is not. It goes on for
/// about two seconds; ask again with `after` while there is a `next`.
#[utoipa::path(operation_id = "verify_audit", tag = "operations", request_body(content = Option<Asked>), responses((status = 200, body = Verified)), security(("bearer" = [])))]
#[post("/admin/v1/audit/verify")]
async fn proof(app: web::Data<App>, caller: Caller, body: MaybeBody<Asked>) -> Reply<web::Json<Verified>> {
    Ok(web::Json(verify::verify(&app, &caller, body.0.unwrap_or_default()).await?))
}

/// The newest seal, to be kept elsewhere: `verify` with it proves that nothing sealed by now was cut or written anew.
#[utoipa::path(operation_id = "get_audit_checkpoint", tag = "operations", responses((status = 200, body = Checkpoint)), security(("bearer" = [])))]
#[get("/admin/v1/audit/checkpoint")]
async fn taken(app: web::Data<App>, caller: Caller) -> Reply<web::Json<Checkpoint>> {
    Ok(web::Json(verify::checkpoint(&app, &caller).await?))
}
