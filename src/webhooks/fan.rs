//! The follower of the log that turns events into messages and deliveries, in the transaction that moves its
//! place: each event is queued once for each endpoint that takes it, whenever a process dies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::events::WebhookPing;
use super::model::target;
use super::store::deliveries::{self, Delivery, Message};
use super::store::queue;
use super::{Outbox, store};
use crate::app::App;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{EventId, TenantId, WebhookEndpointId};
use crate::log::catalogue::Fact as _;
use crate::log::catalogue::{Audience, audience};
use crate::log::cloud;
use crate::log::follower::{Begin, Follows};
use crate::log::{Entry, Place};

/// Its name among followers.
pub const NAME: &str = "webhooks";

/// The follower.
pub struct Fan {
    app: App,
    first: Duration,
}

impl Fan {
    /// Queues what the log of this installation says.
    #[must_use]
    pub fn new(app: App) -> Self {
        let first = app.settings.webhooks.schedule.first().copied().unwrap_or_default();
        Self { app, first }
    }
}

/// An event as it is sent.
///
/// # Errors
/// [`Error::Internal`] when it cannot be written as JSON.
pub fn message(source: &str, tenant: TenantId, entry: &Entry, now: Ts) -> Result<Message> {
    let body = serde_json::to_string(&cloud::event(source, entry)).map_err(Error::internal)?;
    Ok(Message {
        id: entry.id,
        tenant_id: tenant,
        kind: entry.kind.clone(),
        body,
        txid: entry.place.txid,
        seq: entry.place.seq,
        at: entry.at,
        created_at: now,
    })
}

/// The event of a test: none of the log, and before all of it.
///
/// # Errors
/// As [`message`].
pub fn ping(
    source: &str,
    tenant: TenantId,
    by: (&str, String),
    endpoint: WebhookEndpointId,
    now: Ts,
) -> Result<Message> {
    let fact = WebhookPing::fact();
    let entry = Entry {
        place: Place::default(),
        id: EventId::mint(),
        kind: fact.kind().to_owned(),
        version: fact.version(),
        tenant: Some(tenant),
        actor_kind: by.0.to_owned(),
        actor_id: by.1,
        address: None,
        request_id: None,
        at: now,
        data: serde_json::to_value(WebhookPing { endpoint_id: endpoint }).map_err(Error::internal)?,
    };
    message(source, tenant, &entry, now)
}

impl Follows for Fan {
    fn name(&self) -> &'static str {
        NAME
    }

    fn begin(&self) -> Begin {
        // What happened before an endpoint was made is not for it.
        Begin::First
    }

    fn take_in(&self, conn: &mut Conn, entries: &[Entry], now: Ts) -> Result<()> {
        let theirs: Vec<(TenantId, &Entry)> = entries
            .iter()
            .filter(|entry| audience(&entry.kind) == Audience::Tenant)
            .filter_map(|entry| Some((entry.tenant?, entry)))
            .collect();
        let tenants: BTreeSet<TenantId> = theirs.iter().map(|(tenant, _)| *tenant).collect();
        if tenants.is_empty() {
            return Ok(());
        }
        let all = store::of_tenants(conn, &tenants)?;
        if all.is_empty() {
            return Ok(());
        }
        let mut of: BTreeMap<TenantId, Vec<_>> = BTreeMap::new();
        for (endpoint, queue) in all {
            of.entry(endpoint.tenant_id).or_default().push((endpoint.filters(), endpoint, queue));
        }
        let (mut messages, mut rows, mut woken) = (Vec::new(), Vec::new(), BTreeMap::new());
        let due = now.plus(self.first);
        for (tenant, entry) in theirs {
            let takers = of.get(&tenant).into_iter().flatten();
            let takers: Vec<_> = takers
                .filter(|(filters, endpoint, _)| {
                    entry.at >= endpoint.created_at && target::takes(filters, &entry.kind)
                })
                .collect();
            if takers.is_empty() {
                continue;
            }
            let message = message(self.app.tokens.issuer(), tenant, entry, now)?;
            // For one that is disabled the message alone is kept: a replay sends it.
            for (_, endpoint, queue) in takers.into_iter().filter(|(_, _, queue)| queue.enabled) {
                rows.push(Delivery::new(endpoint.id, &message, now, due));
                woken.insert(endpoint.id, queue);
            }
            messages.push(message);
        }
        deliveries::add_messages(conn, messages)?;
        deliveries::add(conn, rows)?;
        woken.into_values().try_for_each(|queue| queue::wake(conn, queue, due))
    }

    fn moved(&self) {
        self.app.webhooks.wake();
    }
}

impl Outbox {
    /// Something may be due.
    pub fn wake(&self) {
        self.due.notify_one();
    }
}
