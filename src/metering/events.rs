//! What happens to use.

use serde::Serialize;
use utoipa::ToSchema;

use super::quota::Per;
use crate::facts;
use crate::kernel::clock::Ts;

/// A stretch of the calendar in UTC.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = QuotaWindowFacts)]
pub struct Span {
    /// Its first moment.
    pub start: Ts,
    /// The first moment after it.
    pub end: Ts,
}

facts! {
    /// A tenant's use has reached a share of one of its quotas, for the first time in that window.
    QuotaThresholdReached = "quota.threshold_reached", Tenant {
        /// The feature that grants the quota, by key.
        #[schema(example = "api_calls")]
        pub feature: String,
        /// The meter that counts, by key.
        #[schema(example = "api_calls")]
        pub meter: String,
        /// In which windows.
        pub per: Per,
        /// The window.
        pub window: Span,
        /// Which share, in per cent.
        #[schema(example = 80)]
        pub percent: u16,
        /// What was used.
        #[schema(example = 800)]
        pub used: i64,
        /// How much the quota is.
        #[schema(example = 1000)]
        pub limit: i64,
        /// Whether more is refused at the limit: `deny` or `allow`.
        #[schema(example = "deny")]
        pub overage: String,
    }
}
