//! Judging: what is granted, what is used, and how the tenant stands, in one answer. No I/O.

use serde::Serialize;

use crate::catalog::{Feature, Metered, Overage};
use crate::kernel::clock::Ts;
use crate::metering::quota::model::sheet::Outcome;
use crate::subscriptions::Standing;
use crate::subscriptions::overrides::{Resolved, Source};
use crate::tenants::State;
use crate::words;

words! {
    /// Why a tenant may, or may not.
    Reason as "EntitlementReason", "reason" {
        /// It may.
        Allowed = "ALLOWED",
        /// It may, beyond the limit: that is counted.
        Overage = "OVERAGE",
        /// Its plan does not grant it.
        NotInPlan = "NOT_IN_PLAN",
        /// There is not that much.
        LimitReached = "LIMIT_REACHED",
        /// An override took it away.
        RevokedByOverride = "REVOKED_BY_OVERRIDE",
        /// The tenant is not active.
        TenantSuspended = "TENANT_SUSPENDED",
        /// Its subscription is suspended, paused or canceled.
        SubscriptionInactive = "SUBSCRIPTION_INACTIVE",
        /// Its subscription is overdue: what is there may be read.
        ReadOnly = "READ_ONLY",
        /// The catalogue has no such feature.
        UnknownFeature = "UNKNOWN_FEATURE",
    }
}

/// What a tenant may of one feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Entitlement {
    /// Whether it may.
    pub allowed: bool,
    /// Why, or why not.
    pub reason: Reason,
    /// The feature.
    pub feature: String,
    /// What is granted; null when nothing is.
    pub value: Option<Feature>,
    /// What grants it, or took it away.
    pub source: Option<Source>,
    /// How much of it, where that is counted.
    pub limit: Option<u64>,
    /// How much of a metered one is used in the present window, about a second old at most.
    pub used: Option<u64>,
    /// How much of a metered one is left in it.
    pub remaining: Option<u64>,
    /// When that window ends.
    pub resets_at: Option<Ts>,
    /// How much of a metered one is used beyond a soft limit.
    pub overage: Option<u64>,
}

/// What keeps a tenant from all that it is granted.
#[must_use]
pub fn mask(state: State, standing: Standing) -> Option<Reason> {
    if state != State::Active {
        return Some(Reason::TenantSuspended);
    }
    match standing {
        Standing::Trialing | Standing::Active | Standing::PastDue => None,
        Standing::Restricted => Some(Reason::ReadOnly),
        Standing::Suspended | Standing::Paused | Standing::Canceled => Some(Reason::SubscriptionInactive),
    }
}

/// The metered feature, if it is one.
#[must_use]
pub fn metered<'a>(resolved: &Resolved<'a>) -> Option<&'a Metered> {
    match resolved {
        Resolved::Granted(Feature::Metered(metered), _) => Some(metered),
        _ => None,
    }
}

