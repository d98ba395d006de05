//! Operations, for those who wait for one and for operators.

use std::time::Duration;

use actix_web::web::Bytes;
use actix_web::{HttpResponse, get, post, web};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::{Caller, Verb, Who};
use crate::http::{Params, Reply, paths};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperationId, TenantId};
use crate::kernel::page::{Page, PageRequest};
use crate::log::{self, NewEvent};
use crate::work::events::OperationRetried;
use crate::work::store::{self, Filter};
use crate::work::{Operation, State};

/// How long a stream of events stays open; a client that waits longer opens another.
const LONGEST_STREAM: Duration = Duration::from_secs(600);
/// How often a stream looks by itself, for moves made on another replica.
const LOOK: Duration = Duration::from_secs(1);

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(events).service(get_one).service(list).service(get_any).service(retry);
}

/// Reads an operation for `caller`: operators any, a tenant its own. Who has no credential yet, having just
/// signed up, may follow a tenant's onboarding by its unguessable id, without the operator's reasons.
///
/// # Errors
/// [`Error::NotFound`] for any other.
async fn visible(app: &App, caller: &Caller, id: OperationId) -> Result<Operation> {
    let found = app.db.read(move |conn| store::get(conn, id)).await?;
    let none = || Error::NotFound("operation");
    match &caller.who {
        Who::Anonymous if found.kind == "tenant.onboard" => Ok(found.without_reasons()),
        Who::Operator { .. } | Who::OperatorUser { .. } | Who::System(_) => {
            caller.may(Verb::ReadOperations).map(|()| found)
        }
        Who::TenantKey { .. } | Who::User { .. } | Who::Impersonator { .. } => {
            let own = caller.tenant(Verb::ReadTenant)?;
            if found.tenant_id == Some(own) { Ok(found.without_reasons()) } else { Err(none()) }
        }
        Who::Anonymous | Who::Service { .. } => Err(none()),
    }
}

/// Reads an operation: where it stands, step by step.
#[utoipa::path(tag = "operations", params(("operation_id", description = "The operation's id")), responses((status = 200, body = Operation)))]
#[get("/v1/operations/{operation_id}")]
async fn get_one(
    app: web::Data<App>,
    caller: Caller,
    operation_id: web::Path<String>,
) -> Reply<web::Json<Operation>> {
    Ok(web::Json(visible(&app, &caller, paths::id(&operation_id, "operation")?).await?))
}

/// Follows an operation as server-sent events: its present state at once, then every move until it ends.
#[utoipa::path(tag = "operations", params(("operation_id", description = "The operation's id")), responses((status = 200, content_type = "text/event-stream", body = String)))]
#[get("/v1/operations/{operation_id}/events")]
async fn events(app: web::Data<App>, caller: Caller, operation_id: web::Path<String>) -> Reply<HttpResponse> {
    let id = paths::id(&operation_id, "operation")?;
    let first = visible(&app, &caller, id).await?;
    let app = app.into_inner();
    let moves = app.wake.moves();
    let ends = tokio::time::Instant::now() + LONGEST_STREAM;
    let start = Follow { app, caller, id, moves, ends, next: Some(first), last: None };
    let stream = futures_util::stream::unfold(start, |mut at| async move {
        let operation = at.advance().await?;
        let mut frame = format!("event: operation\nid: {}\ndata: ", operation.updated_at.micros());
        frame.push_str(&serde_json::to_string(&operation).unwrap_or_default());
        frame.push_str("\n\n");
        at.last = Some(operation);
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(frame)), at))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(stream))
}

struct Follow {
    app: std::sync::Arc<App>,
    caller: Caller,
    id: OperationId,
    moves: tokio::sync::watch::Receiver<u64>,
    ends: tokio::time::Instant,
    next: Option<Operation>,
    last: Option<Operation>,
}

impl Follow {
    /// The operation's next state that differs from the last one sent; `None` when there will be no other.
    async fn advance(&mut self) -> Option<Operation> {
        if let Some(first) = self.next.take() {
            return Some(first);
        }
        if self.last.as_ref().is_some_and(|last| last.state.is_final()) {
            return None;
        }
        loop {
            tokio::select! {
                moved = self.moves.changed() => { moved.ok()?; }
                () = tokio::time::sleep(LOOK) => {}
                () = tokio::time::sleep_until(self.ends) => return None,
                () = self.app.stopping.cancelled() => return None,
            }
            let now = visible(&self.app, &self.caller, self.id).await.ok()?;
            if self.last.as_ref() != Some(&now) {
                return Some(now);
            }
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only this state.
    state: Option<State>,
    /// Only this kind, for instance `tenant.onboard`.
    kind: Option<String>,
    /// Only this tenant's, by id.
    tenant: Option<TenantId>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists operations, newest first.
#[utoipa::path(tag = "operations", params(ListParams), responses((status = 200, body = Page<Operation>)), security(("bearer" = [])))]
#[get("/admin/v1/operations")]
async fn list(
    app: web::Data<App>,
    caller: Caller,
    params: Params<ListParams>,
) -> Reply<web::Json<Page<Operation>>> {
    caller.may(Verb::ReadOperations)?;
    let params = params.0;
    let request = PageRequest::parse(params.limit, params.cursor.as_deref())?;
    let filter = Filter { state: params.state, kind: params.kind, tenant: params.tenant };
    Ok(web::Json(app.db.read(move |conn| store::page(conn, &filter, request)).await?))
}

/// Reads any operation, with the reasons of its failures.
#[utoipa::path(tag = "operations", params(("operation_id", description = "The operation's id")), responses((status = 200, body = Operation)), security(("bearer" = [])))]
#[get("/admin/v1/operations/{operation_id}")]
async fn get_any(
    app: web::Data<App>,
    caller: Caller,
    operation_id: web::Path<String>,
) -> Reply<web::Json<Operation>> {
    caller.may(Verb::ReadOperations)?;
    let id = paths::id(&operation_id, "operation")?;
    Ok(web::Json(app.db.read(move |conn| store::get(conn, id)).await?))
}

/// Makes a waiting or failed operation go on now, from the step that failed, with a fresh budget of tries.
#[utoipa::path(tag = "operations", params(("operation_id", description = "The operation's id")), responses((status = 202, body = Operation)), security(("bearer" = [])))]
#[post("/admin/v1/operations/{operation_id}/retry")]
async fn retry(app: web::Data<App>, caller: Caller, operation_id: web::Path<String>) -> Reply<HttpResponse> {
    caller.may(Verb::RetryOperations)?;
    let (id, now) = (paths::id(&operation_id, "operation")?, app.clock.now());
    let operation = app
        .db
        .write(move |conn| {
            let operation = store::retry_in(conn, id, now)?;
            let retried = OperationRetried { operation_id: id, kind: operation.kind.clone() };
            log::append_in(conn, &caller, now, NewEvent::about(operation.tenant_id, retried))?;
            Ok(operation)
        })
        .await?;
    app.wake.work();
    Ok(HttpResponse::Accepted().json(operation))
}
