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
use crate::kernel::error::{Error, FieldError, Result};
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
    /// The answer knows at least what a command did that answered with this in its header `Tenantry-Seq`.
    min_seq: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ActivityParams {
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// The answer knows at least what a command did that answered with this in its header `Tenantry-Seq`.
    min_seq: Option<String>,
}

/// Reads how much is asked for and how far it must be, naming each that is wrong.
fn bounds(limit: Option<u32>, min_seq: Option<&str>) -> Result<(u32, Option<Place>)> {
    let mut wrong = Vec::new();
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        wrong.push(FieldError { pointer: "?limit".into(), detail: format!("must be 1 to {MAX_LIMIT}") });
    }
    let place = match min_seq.map(str::parse::<Place>) {
        None => None,
        Some(Ok(place)) => Some(place),
        Some(Err(error)) => {
            wrong.push(FieldError { pointer: "?min_seq".into(), detail: error.to_string() });
            None
        }
    };
    if wrong.is_empty() { Ok((limit, place)) } else { Err(Error::Invalid(wrong)) }
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
    let (limit, min_seq) = bounds(params.limit, params.min_seq.as_deref())?;
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
        min_seq,
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
    let (limit, min_seq) = bounds(params.limit, params.min_seq.as_deref())?;
    Ok(web::Json(queries::activity(&app, &caller, Of::Own, params.cursor, limit, min_seq).await?))
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
    let (limit, min_seq) = bounds(params.limit, params.min_seq.as_deref())?;
    let of = Of::Tenant(Handle::parse(&tenant));
    Ok(web::Json(queries::activity(&app, &caller, of, params.cursor, limit, min_seq).await?))
}