/// How a metered feature stands in its window.
#[derive(Debug, Clone, Copy)]
pub struct Use {
    /// What is used.
    pub used: i64,
    /// When the window ends.
    pub resets_at: Ts,
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Entitlement {
    fn of(feature: String, resolved: Resolved<'_>, reason: Reason) -> Self {
        let (value, source) = match resolved {
            Resolved::Granted(value, source) => (Some(value.clone()), Some(source)),
            Resolved::Revoked => (None, Some(Source::Override)),
            Resolved::Absent => (None, None),
        };
        let limit = match &value {
            Some(Feature::Amount(most)) => Some(*most),
            Some(Feature::Metered(metered)) => Some(metered.limit),
            _ => None,
        };
        Self {
            allowed: matches!(reason, Reason::Allowed | Reason::Overage),
            reason,
            feature,
            value,
            source,
            limit,
            used: None,
            remaining: None,
            resets_at: None,
            overage: None,
        }
    }

    /// Judges whether a tenant may have `amount` of a feature. `masked` is [`mask`]; `known` says whether the
    /// catalogue has the feature at all; `used` is how a metered one stands.
    #[must_use]
    pub fn judge(
        feature: String,
        resolved: Resolved<'_>,
        masked: Option<Reason>,
        known: impl FnOnce(&str) -> bool,
        amount: u64,
        used: Option<Use>,
    ) -> Self {
        let beyond = |used: Use, limit: u64| count(used.used).saturating_add(amount) > limit;
        let reason = match (resolved, masked) {
            (Resolved::Absent, _) if !known(&feature) => Reason::UnknownFeature,
            (_, Some(reason)) => reason,
            (Resolved::Absent | Resolved::Granted(Feature::Flag(false), _), None) => Reason::NotInPlan,
            (Resolved::Revoked, None) => Reason::RevokedByOverride,
            (Resolved::Granted(Feature::Flag(true) | Feature::Choice(_), _), None) => Reason::Allowed,
            (Resolved::Granted(Feature::Amount(most), _), None) if amount > *most => Reason::LimitReached,
            (Resolved::Granted(Feature::Metered(metered), _), None)
                if used.is_some_and(|used| beyond(used, metered.limit)) =>
            {
                match metered.overage {
                    Overage::Deny => Reason::LimitReached,
                    Overage::Allow => Reason::Overage,
                }
            }
            (Resolved::Granted(Feature::Amount(_) | Feature::Metered(_), _), None) => Reason::Allowed,
        };
        let mut judged = Self::of(feature, resolved, reason);
        if let (Some(metered), Some(used)) = (metered(&resolved), used) {
            judged.stands(metered.limit, used);
        }
        judged
    }

    /// Tells what became of a take.
    #[must_use]
    pub fn taken(feature: String, resolved: Resolved<'_>, outcome: Outcome) -> Self {
        let over = outcome.used > outcome.limit;
        let reason = match (outcome.taken, over) {
            (true, false) => Reason::Allowed,
            (true, true) => Reason::Overage,
            (false, _) => Reason::LimitReached,
        };
        let mut told = Self::of(feature, resolved, reason);
        let limit = count(outcome.limit);
        told.stands(limit, Use { used: outcome.used, resets_at: outcome.resets_at });
        told.limit = Some(limit);
        told.remaining = Some(count(outcome.remaining));
        told
    }

    fn stands(&mut self, limit: u64, used: Use) {
        let so_far = count(used.used);
        self.used = Some(so_far);
        self.remaining = Some(limit.saturating_sub(so_far));
        self.resets_at = Some(used.resets_at);
        self.overage = Some(so_far.saturating_sub(limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Period;

    fn judged(resolved: Resolved<'_>, masked: Option<Reason>, amount: u64, used: Option<i64>) -> Entitlement {
        let used = used.map(|used| Use { used, resets_at: Ts::from_micros(0).unwrap() });
        Entitlement::judge("f".into(), resolved, masked, |name| name == "f", amount, used)
    }

    fn metered_at(limit: u64, overage: Overage) -> Feature {
        Feature::Metered(Metered { meter: "m".into(), limit, per: Period::Month, overage })
    }

    #[test]
    fn each_reason_has_its_cause() {
        let plan = |feature| Resolved::Granted(feature, Source::Plan);
        let (on, off, three) = (Feature::Flag(true), Feature::Flag(false), Feature::Amount(3));
        let (word, hard, soft) =
            (Feature::Choice("gold".into()), metered_at(10, Overage::Deny), metered_at(10, Overage::Allow));
        for (resolved, amount, used, reason) in [
            (plan(&on), 1, None, "ALLOWED"),
            (plan(&off), 1, None, "NOT_IN_PLAN"),
            (plan(&word), 1, None, "ALLOWED"),
            (plan(&three), 3, None, "ALLOWED"),
            (plan(&three), 4, None, "LIMIT_REACHED"),
            (plan(&hard), 1, Some(9), "ALLOWED"),
            (plan(&hard), 2, Some(9), "LIMIT_REACHED"),
            (plan(&hard), 1, Some(15), "LIMIT_REACHED"),
            (plan(&hard), 0, Some(10), "ALLOWED"),
            (plan(&soft), 2, Some(9), "OVERAGE"),
            (Resolved::Revoked, 1, None, "REVOKED_BY_OVERRIDE"),
            (Resolved::Absent, 1, None, "NOT_IN_PLAN"),
        ] {
            let answer = judged(resolved, None, amount, used);
            assert_eq!(answer.reason.word(), reason, "{resolved:?} {amount} {used:?}");
            assert_eq!(answer.allowed, matches!(reason, "ALLOWED" | "OVERAGE"));
            let masked = judged(resolved, Some(Reason::ReadOnly), amount, used);
            assert_eq!((masked.allowed, masked.reason), (false, Reason::ReadOnly));
            assert_eq!((masked.value, masked.used), (answer.value, answer.used), "the mask hides no fact");
        }
        let unknown = |_: &str| false;
        let answer =
            Entitlement::judge("x".into(), Resolved::Absent, Some(Reason::ReadOnly), unknown, 1, None);
        assert_eq!(answer.reason, Reason::UnknownFeature);
        let over = judged(plan(&soft), None, 1, Some(13));
        assert_eq!((over.used, over.remaining, over.overage), (Some(13), Some(0), Some(3)));
    }

    #[test]
    fn what_stands_still_may_nothing() {
        let masks = Standing::ALL.map(|standing| mask(State::Active, standing).map(Reason::word));
        let inactive = Some("SUBSCRIPTION_INACTIVE");
        assert_eq!(masks, [None, None, None, Some("READ_ONLY"), inactive, inactive, inactive]);
        for state in State::ALL.into_iter().filter(|state| *state != State::Active) {
            assert_eq!(mask(state, Standing::Active), Some(Reason::TenantSuspended));
        }
    }
}
