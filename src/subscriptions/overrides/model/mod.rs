//! Overrides, and what a tenant is granted of a feature when all is taken together. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::catalog::{Feature, FeatureTerm, Metered};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, FieldError, Result};
use crate::kernel::id::{OverrideId, TenantId};
use crate::words;

words! {
    /// Where an override stands.
    OverrideState as "OverrideState", "state of an override" {
        /// Its time has not come.
        Scheduled = "scheduled",
        /// It counts.
        Active = "active",
        /// Its time is over, or it was ended.
        Ended = "ended",
    }
}

words! {
    /// What says how much a tenant is granted of a feature.
    Source as "EntitlementSource", "source of an entitlement" {
        /// An override of this tenant.
        Override = "override",
        /// Its plan, in the version it is on.
        Plan = "plan",
        /// The catalogue's default for plans that do not name the feature.
        Default = "default",
    }
}

/// A feature that one tenant has, or lacks, whatever its plan says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Override {
    /// Its id.
    pub id: OverrideId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Which feature, by its key in the catalogue.
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
    pub reason: String,
    /// Who made it: an operator, by id.
    pub created_by: String,
    /// When it was made.
    pub created_at: Ts,
    /// Who ended it before its time, by id.
    pub ended_by: Option<String>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) rev: i64,
}

/// An override with its state, as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct OverrideView {
    /// Whether it counts now.
    pub state: OverrideState,
    /// Its record.
    #[serde(flatten)]
    pub record: Override,
}

impl Override {
    /// Where it stands at `now`.
    #[must_use]
    pub fn state(&self, now: Ts) -> OverrideState {
        match self.ends_at {
            Some(end) if end <= now => OverrideState::Ended,
            _ if now < self.starts_at => OverrideState::Scheduled,
            _ => OverrideState::Active,
        }
    }

    /// As its readers see it at `now`.
    #[must_use]
    pub fn view(self, now: Ts) -> OverrideView {
        OverrideView { state: self.state(now), record: self }
    }

    /// Ends it at `now`, by `whom`. One that has ended stays as it is.
    #[must_use]
    pub fn ended(self, now: Ts, whom: &str) -> Self {
        if self.state(now) == OverrideState::Ended {
            return self;
        }
        Self { ends_at: Some(now), ended_by: Some(whom.to_owned()), ..self }
    }
}

/// What is asked for a new override.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which feature.
    pub feature: String,
    /// What to grant; none to take it away.
    pub value: Option<Feature>,
    /// Whether to take it away.
    pub revoke: bool,
    /// From when on; at once when absent.
    pub starts_at: Option<Ts>,
    /// Until when; for good when absent.
    pub ends_at: Option<Ts>,
    /// Why.
    pub reason: String,
}

