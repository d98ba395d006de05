//! What happens to subscriptions, to what one tenant may do beside its plan, and to the tenants of a plan.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::{Standing, Subscription};
use crate::catalog::{Feature, PlanVersion};
use crate::facts;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperationId, OverrideId, SubscriptionId};
use crate::kernel::isolation::Isolation;
use crate::log::NewEvent;

/// How a subscription stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SubscriptionFacts)]
pub struct Facts {
    /// The plan, by key.
    #[schema(example = "pro")]
    pub plan: String,
    /// The number of its edition.
    pub plan_version: u32,
    /// Where it stands.
    pub state: Standing,
    /// When the present period began.
    pub current_period_start: Ts,
    /// When it ends.
    pub current_period_end: Ts,
    /// When its trial ends, or ended.
    pub trial_ends_at: Option<Ts>,
    /// When it will be canceled.
    pub cancel_at: Option<Ts>,
    /// The plan from the next period on.
    #[schema(example = "team")]
    pub pending_plan: Option<String>,
    /// Since when something is unpaid.
    pub unpaid_since: Option<Ts>,
    /// The isolation model that its plan asks for and its tenant has not.
    pub wanted_isolation: Option<Isolation>,
}

impl Facts {
    /// Those of `one`, which is on the edition `version`.
    #[must_use]
    pub fn of(one: &Subscription, version: &PlanVersion) -> Self {
        Self {
            plan: version.plan.key.clone(),
            plan_version: version.number,
            state: one.state,
            current_period_start: one.period_start,
            current_period_end: one.period_end,
            trial_ends_at: one.trial_ends_at,
            cancel_at: one.cancel_at,
            pending_plan: one.pending_plan.clone(),
            unpaid_since: one.unpaid_since,
            wanted_isolation: one.wanted_isolation,
        }
    }
}

/// A subscription before and after.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SubscriptionMoveFacts)]
pub struct Turn {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// How it stood; null when it is new.
    pub before: Option<Facts>,
    /// How it stands.
    pub after: Facts,
}

facts! {
    /// A tenant has a subscription.
    SubscriptionCreated = "subscription.created", Tenant (Turn)
    /// A subscription is on another plan, or on another edition of its plan.
    SubscriptionChanged = "subscription.changed", Tenant (Turn)
    /// A subscription will be on another plan from its next period on.
    SubscriptionChangeScheduled = "subscription.change_scheduled", Tenant (Turn)
    /// A subscription ended.
    SubscriptionCanceled = "subscription.canceled", Tenant (Turn)
    /// A subscription will end with its period.
    SubscriptionCancelScheduled = "subscription.cancel_scheduled", Tenant (Turn)
    /// A subscription goes on that was paused, canceled or about to change.
    SubscriptionResumed = "subscription.resumed", Tenant (Turn)
    /// A subscription was paused: nothing is charged meanwhile.
    SubscriptionPaused = "subscription.paused", Tenant (Turn)
    /// A trial ends at another time.
    SubscriptionTrialExtended = "subscription.trial_extended", Tenant (Turn)
    /// A trial is over.
    SubscriptionTrialEnded = "subscription.trial_ended", Tenant (Turn)
    /// A subscription's periods count by another calendar.
    SubscriptionUpdated = "subscription.updated", Tenant (Turn)
    /// An invoice of a subscription was not paid in time.
    SubscriptionPastDue = "subscription.past_due", Tenant (Turn)
    /// What a subscription has not paid has gone unpaid so long that its tenant may only read.
    SubscriptionRestricted = "subscription.restricted", Tenant (Turn)
    /// What a subscription has not paid has gone unpaid so long that its tenant is suspended.
    SubscriptionSuspended = "subscription.suspended", Tenant (Turn)
    /// All that was unpaid is paid.
    SubscriptionRecovered = "subscription.recovered", Tenant (Turn)
    /// A subscription is in its next period.
    SubscriptionRenewed = "subscription.renewed", Tenant (Turn)

    /// A tenant was granted a feature beside its plan, or was taken one.
    EntitlementOverrideCreated = "entitlement_override.created", Tenant {
        /// The override.
        pub override_id: OverrideId,
        /// The feature, by its key in the catalogue.
        #[schema(example = "exports")]
        pub feature: String,
        /// What is granted in the place of what the plan grants; null when it is taken away.
        pub value: Option<Feature>,
        /// Whether the feature is taken away.
        pub revoke: bool,
        /// From when on it counts.
        pub starts_at: Ts,
        /// Until when; null for good.
        pub ends_at: Option<Ts>,
        /// Why.
        #[schema(example = "agreed in the contract")]
        pub reason: String,
    }

    /// An override was ended before its time.
    EntitlementOverrideEnded = "entitlement_override.ended", Tenant {
        /// The override.
        pub override_id: OverrideId,
        /// The feature, by its key in the catalogue.
        #[schema(example = "exports")]
        pub feature: String,
    }

    /// All tenants of a plan are being moved to its newest edition.
    PlanTenantsMoving = "plan.tenants_moving", Operator {
        /// The plan, by key.
        #[schema(example = "pro")]
        pub plan: String,
        /// The number of the edition.
        pub plan_version: u32,
        /// How many tenants were on earlier ones.
        pub tenants: i64,
        /// The operation that moves them.
        pub operation_id: OperationId,
    }
}

/// The event for `kind`, which one of [`super::model::Moved::facts`] names.
///
/// # Errors
/// [`Error::Internal`] for a kind that no subscription has.
pub(super) fn turned(one: &Subscription, kind: &str, turn: Turn) -> Result<NewEvent> {
    let tenant = one.tenant;
    Ok(match kind {
        "subscription.changed" => NewEvent::of(tenant, SubscriptionChanged(turn)),
        "subscription.change_scheduled" => NewEvent::of(tenant, SubscriptionChangeScheduled(turn)),
        "subscription.canceled" => NewEvent::of(tenant, SubscriptionCanceled(turn)),
        "subscription.cancel_scheduled" => NewEvent::of(tenant, SubscriptionCancelScheduled(turn)),
        "subscription.resumed" => NewEvent::of(tenant, SubscriptionResumed(turn)),
        "subscription.paused" => NewEvent::of(tenant, SubscriptionPaused(turn)),
        "subscription.trial_extended" => NewEvent::of(tenant, SubscriptionTrialExtended(turn)),
        "subscription.trial_ended" => NewEvent::of(tenant, SubscriptionTrialEnded(turn)),
        "subscription.updated" => NewEvent::of(tenant, SubscriptionUpdated(turn)),
        "subscription.past_due" => NewEvent::of(tenant, SubscriptionPastDue(turn)),
        "subscription.restricted" => NewEvent::of(tenant, SubscriptionRestricted(turn)),
        "subscription.suspended" => NewEvent::of(tenant, SubscriptionSuspended(turn)),
        "subscription.recovered" => NewEvent::of(tenant, SubscriptionRecovered(turn)),
        "subscription.renewed" => NewEvent::of(tenant, SubscriptionRenewed(turn)),
        _ => return Err(Error::internal(format!("no event of a subscription is called {kind}"))),
    })
}
