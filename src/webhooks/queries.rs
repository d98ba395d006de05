//! Reading endpoints and deliveries.

use super::fan;
use super::model::{DeliveryDetail, DeliveryFilter, DeliveryView, EndpointView};
use super::store::deliveries::{self, Delivery};
use super::store::{self, Endpoint};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::db::Conn;
use crate::kernel::error::Result;
use crate::kernel::id::{TenantId, WebhookDeliveryId, WebhookEndpointId};
use crate::kernel::page::{Page, PageRequest};
use crate::log::{self, Place};

async fn endpoints(app: &App, tenant: Option<TenantId>, request: PageRequest) -> Result<Page<EndpointView>> {
    let (now, vault) = (app.clock.now(), app.vault.clone());
    let page = app.db.read(move |conn| store::page(conn, tenant, request)).await?;
    let view = |(one, queue): &(Endpoint, store::queue::Queue)| one.view(queue, &vault, now);
    let data = page.data.iter().map(view).collect::<Result<Vec<_>>>()?;
    Ok(Page { data, next_cursor: page.next_cursor })
}

/// A page of the caller's tenant's endpoints, newest first.
///
/// # Errors
/// As [`Caller::tenant`].
pub async fn list(app: &App, caller: &Caller, request: PageRequest) -> Result<Page<EndpointView>> {
    let tenant = caller.tenant(Verb::ManageWebhooks)?;
    endpoints(app, Some(tenant), request).await
}

/// One of the caller's tenant's endpoints.
///
/// # Errors
/// As [`Caller::tenant`]; not found.
pub async fn one(app: &App, caller: &Caller, id: WebhookEndpointId) -> Result<EndpointView> {
    let tenant = caller.tenant(Verb::ManageWebhooks)?;
    let (endpoint, queue) = app.db.read(move |conn| store::get(conn, Some(tenant), id)).await?;
    endpoint.view(&queue, &app.vault, app.clock.now())
}

async fn page(app: &App, filter: DeliveryFilter, request: PageRequest) -> Result<Page<DeliveryView>> {
    let page = app.db.read(move |conn| deliveries::page(conn, &filter, request)).await?;
    Ok(page.map(Delivery::view))
}

/// A page of the deliveries to one of the caller's tenant's endpoints, newest first, when those of events up to
/// `min_seq` are among them.
///
/// # Errors
/// As [`Caller::tenant`]; not found; as [`log::caught_up`].
pub async fn deliveries_of(
    app: &App,
    caller: &Caller,
    id: WebhookEndpointId,
    filter: DeliveryFilter,
    request: PageRequest,
    min_seq: Option<Place>,
) -> Result<Page<DeliveryView>> {
    let tenant = caller.tenant(Verb::ManageWebhooks)?;
    app.db.read(move |conn| store::get(conn, Some(tenant), id).map(drop)).await?;
    log::caught_up(&app.db, fan::NAME, min_seq).await?;
    page(app, DeliveryFilter { tenant: Some(tenant), endpoint: Some(id), ..filter }, request).await
}

fn detail_in(conn: &mut Conn, one: Delivery) -> Result<DeliveryDetail> {
    let (body, history) = deliveries::story(conn, &one)?;
    let payload = body.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default();
    Ok(DeliveryDetail { delivery: one.view(), payload, history })
}

/// One delivery to one of the caller's tenant's endpoints.
///
/// # Errors
/// As [`Caller::tenant`]; not found.
pub async fn delivery(
    app: &App,
    caller: &Caller,
    endpoint: WebhookEndpointId,
    id: WebhookDeliveryId,
) -> Result<DeliveryDetail> {
    let tenant = caller.tenant(Verb::ManageWebhooks)?;
    app.db
        .read(move |conn| {
            let one = deliveries::get(conn, Some(tenant), Some(endpoint), id)?;
            detail_in(conn, one)
        })
        .await
}

/// A page of all tenants' endpoints, newest first.
///
/// # Errors
/// As [`Caller::may`].
pub async fn list_all(
    app: &App,
    caller: &Caller,
    tenant: Option<TenantId>,
    request: PageRequest,
) -> Result<Page<EndpointView>> {
    caller.may(Verb::ReadWebhooks)?;
    endpoints(app, tenant, request).await
}

/// A page of all tenants' deliveries, newest first, when those of events up to `min_seq` are among them.
///
/// # Errors
/// As [`Caller::may`]; as [`log::caught_up`].
pub async fn all_deliveries(
    app: &App,
    caller: &Caller,
    filter: DeliveryFilter,
    request: PageRequest,
    min_seq: Option<Place>,
) -> Result<Page<DeliveryView>> {
    caller.may(Verb::ReadWebhooks)?;
    log::caught_up(&app.db, fan::NAME, min_seq).await?;
    page(app, filter, request).await
}

/// Any delivery.
///
/// # Errors
/// As [`Caller::may`]; not found.
pub async fn any_delivery(app: &App, caller: &Caller, id: WebhookDeliveryId) -> Result<DeliveryDetail> {
    caller.may(Verb::ReadWebhooks)?;
    app.db
        .read(move |conn| {
            let one = deliveries::get(conn, None, None, id)?;
            detail_in(conn, one)
        })
        .await
}
