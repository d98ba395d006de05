//! Health, metrics and the effective configuration.

use actix_web::{HttpResponse, get, web};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::config::Entry;
use crate::http::Reply;
use crate::kernel::engine::Engine;

/// Registers the endpoints.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(live).service(ready).service(prometheus).service(effective);
}

/// That the process answers.
#[derive(Serialize, ToSchema)]
struct Alive {
    /// `ok`.
    status: &'static str,
    /// The program's version.
    version: &'static str,
}

/// Liveness: the process answers.
#[utoipa::path(tag = "system", responses((status = 200, body = Alive)))]
#[get("/healthz")]
async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Whether traffic should come here.
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// Whether all of the below is well.
    ready: bool,
    /// The control store's engine.
    engine: Engine,
    /// The control store answers.
    store: bool,
    /// Its migrations are all applied.
    migrations: bool,
    /// The process is not stopping.
    accepting: bool,
}

/// Readiness: the store answers, its migrations are applied, and the process is not stopping.
#[utoipa::path(tag = "system", responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
#[get("/readyz")]
async fn ready(app: web::Data<App>) -> HttpResponse {
    let status = app.db.migration_status().await;
    let state = Readiness {
        engine: app.db.engine(),
        store: status.is_ok(),
        migrations: status.is_ok_and(|all| all.iter().all(|one| one.applied)),
        accepting: !app.stopping.is_cancelled(),
        ready: true,
    };
    let state = Readiness { ready: state.store && state.migrations && state.accepting, ..state };
    if state.ready { HttpResponse::Ok().json(state) } else { HttpResponse::ServiceUnavailable().json(state) }
}

/// Metrics as Prometheus text.
#[utoipa::path(tag = "system", responses((status = 200, content_type = "text/plain", body = String)))]
#[get("/metrics")]
async fn prometheus(handle: web::Data<PrometheusHandle>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(handle.render())
}

/// The effective configuration.
#[derive(Serialize, ToSchema)]
struct Effective {
    /// Every key with its value, secrets redacted, and where the value came from.
    data: Vec<Entry>,
}

/// The effective configuration with the source of each value; secrets are redacted.
#[utoipa::path(tag = "operators", responses((status = 200, body = Effective)), security(("bearer" = [])))]
#[get("/admin/v1/config")]
async fn effective(app: web::Data<App>, caller: Caller) -> Reply<HttpResponse> {
    caller.may(Verb::ReadConfig)?;
    Ok(HttpResponse::Ok().json(Effective { data: app.provenance.clone() }))
}
