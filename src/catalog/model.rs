//! A plan and what it grants. Pure values: equal plans have equal JSON, so an edit can be told from a
//! reformatting.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::meters::Meter;
use crate::kernel::isolation::Isolation;

/// All that is sold: what a file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// The plans, in the order of the file; their keys differ.
    pub plans: Vec<Plan>,
    /// What holds for all of them.
    pub terms: Terms,
}

/// What a catalogue says beside its plans.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Terms {
    /// Features by key.
    pub features: BTreeMap<String, FeatureTerm>,
    /// Meters by key.
    pub meters: BTreeMap<String, Meter>,
}

/// What a catalogue says of a feature, whatever the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeatureTerm {
    /// What customers read.
    pub name: Option<String>,
    /// What plans grant that do not name it.
    pub default: Option<Feature>,
}

impl Catalogue {
    /// The plan `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.key == key)
    }
}

/// What is sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// What the API, subscriptions and signup name it by; a-z, 0-9, `-` and `_`.
    pub key: String,
    /// What customers read.
    pub name: String,
    /// Per interval, in the currency's minor unit (4900 is 49.00 EUR).
    pub price: u64,
    /// ISO 4217; absent only when the plan is free of charge.
    pub currency: Option<String>,
    /// How often the price is due.
    pub interval: Interval,
    /// Days before the first charge, 0 to 365.
    pub trial_days: u32,
    /// Where its tenants' data is kept apart; the config's `tenancy.isolation` when absent.
    pub isolation: Option<Isolation>,
    /// Whether strangers see it.
    pub public: bool,
    /// What it grants, by the feature's key.
    pub features: BTreeMap<String, Feature>,
    /// Bounds that the control plane itself enforces.
    pub limits: Limits,
}

/// How often a price is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Every month.
    Month,
    /// Every year.
    Year,
}

/// What a plan grants under one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Feature {
    /// It is in the plan, or not.
    Flag(bool),
    /// So many of it, at any time.
    Amount(u64),
    /// So much of it in a period.
    Metered(Metered),
    /// One of several kinds of it, by a word.
    Choice(String),
}

/// A feature that is used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Metered {
    /// The meter that usage events name.
    pub meter: String,
    /// How much of it in a period.
    pub limit: u64,
    /// The period.
    pub per: Period,
    /// What happens at the limit.
    pub overage: Overage,
}

/// After which time a metered feature is full again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A month.
    Month,
    /// A year.
    Year,
}

/// What happens at the limit of a metered feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overage {
    /// A hard limit: no more until the next period.
    Deny,
    /// A soft limit: access goes on, the excess is reported.
    Allow,
}

/// Bounds on a tenant that the control plane itself enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Requests a second with the tenant's API keys, lasting; 1 to 1000000.
    pub requests_per_s: u32,
    /// Requests at once before the rate counts, at least `requests_per_s`; up to 1000000.
    pub burst: u32,
    /// Members, 1 to 1000000.
    pub members: u32,
    /// API keys that are not revoked, 0 to 1000000.
    pub api_keys: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_s: 10, burst: 20, members: 10, api_keys: 10 }
    }
}