impl Wanted {
    /// Refuses what could not be meant; `known` is what the catalogue says of the feature anywhere.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming each field.
    pub fn check(&self, known: &[&Feature], now: Ts) -> Result<()> {
        let mut wrong = Vec::new();
        let mut fault = |pointer: &str, detail: String| {
            wrong.push(FieldError { pointer: pointer.to_owned(), detail });
        };
        if known.is_empty() {
            fault("/feature", format!("the catalogue has no feature `{}`", self.feature));
        }
        match (&self.value, self.revoke) {
            (None, false) => fault("/value", "give a value, or revoke: true".to_owned()),
            (Some(_), true) => {
                fault("/value", "a feature that is revoked has no value: give one of them".to_owned())
            }
            (Some(value), false)
                if !known.is_empty() && !known.iter().any(|other| kind(other) == kind(value)) =>
            {
                let kinds: BTreeSet<&str> = known.iter().map(|other| kind(other)).collect();
                let kinds = kinds.into_iter().collect::<Vec<_>>().join(" or ");
                fault("/value", format!("is {}; the catalogue has {kinds} there", kind(value)));
            }
            _ => {}
        }
        match &self.value {
            Some(Feature::Choice(word)) if !is_name(word) => {
                fault("/value", "must be 1 to 64 characters that can be seen".to_owned());
            }
            Some(Feature::Metered(metered)) if !is_name(&metered.meter) => {
                fault("/value/meter", "must be 1 to 64 characters that can be seen".to_owned());
            }
            Some(Feature::Metered(Metered { limit, .. }) | Feature::Amount(limit))
                if i64::try_from(*limit).is_err() =>
            {
                fault("/value", "is too large".to_owned());
            }
            _ => {}
        }
        let starts = self.starts_at.unwrap_or(now);
        if self.ends_at.is_some_and(|ends| ends <= starts || ends <= now) {
            fault("/ends_at", "must be later than starts_at, and in the future".to_owned());
        }
        if self.reason.trim().is_empty() {
            fault("/reason", "must not be blank".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
    }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn kind(feature: &Feature) -> &'static str {
    match feature {
        Feature::Flag(_) => "true or false",
        Feature::Amount(_) => "a whole number",
        Feature::Metered(_) => "a metered feature",
        Feature::Choice(_) => "a word",
    }
}

/// What memory holds of an override that may still count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which feature.
    pub feature: Box<str>,
    /// What is granted; none when it is taken away.
    pub value: Option<Feature>,
    /// From when on.
    pub starts: Ts,
    /// Until when.
    pub ends: Option<Ts>,
}

impl Rule {
    fn counts(&self, now: Ts) -> bool {
        self.starts <= now && self.ends.is_none_or(|ends| now < ends)
    }
}

/// What a tenant is granted of one feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved<'a> {
    /// This, by that.
    Granted(&'a Feature, Source),
    /// An override took it away.
    Revoked,
    /// Nobody grants it.
    Absent,
}

/// All that says what a tenant is granted.
#[derive(Debug, Clone, Copy)]
pub struct Grants<'a> {
    /// Overrides, the latest first.
    pub overrides: &'a [Rule],
    /// What the version of its plan grants.
    pub plan: &'a BTreeMap<String, Feature>,
    /// What the catalogue says of features whatever the plan.
    pub defaults: &'a BTreeMap<String, FeatureTerm>,
}

impl<'a> Grants<'a> {
    /// What it is granted of `feature` at `now`: by an override, else by the plan, else by default. Of overrides
    /// that count at once the one that was made later wins.
    #[must_use]
    pub fn resolve(&self, feature: &str, now: Ts) -> Resolved<'a> {
        let rule = self.overrides.iter().find(|rule| *rule.feature == *feature && rule.counts(now));
        if let Some(rule) = rule {
            return match &rule.value {
                Some(value) => Resolved::Granted(value, Source::Override),
                None => Resolved::Revoked,
            };
        }
        if let Some(value) = self.plan.get(feature) {
            return Resolved::Granted(value, Source::Plan);
        }
        let default = self.defaults.get(feature).and_then(|term| term.default.as_ref());
        default.map_or(Resolved::Absent, |value| Resolved::Granted(value, Source::Default))
    }

    /// Every feature that something is said of at `now`, by key.
    #[must_use]
    pub fn all(&self, now: Ts) -> BTreeMap<&'a str, Resolved<'a>> {
        let ours = self.overrides.iter().filter(|rule| rule.counts(now)).map(|rule| &*rule.feature);
        let named = ours.chain(self.plan.keys().map(String::as_str));
        let by_default = self.defaults.iter().filter(|(_, term)| term.default.is_some());
        let names = named.chain(by_default.map(|(name, _)| name.as_str()));
        names.map(|name| (name, self.resolve(name, now))).collect()
    }

    /// Whether anything is granted of `meter` now, or could come to be by an override that is known already.
    #[must_use]
    pub fn may_meter(&self, meter: &str) -> bool {
        let on = |feature: &Feature| matches!(feature, Feature::Metered(metered) if metered.meter == meter);
        let defaults = self.defaults.values().filter_map(|term| term.default.as_ref());
        let ours = self.overrides.iter().filter_map(|rule| rule.value.as_ref());
        !meter.is_empty() && self.plan.values().chain(defaults).chain(ours).any(on)
    }

    /// The next moment after `now` at which an override begins or ends.
    #[must_use]
    pub fn next_change(&self, now: Ts) -> Option<Ts> {
        let moments = self.overrides.iter().flat_map(|rule| [Some(rule.starts), rule.ends]);
        moments.flatten().filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests;
