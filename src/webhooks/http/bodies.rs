//! What is sent to the endpoints of webhooks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{EventId, TenantId, WebhookEndpointId};
use crate::kernel::page::PageRequest;
use crate::webhooks::model::{DeliveryFilter, DeliveryState, EndpointChange, NewEndpoint, Wish};

/// A new endpoint.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookEndpointRequest)]
pub(super) struct EndpointRequest {
    /// Where events are sent to: https, to a public address.
    #[schema(min_length = 1, max_length = 2048)]
    url: String,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 500)]
    description: String,
    /// Which types of events: `tenant.suspended`, or `tenant.*` for all of a kind. Empty or absent: all.
    #[serde(default)]
    #[schema(max_items = 100)]
    types: Vec<String>,
    /// Whether events go out one at a time in their order, each waiting for the one before it.
    #[serde(default)]
    ordered: bool,
    /// Whether events are sent there at once; `true` when absent.
    #[serde(default = "yes")]
    enabled: bool,
    /// Most deliveries a second; without it, as many as there is room for.
    #[schema(minimum = 1, maximum = 10_000)]
    rate_limit: Option<u32>,
    /// Headers of its own, at most 20. Their values are kept sealed and not shown again.
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

impl From<EndpointRequest> for NewEndpoint {
    fn from(request: EndpointRequest) -> Self {
        let EndpointRequest { url, description, types, ordered, enabled, rate_limit, headers } = request;
        Self { url, description, types, ordered, enabled, rate_limit, headers }
    }
}

/// What to change of an endpoint; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookEndpointPatch)]
pub(super) struct EndpointPatch {
    /// Where events are sent to.
    #[schema(min_length = 1, max_length = 2048)]
    url: Option<String>,
    /// What it is for.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Which types of events, in the place of all before.
    #[schema(max_items = 100)]
    types: Option<Vec<String>>,
    /// Whether events go out one at a time in their order.
    ordered: Option<bool>,
    /// Whether events are sent there.
    enabled: Option<bool>,
    /// Most deliveries a second; `null` for no such bound.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    rate_limit: Option<Option<u32>>,
    /// Headers of its own, in the place of all before.
    headers: Option<BTreeMap<String, String>>,
}

/// A field that is there: `null` is a value, too.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl From<EndpointPatch> for EndpointChange {
    fn from(patch: EndpointPatch) -> Self {
        let EndpointPatch { url, description, types, ordered, enabled, rate_limit, headers } = patch;
        Self { url, description, types, ordered, enabled, rate_limit, headers }
    }
}

/// How a secret is rotated.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookSecretRotation)]
pub(super) struct SecretRotation {
    /// Seconds that the old secret goes on signing, at most 30 days; 0 ends it at once. The operator's default when
    /// absent.
    #[schema(minimum = 0, maximum = 2_592_000)]
    overlap_s: Option<u32>,
}

impl SecretRotation {
    pub(super) fn overlap(&self) -> Option<Duration> {
        self.overlap_s.map(|seconds| Duration::from_secs(u64::from(seconds)))
    }
}

/// What to send again: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookReplayRequest)]
pub(super) struct ReplayRequest {
    /// All events since then that have not arrived and are not on their way.
    since: Option<Ts>,
    /// This event, whatever became of it.
    event_id: Option<EventId>,
}

impl From<ReplayRequest> for Wish {
    fn from(ReplayRequest { since, event_id }: ReplayRequest) -> Self {
        Self { since, event: event_id }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// 1 to 200; 50 when absent.
    pub(super) limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveryParams {
    /// Only this state.
    state: Option<DeliveryState>,
    /// Only events of this type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Only this event's.
    event: Option<EventId>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl DeliveryParams {
    pub(super) fn read(self) -> Result<(DeliveryFilter, PageRequest)> {
        let request = PageRequest::parse(self.limit, self.cursor.as_deref())?;
        let filter = DeliveryFilter {
            state: self.state,
            kind: self.kind,
            event: self.event,
            ..DeliveryFilter::default()
        };
        Ok((filter, request))
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AllEndpointParams {
    /// Only this tenant's, by id.
    pub(super) tenant: Option<TenantId>,
    /// 1 to 200; 50 when absent.
    pub(super) limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AllDeliveryParams {
    /// Only this tenant's, by id.
    tenant: Option<TenantId>,
    /// Only to this endpoint.
    endpoint: Option<WebhookEndpointId>,
    /// Only this state.
    state: Option<DeliveryState>,
    /// Only events of this type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Only this event's.
    event: Option<EventId>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl AllDeliveryParams {
    pub(super) fn read(self) -> Result<(DeliveryFilter, PageRequest)> {
        let request = PageRequest::parse(self.limit, self.cursor.as_deref())?;
        let Self { tenant, endpoint, state, kind, event, .. } = self;
        Ok((DeliveryFilter { tenant, endpoint, state, kind, event }, request))
    }
}
