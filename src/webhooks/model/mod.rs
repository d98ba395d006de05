//! Endpoints and deliveries, as their readers see them, and the rules: [`guard`] (which addresses), [`target`]
//! (what may be asked for), [`sign`] (signatures), [`retry`] (what follows from an attempt). No I/O.

pub mod guard;
pub mod retry;
pub mod sign;
pub mod target;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{EventId, TenantId, WebhookDeliveryId, WebhookEndpointId};
use crate::words;
use sign::Secret;

words! {
    /// How an endpoint stands.
    EndpointState as "WebhookEndpointState", "state of a webhook endpoint" {
        /// Events go there.
        Active = "active",
        /// The last attempts failed: it is tried again by itself, less and less often.
        Failing = "failing",
        /// Nothing goes there until it is enabled.
        Disabled = "disabled",
    }
}

words! {
    /// Why an endpoint is disabled.
    DisabledReason as "WebhookDisabledReason", "reason to disable an endpoint" {
        /// Somebody disabled it.
        ByHand = "by_hand",
        /// It failed for too long.
        Failing = "failing",
        /// It answered 410 Gone.
        Gone = "gone",
    }
}

words! {
    /// How a delivery stands.
    DeliveryState as "WebhookDeliveryState", "state of a webhook delivery" {
        /// It waits for its next attempt.
        Pending = "pending",
        /// It is being sent.
        Sending = "sending",
        /// It arrived.
        Succeeded = "succeeded",
        /// It was given up.
        Failed = "failed",
    }
}

/// What an endpoint keeps sealed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sealed {
    /// Its secrets, the newest first.
    pub secrets: Vec<Secret>,
    /// Its own headers, whose values may be secrets of its owner.
    pub headers: BTreeMap<String, String>,
}

/// When a secret was made and until when it signs.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookSecretLife)]
pub struct SecretLife {
    /// When it was made.
    pub created_at: Ts,
    /// Until when it signs; null for the newest.
    pub expires_at: Option<Ts>,
}

/// An endpoint of a tenant's that events are sent to.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookEndpoint)]
pub struct EndpointView {
    /// Its id.
    pub id: WebhookEndpointId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Where events are sent to.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// Which types of events: `tenant.suspended`, or `tenant.*` for all of a kind. Empty: all.
    pub types: Vec<String>,
    /// Whether events go out one at a time in their order, each waiting for the one before it.
    pub ordered: bool,
    /// Most deliveries a second.
    pub rate_limit: Option<u32>,
    /// Names of the headers of its own; their values are not shown.
    pub headers: Vec<String>,
    /// Whether events are sent there.
    pub enabled: bool,
    /// How it stands.
    pub state: EndpointState,
    /// When it was disabled.
    pub disabled_at: Option<Ts>,
    /// Why.
    pub disabled_reason: Option<DisabledReason>,
    /// Since when nothing has arrived there.
    pub failing_since: Option<Ts>,
    /// Until when it is left alone because attempts failed, or because it asked for that.
    pub retry_at: Option<Ts>,
    /// Its secrets that still sign, the newest first; they themselves are shown once.
    pub secrets: Vec<SecretLife>,
    /// When it was made.
    pub created_at: Ts,
    /// When it was last changed.
    pub updated_at: Ts,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) rev: i64,
}

/// An endpoint that was just made, with its secret.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookEndpointCreated)]
pub struct EndpointCreated {
    /// The secret that verifies what we send. It is in this answer only.
    pub secret: String,
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: EndpointView,
}

/// A delivery.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct DeliveryView {
    /// Its id.
    pub id: WebhookDeliveryId,
    /// Where it goes.
    pub endpoint_id: WebhookEndpointId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The event, and the `webhook-id` that it is sent with: the same in every attempt.
    pub event_id: EventId,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// How it stands.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: i32,
    /// When it is tried next, at the earliest.
    pub next_attempt_at: Option<Ts>,
    /// What the last attempt was answered with.
    pub last_status: Option<i32>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Ts,
    /// When it arrived or was given up.
    pub finished_at: Option<Ts>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) rev: i64,
}

/// An attempt at a delivery.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookAttempt)]
pub struct AttemptView {
    /// 1 for the first.
    pub number: i32,
    /// When it began.
    pub at: Ts,
    /// How long it took.
    pub duration_ms: i64,
    /// What was answered.
    pub status: Option<i32>,
    /// Why there was no good answer.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub response: Option<String>,
}

/// A delivery with what is sent and every attempt at it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookDeliveryDetail)]
pub struct DeliveryDetail {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: DeliveryView,
    /// What is sent: the event as CloudEvents 1.0 has it.
    #[schema(value_type = Object)]
    pub payload: serde_json::Value,
    /// Every attempt, the first first.
    pub history: Vec<AttemptView>,
}

/// What a replay came to.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookReplayed)]
pub struct Replayed {
    /// Deliveries that are due now.
    pub queued: u32,
    /// Whether there are more than one call takes: call again with the same `since`.
    pub more: bool,
}

/// What is asked for a new endpoint.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// Where to.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// Which types.
    pub types: Vec<String>,
    /// Whether in order.
    pub ordered: bool,
    /// Whether events are sent there at once.
    pub enabled: bool,
    /// Most deliveries a second.
    pub rate_limit: Option<u32>,
    /// Headers of its own.
    pub headers: BTreeMap<String, String>,
}

/// What to change of an endpoint; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct EndpointChange {
    /// Where to.
    pub url: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Which types.
    pub types: Option<Vec<String>>,
    /// Whether in order.
    pub ordered: Option<bool>,
    /// Whether events are sent there.
    pub enabled: Option<bool>,
    /// Most deliveries a second.
    pub rate_limit: Option<Option<u32>>,
    /// Headers of its own, in the place of all before.
    pub headers: Option<BTreeMap<String, String>>,
}

/// Which of an endpoint's events to send again.
#[derive(Debug, Clone, Copy)]
pub enum Again {
    /// All since then that have not arrived and are not on their way.
    Since(Ts),
    /// This one, whatever became of it.
    One(EventId),
}

/// What is asked to be sent again.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// All since then.
    pub since: Option<Ts>,
    /// This event.
    pub event: Option<EventId>,
}

impl Wish {
    /// What is meant: one of the two.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn read(self) -> Result<Again> {
        match (self.since, self.event) {
            (Some(since), None) => Ok(Again::Since(since)),
            (None, Some(event)) => Ok(Again::One(event)),
            _ => Err(Error::field("/since", "give since or event_id, and not both")),
        }
    }
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// To this endpoint.
    pub endpoint: Option<WebhookEndpointId>,
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Of this type.
    pub kind: Option<String>,
    /// Of this event.
    pub event: Option<EventId>,
}
