//! The endpoints that tell usage.

use actix_web::{get, web};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{Step, Wish};
use super::queries::{self, Usage};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Params, Reply};
use crate::kernel::clock::Ts;
use crate::log::Place;
use crate::tenants::Handle;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(own).service(of_tenant);
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UsageParams {
    /// Only this meter.
    meter: Option<String>,
    /// From this moment on; from the beginning of this month when absent.
    #[param(value_type = Option<Ts>)]
    from: Option<String>,
    /// Until before this moment; until now when absent.
    #[param(value_type = Option<Ts>)]
    to: Option<String>,
    /// In stretches of this length; in one when absent.
    #[param(value_type = Option<Step>)]
    window: Option<String>,
    /// By the calendar of this time zone, by its name in the tz database; UTC when absent.
    time_zone: Option<String>,
    /// Tell apart by these properties of the meter's `group_by`, with commas between.
    group_by: Option<String>,
    /// Only events with these properties: `property:value` pairs with commas between; several of one property mean any
    /// of them.
    filter: Option<String>,
    /// A `Tenantry-Seq`: only an answer that has what was done up to there. What was sent is counted without it.
    #[param(value_type = Option<String>)]
    min_seq: Option<Place>,
}

impl From<UsageParams> for Wish {
    fn from(params: UsageParams) -> Self {
        let UsageParams { meter, from, to, window, time_zone, group_by, filter, min_seq: _ } = params;
        Self { meter, from, to, window, time_zone, group_by, filter }
    }
}

/// What the caller's tenant used: by meter, window and group. What was just sent is counted.
#[utoipa::path(operation_id = "own_usage", tag = "tenant", params(UsageParams), responses((status = 200, body = Usage)), security(("bearer" = [])))]
#[get("/v1/tenant/usage")]
async fn own(app: web::Data<App>, caller: Caller, params: Params<UsageParams>) -> Reply<web::Json<Usage>> {
    let min_seq = params.0.min_seq;
    Ok(web::Json(queries::own(&app, &caller, params.0.into(), min_seq).await?))
}

/// What a tenant used: by meter, window and group.
#[utoipa::path(operation_id = "usage_of_tenant", tag = "usage", params(("tenant", description = "Id or slug"), UsageParams), responses((status = 200, body = Usage)), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/usage")]
async fn of_tenant(
    app: web::Data<App>,
    caller: Caller,
    tenant: web::Path<String>,
    params: Params<UsageParams>,
) -> Reply<web::Json<Usage>> {
    let (min_seq, handle) = (params.0.min_seq, Handle::parse(&tenant));
    Ok(web::Json(queries::of_any(&app, &caller, handle, params.0.into(), min_seq).await?))
}
