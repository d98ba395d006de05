//! A subscription as its readers see it.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::{Rules, Standing, Subscription, dunning};
use crate::catalog::{Interval, PlanVersion};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{PlanVersionId, SubscriptionId, TenantId};
use crate::kernel::isolation::Isolation;

/// What a tenant has bought, and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Subscription)]
pub struct SubscriptionView {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The plan's key.
    pub plan: String,
    /// The number of the plan's edition.
    pub plan_version: u32,
    /// The id of the plan's edition.
    pub plan_version_id: PlanVersionId,
    /// Where it stands.
    pub state: Standing,
    /// Per interval, in the currency's minor unit.
    pub price: u64,
    /// ISO 4217; absent only when the plan is free of charge.
    pub currency: Option<String>,
    /// How often the price is due.
    pub interval: Interval,
    /// By whose calendar its periods count.
    pub time_zone: String,
    /// When its trial ends, or ended.
    pub trial_ends_at: Option<Ts>,
    /// When the present period began.
    pub current_period_start: Ts,
    /// When it ends.
    pub current_period_end: Ts,
    /// When it will be canceled.
    pub cancel_at: Option<Ts>,
    /// When it was canceled.
    pub canceled_at: Option<Ts>,
    /// Since when it is paused.
    pub paused_at: Option<Ts>,
    /// The plan from the next period on.
    pub pending_change: Option<PendingChange>,
    /// What is unpaid, and what follows from it.
    pub dunning: Option<DunningView>,
    /// The isolation model that its plan asks for and the tenant has not: its data has not been moved there.
    pub wanted_isolation: Option<Isolation>,
    /// When it was made.
    pub created_at: Ts,
    /// When it last changed.
    pub updated_at: Ts,
    #[serde(skip)]
    #[schema(ignore)]
    pub(super) rev: i64,
}

/// A change that comes with the next period.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PendingChange {
    /// The plan's key.
    pub plan: String,
    /// When it comes.
    pub at: Ts,
}

/// What is unpaid, and what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Dunning)]
pub struct DunningView {
    /// The rung it stands on; `active` while nothing has followed yet.
    pub stage: Standing,
    /// Since when something is unpaid.
    pub since: Ts,
    /// The next rung.
    pub next_stage: Option<Standing>,
    /// When it is climbed unless it is paid before.
    pub next_at: Option<Ts>,
}

impl SubscriptionView {
    /// What readers see of it.
    ///
    /// # Errors
    /// As [`dunning::next`].
    pub fn of(one: Subscription, version: &PlanVersion, rules: &Rules) -> Result<Self> {
        let next = dunning::next(&one, rules)?;
        let plan = &version.plan;
        Ok(Self {
            id: one.id,
            tenant_id: one.tenant,
            plan: plan.key.clone(),
            plan_version: version.number,
            plan_version_id: version.id,
            state: one.state,
            price: plan.price,
            currency: plan.currency.clone(),
            interval: plan.interval,
            time_zone: one.time_zone,
            trial_ends_at: one.trial_ends_at,
            current_period_start: one.period_start,
            current_period_end: one.period_end,
            cancel_at: one.cancel_at,
            canceled_at: one.canceled_at,
            paused_at: one.paused_at,
            pending_change: one.pending_plan.map(|plan| PendingChange { plan, at: one.period_end }),
            dunning: one.unpaid_since.map(|since| DunningView {
                stage: one.state,
                since,
                next_stage: next.map(|(stage, _)| stage),
                next_at: next.map(|(_, at)| at),
            }),
            wanted_isolation: one.wanted_isolation,
            created_at: one.created_at,
            updated_at: one.updated_at,
            rev: one.rev,
        })
    }

    /// The revision that its ETag shows.
    #[must_use]
    pub fn rev(&self) -> i64 {
        self.rev
    }
}
