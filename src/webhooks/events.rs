//! What happens to webhook endpoints and what is sent to them.

use super::model::DisabledReason;
use crate::facts;
use crate::kernel::clock::Ts;
use crate::kernel::id::{WebhookDeliveryId, WebhookEndpointId};

facts! {
    /// A tenant made an endpoint for its events.
    WebhookEndpointCreated = "webhook_endpoint.created", Tenant {
        /// The endpoint.
        pub endpoint_id: WebhookEndpointId,
        /// The host of its URL; the rest of that may be secret.
        #[schema(example = "hooks.example.com")]
        pub host: String,
        /// Which types it takes; all when there are none.
        #[schema(example = json!(["tenant.*"]))]
        pub types: Vec<String>,
    }

    /// An endpoint has other settings.
    WebhookEndpointUpdated = "webhook_endpoint.updated", Tenant {
        /// The endpoint.
        pub endpoint_id: WebhookEndpointId,
        /// Which settings.
        #[schema(example = json!(["url"]))]
        pub fields: Vec<String>,
    }

    /// An endpoint was removed.
    WebhookEndpointDeleted = "webhook_endpoint.deleted", Tenant {
        /// The endpoint.
        pub endpoint_id: WebhookEndpointId,
    }

    /// An endpoint was switched on again.
    WebhookEndpointEnabled = "webhook_endpoint.enabled", Tenant {
        /// The endpoint.
        pub endpoint_id: WebhookEndpointId,
    }

    /// An endpoint was switched off: by hand, or by itself because nothing arrives there.
    WebhookEndpointDisabled = "webhook_endpoint.disabled", Tenant {
        /// The endpoint.
        pub endpoint_id: WebhookEndpointId,
        /// Why.
        pub reason: DisabledReason,
        /// When it was switched off by itself: since when nothing arrived.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub failing_since: Option<Ts>,
    }

    /// An endpoint signs with a new secret.
    WebhookEndpointSecretRotated = "webhook_endpoint.secret_rotated", Tenant {
        /// The endpoint.
        pub endpoint_id: WebhookEndpointId,
        /// Until when the older secrets sign as well.
        pub overlap_ends_at: Ts,
    }

    /// Events are sent to an endpoint again.
    WebhookEndpointReplayed = "webhook_endpoint.replayed", Tenant {
        /// The endpoint.
        pub endpoint_id: WebhookEndpointId,
        /// How many deliveries were queued.
        pub queued: u32,
    }

    /// One delivery is sent again.
    WebhookDeliveryRetried = "webhook_delivery.retried", Tenant {
        /// The endpoint.
        pub endpoint_id: WebhookEndpointId,
        /// The delivery.
        pub delivery_id: WebhookDeliveryId,
    }

    /// A test of an endpoint. It is sent there alone and is not in the log.
    WebhookPing = "webhook.ping", Tenant {
        /// The endpoint.
        pub endpoint_id: WebhookEndpointId,
    }
}
