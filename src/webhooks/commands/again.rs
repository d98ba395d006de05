//! Sending: a test, a delivery again, events again.

use std::sync::Arc;

use super::told;
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::http::{Answer, Attempt, Outcome};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{TenantId, WebhookDeliveryId, WebhookEndpointId};
use crate::webhooks::events::{WebhookDeliveryRetried, WebhookEndpointReplayed};
use crate::webhooks::fan;
use crate::webhooks::model::{Again, AskedAgain, DeliveryView, Replayed};
use crate::webhooks::store;
use crate::webhooks::store::deliveries::{self, Delivery};
use crate::webhooks::store::queue::{self, Queue};

/// Deliveries that one replay queues.
const MOST: usize = 5_000;

fn enabled(queue: &Queue) -> Result<()> {
    if queue.enabled {
        Ok(())
    } else {
        Err(Error::conflict("webhook_endpoint_disabled", "the endpoint is disabled: enable it first"))
    }
}

/// Sends a test event to an endpoint of the caller's tenant.
///
/// # Errors
/// As [`Caller::tenant`]; not found; a conflict while the endpoint is disabled.
pub async fn test(
    app: &App,
    caller: &Caller,
    id: WebhookEndpointId,
    attempt: Arc<Attempt>,
) -> Result<Answer<DeliveryView>> {
    let tenant = caller.tenant(Verb::ManageWebhooks)?;
    let (now, by) = (app.clock.now(), (caller.kind(), caller.actor()));
    let message = fan::ping(app.tokens.issuer(), tenant, by, id, now)?;
    let answer = app
        .db
        .write_held(move |conn| {
            attempt.once(conn, now, Outcome::Accepted, |conn| {
                let (_, queue) = store::hold(conn, Some(tenant), id)?;
                enabled(&queue)?;
                let one = Delivery::new(id, &message, now, now);
                deliveries::add_messages(conn, vec![message.clone()])?;
                deliveries::add(conn, vec![one.clone()])?;
                queue::wake(conn, &queue, now)?;
                Ok(one.view())
            })
        })
        .await?;
    app.webhooks.wake();
    Ok(answer)
}

/// Sends a delivery of the caller's tenant's again, from the beginning of its schedule.
///
/// # Errors
/// As [`Caller::tenant`]; not found; a conflict while it is being sent, or the endpoint is disabled.
pub async fn retry(
    app: &App,
    caller: &Caller,
    endpoint: WebhookEndpointId,
    id: WebhookDeliveryId,
    attempt: Arc<Attempt>,
) -> Result<Answer<DeliveryView>> {
    let tenant = caller.tenant(Verb::ManageWebhooks)?;
    let (now, caller) = (app.clock.now(), caller.clone());
    let answer = app
        .db
        .write_held(move |conn| {
            attempt.once(conn, now, Outcome::Accepted, |conn| {
                let (_, queue) = store::hold(conn, Some(tenant), endpoint)?;
                deliveries::get(conn, Some(tenant), Some(endpoint), id)?;
                enabled(&queue)?;
                deliveries::again(conn, id, now)?;
                queue::wake(conn, &queue, now)?;
                let retried = WebhookDeliveryRetried { endpoint_id: endpoint, delivery_id: id };
                told(conn, &caller, now, tenant, retried)?;
                Ok(deliveries::get(conn, Some(tenant), Some(endpoint), id)?.view())
            })
        })
        .await?;
    app.webhooks.wake();
    Ok(answer)
}

/// Sends events to an endpoint of the caller's tenant again.
///
/// # Errors
/// As [`Caller::tenant`]; not found; a conflict while the endpoint is disabled; a field error when it is not
/// clear what.
pub async fn replay(
    app: &App,
    caller: &Caller,
    id: WebhookEndpointId,
    what: AskedAgain,
    attempt: Arc<Attempt>,
) -> Result<Answer<Replayed>> {
    let tenant = caller.tenant(Verb::ManageWebhooks)?;
    again(app, caller, Some(tenant), id, what, attempt).await
}

/// Sends events to any tenant's endpoint again.
///
/// # Errors
/// As [`Caller::may`]; not found; a conflict while the endpoint is disabled; a field error when it is not
/// clear what.
pub async fn replay_any(
    app: &App,
    caller: &Caller,
    id: WebhookEndpointId,
    what: AskedAgain,
    attempt: Arc<Attempt>,
) -> Result<Answer<Replayed>> {
    caller.may(Verb::ReplayWebhooks)?;
    again(app, caller, None, id, what, attempt).await
}

async fn again(
    app: &App,
    caller: &Caller,
    tenant: Option<TenantId>,
    id: WebhookEndpointId,
    what: AskedAgain,
    attempt: Arc<Attempt>,
) -> Result<Answer<Replayed>> {
    let (now, caller) = (app.clock.now(), caller.clone());
    let answer = app
        .db
        .write_held(move |conn| {
            attempt.once(conn, now, Outcome::Accepted, |conn| {
                let (row, queue) = store::hold(conn, tenant, id)?;
                let what = what.which()?;
                enabled(&queue)?;
                let (queued, more) = match what {
                    Again::Since(since) => deliveries::replay(conn, &row, since.max(Ts::EPOCH), MOST, now)?,
                    Again::One(event) => {
                        let message = deliveries::message(conn, row.tenant_id, event)?;
                        match deliveries::of_message(conn, id, event)? {
                            Some(known) => deliveries::again(conn, known, now)?,
                            None => deliveries::add(conn, vec![Delivery::new(id, &message, now, now)])?,
                        }
                        (1, false)
                    }
                };
                queue::wake(conn, &queue, now)?;
                let queued = u32::try_from(queued).unwrap_or(u32::MAX);
                let replayed = WebhookEndpointReplayed { endpoint_id: id, queued };
                told(conn, &caller, now, row.tenant_id, replayed)?;
                Ok(Replayed { queued, more })
            })
        })
        .await?;
    app.webhooks.wake();
    Ok(answer)
}
