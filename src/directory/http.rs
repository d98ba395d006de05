//! The endpoints of the directory and of activity.

use actix_web::{get, web};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::line::Line;
use super::model::listing::{Listing, Sort};
use super::queries::{self, Asked, Filter, Of};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Params, Reply};
use crate::kernel::error::{Error, Result};
use crate::kernel::isolation::Isolation;
use crate::kernel::page::{DEFAULT_LIMIT, MAX_LIMIT, Page};
use crate::log::{Order, Place};
use crate::tenants::{Handle, State};

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(directory).service(own_activity).service(activity_of);
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DirectoryParams {
    /// Part of a slug or name, or a whole id.
    search: Option<String>,
    /// Only this state; deleted tenants are listed only when asked for.
    state: Option<State>,
    /// Only this plan.
    plan: Option<String>,
    /// Only this isolation model.
    isolation: Option<Isolation>,
    /// Only this cluster.
    cluster: Option<String>,
    /// Only this region.
    region: Option<String>,
    /// What it is sorted by; `created_at` when absent.
    sort: Option<Sort>,
    /// `desc`, the newest or most first, when absent; for `name` it is `asc`.
    order: Option<Order>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before, with the same `sort` and `order`.
    cursor: Option<String>,
    /// A `Tenantry-Seq`: only an answer that has what was done up to there; waited for, 2 s at most.
    #[param(value_type = Option<String>)]
    min_seq: Option<Place>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ActivityParams {
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// A `Tenantry-Seq`: only an answer that has what was done up to there; waited for, 2 s at most.
    #[param(value_type = Option<String>)]
    min_seq: Option<Place>,
}

/// Reads how much is asked for.
fn bounded(limit: Option<u32>) -> Result<u32> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        Ok(limit)
    } else {
        Err(Error::field("?limit", format!("must be 1 to {MAX_LIMIT}")))
    }
}

/// Looks tenants up, with their members, keys and last activity.
///
/// It follows what happens, mostly within some milliseconds: pass `min_seq` to see one's own change for sure.
#[utoipa::path(operation_id = "list_directory", tag = "tenants", params(DirectoryParams), responses((status = 200, body = Page<Listing>)), security(("bearer" = [])))]
#[get("/admin/v1/directory")]
async fn directory(
    app: web::Data<App>,
    caller: Caller,
    params: Params<DirectoryParams>,
) -> Reply<web::Json<Page<Listing>>> {
    let params = params.0;
    let limit = bounded(params.limit)?;
    let sort = params.sort.unwrap_or(Sort::CreatedAt);
    let usual = if sort == Sort::Name { Order::Asc } else { Order::Desc };
    let asked = Asked {
        filter: Filter {
            search: params.search.filter(|text| !text.trim().is_empty()),
            state: params.state,
            plan: params.plan,
            isolation: params.isolation,
            cluster: params.cluster,
            region: params.region,
        },
        sort,
        order: params.order.unwrap_or(usual),
        cursor: params.cursor,
        limit,
        min_seq: params.min_seq,
    };
    Ok(web::Json(queries::directory(&app, &caller, asked).await?))
}

/// Tells what happened in the caller's tenant, in sentences, newest first.
#[utoipa::path(operation_id = "list_activity", tag = "tenant", params(ActivityParams), responses((status = 200, body = Page<Line>)), security(("bearer" = [])))]
#[get("/v1/tenant/activity")]
async fn own_activity(
    app: web::Data<App>,
    caller: Caller,
    params: Params<ActivityParams>,
) -> Reply<web::Json<Page<Line>>> {
    let params = params.0;
    let limit = bounded(params.limit)?;
    Ok(web::Json(queries::activity(&app, &caller, Of::Own, params.cursor, limit, params.min_seq).await?))
}

/// Tells what happened in a tenant, in sentences, newest first; also what concerns the operator alone.
#[utoipa::path(operation_id = "list_tenant_activity", tag = "tenants", params(("tenant", description = "Id or slug"), ActivityParams), responses((status = 200, body = Page<Line>)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/activity")]
async fn activity_of(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    params: Params<ActivityParams>,
) -> Reply<web::Json<Page<Line>>> {
    let params = params.0;
    let limit = bounded(params.limit)?;
    let of = Of::Tenant(Handle::parse(&tenant));
    Ok(web::Json(queries::activity(&app, &caller, of, params.cursor, limit, params.min_seq).await?))
}
