//! The endpoints of routing and of the data door.

use actix_web::http::header::ETAG;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::connections::ClusterConnections;
use super::door::{Answer, Statement};
use super::router::{self, Resident};
use super::{query, store};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::http::{Body, Reply, etag};
use crate::kernel::engine::Engine;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;
use crate::tenants::Handle;
use crate::tenants::State;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(get_route)
        .service(run_query)
        .service(own_database)
        .service(get_placement)
        .service(list_clusters);
}

/// Runs one statement inside the caller's own tenant: read-only with `data:read`, else with `data:write`.
#[utoipa::path(tag = "tenant", request_body = Statement, responses((status = 200, body = Answer)), security(("bearer" = [])))]
#[post("/v1/query")]
async fn run_query(app: web::Data<App>, caller: Caller, body: Body<Statement>) -> Reply<HttpResponse> {
    Ok(HttpResponse::Ok().json(query::run(&app, &caller, &body.value).await?))
}

/// What a service needs to reach a tenant's data.
#[derive(Serialize, ToSchema)]
struct Route<'a> {
    /// The tenant.
    tenant_id: TenantId,
    /// Its slug.
    slug: &'a str,
    /// Where it stands: serve `active` alone.
    state: State,
    /// The engine its data is on.
    engine: Engine,
    /// How its data is kept apart.
    isolation: Isolation,
    /// The cluster.
    cluster: &'a str,
    /// The database; on SQLite the file's name. Null while it is being made.
    database: Option<&'a str>,
    /// The schema that holds its tables.
    schema: Option<&'a str>,
    /// The role to sign in as; none on SQLite.
    role: Option<&'a str>,
    /// Raised by every move; also the ETag.
    generation: i64,
    /// How to connect, password included: for keys with `routes:credentials`, of active tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

fn route_of<'a>(app: &App, resident: &'a Resident, with_url: bool) -> Result<Route<'a>> {
    let configured = app.clusters.get(&resident.cluster)?;
    let ready = resident.placed();
    let url = match ready {
        Some(placed) if with_url && resident.state == State::Active => {
            let password = placed.password(&app.vault)?;
            Some(configured.cluster.tenant_url(&placed.home(), &password)?.expose_secret().to_owned())
        }
        _ => None,
    };
    Ok(Route {
        tenant_id: resident.id,
        slug: resident.slug(),
        state: resident.state,
        engine: configured.cluster.engine(),
        isolation: resident.isolation,
        cluster: &resident.cluster,
        database: ready.map(|placed| placed.database),
        schema: ready.map(|placed| placed.schema),
        role: ready.and_then(|placed| placed.role),
        generation: resident.generation(),
        url,
    })
}

/// Where a tenant lives, by id or slug. Answers 304 when `If-None-Match` names the present generation
/// and the tenant is still to be served.
#[utoipa::path(tag = "services", params(("tenant", description = "Id or slug")), responses((status = 200, body = Route<'static>), (status = 304, description = "Unchanged")), security(("bearer" = [])))]
#[get("/v1/routes/{tenant}")]
async fn get_route(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    request: HttpRequest,
) -> Reply<HttpResponse> {
    caller.may(Verb::ReadRoutes)?;
    let with_url = caller.may(Verb::ReadRouteCredentials).is_ok();
    let resident = router::find(&app, &Handle::parse(&tenant)).await?;
    let route = route_of(&app, &resident, with_url)?;
    if route.state == State::Active && etag::has(&request, route.generation) {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, etag::etag(route.generation))).finish());
    }
    Ok(HttpResponse::Ok().insert_header((ETAG, etag::etag(route.generation))).json(route))
}

/// Where the caller's own data lives. Never with credentials.
#[utoipa::path(tag = "tenant", responses((status = 200, body = Route<'static>)), security(("bearer" = [])))]
#[get("/v1/tenant/database")]
async fn own_database(app: web::Data<App>, caller: Caller) -> Reply<HttpResponse> {
    let tenant = caller.tenant(Verb::ReadTenant)?;
    let resident = router::find(&app, &Handle::Id(tenant)).await?;
    let route = route_of(&app, &resident, false)?;
    Ok(HttpResponse::Ok().insert_header((ETAG, etag::etag(route.generation))).json(route))
}

/// Where any tenant's data lives. Never with credentials.
#[utoipa::path(tag = "tenants", params(("tenant", description = "Id or slug")), responses((status = 200, body = Route<'static>)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/placement")]
async fn get_placement(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
) -> Reply<HttpResponse> {
    caller.may(Verb::ReadTenants)?;
    let resident = router::find(&app, &Handle::parse(&tenant)).await?;
    Ok(HttpResponse::Ok().json(route_of(&app, &resident, false)?))
}

/// A cluster and how full it is.
#[derive(Serialize, ToSchema)]
struct ClusterView {
    /// Its name in the configuration.
    name: String,
    /// Its engine.
    engine: Engine,
    /// Where it is, in the operator's words.
    region: Option<String>,
    /// Whether new tenants go there.
    accepts_new: bool,
    /// Its share of new tenants among the clusters of its region.
    weight: u32,
    /// The models it can keep.
    models: Vec<Isolation>,
    /// Whether it answers now.
    reachable: bool,
    /// Tenants on it.
    tenants: i64,
    /// Connections to tenants' data.
    connections: Option<ClusterConnections>,
}

/// All clusters.
#[derive(Serialize, ToSchema)]
struct ClusterList {
    data: Vec<ClusterView>,
}

/// Lists the configured clusters with their use and whether they answer.
#[utoipa::path(tag = "operators", responses((status = 200, body = ClusterList)), security(("bearer" = [])))]
#[get("/admin/v1/clusters")]
async fn list_clusters(app: web::Data<App>, caller: Caller) -> Reply<HttpResponse> {
    caller.may(Verb::ReadConfig)?;
    let mut data = Vec::new();
    let stats = app.connections.stats();
    for (name, configured) in app.clusters.iter() {
        let counted = name.clone();
        data.push(ClusterView {
            name: name.clone(),
            engine: configured.cluster.engine(),
            region: configured.settings.region.clone(),
            accepts_new: configured.settings.accepts_new,
            weight: configured.settings.weight,
            models: Isolation::ALL.into_iter().filter(|model| configured.cluster.supports(*model)).collect(),
            reachable: configured.cluster.ping().await.is_ok(),
            tenants: app.db.read(move |conn| store::count_on(conn, &counted)).await?,
            connections: stats.iter().find(|of| of.cluster == *name).cloned(),
        });
    }
    Ok(HttpResponse::Ok().json(ClusterList { data }))
}
