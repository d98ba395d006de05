//! What an event counts as: each meter that takes its type finds its value and its groups in the event's data.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::event::Rejection;
use crate::catalog::{Aggregation, Catalogue, Feature, Meter, Plan};
use crate::metering::counted::{Counted, Mark};

/// The greatest value of an event.
pub const GREATEST: i64 = 1_000_000_000_000;
/// Longest text that use is told apart by, in characters.
const LONGEST_GROUP: usize = 200;
/// Where a meter that nobody declared finds its value.
const PLAIN_VALUE: &str = "value";

/// A meter that takes events of some type.
#[derive(Debug, Clone)]
pub struct Taker {
    /// The meter's key.
    pub key: Arc<str>,
    /// How it counts; none for one that only a feature names, which adds up `value`, or 1 where there is none.
    how: Option<Meter>,
}

impl Taker {
    /// Whether what it counts is held against quotas.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.how.as_ref().is_none_or(|meter| meter.aggregation.adds_up())
    }
}

/// All meters, by the type of the events that they take.
#[derive(Debug, Default)]
pub struct Meters {
    by_type: HashMap<String, Vec<Taker>>,
    declared: BTreeMap<String, Meter>,
}

fn named<'a>(features: impl Iterator<Item = &'a Feature>) -> impl Iterator<Item = &'a str> {
    features.filter_map(|feature| match feature {
        Feature::Metered(metered) => Some(metered.meter.as_str()),
        _ => None,
    })
}

impl Meters {
    /// The meters of a catalogue: those that it declares, and those that its features name.
    #[must_use]
    pub fn of(catalogue: &Catalogue) -> Self {
        let mut out = Self { declared: catalogue.terms.meters.clone(), ..Self::default() };
        for (key, meter) in &catalogue.terms.meters {
            let kind = meter.event_type.as_ref().unwrap_or(key);
            let taker = Taker { key: key.as_str().into(), how: Some(meter.clone()) };
            out.by_type.entry(kind.clone()).or_default().push(taker);
        }
        let of_plans = catalogue.plans.iter().flat_map(|plan| plan.features.values());
        let defaults = catalogue.terms.features.values().filter_map(|term| term.default.as_ref());
        let mut plain: Vec<&str> = named(of_plans.chain(defaults)).collect();
        plain.sort_unstable();
        plain.dedup();
        for key in plain.into_iter().filter(|key| !out.declared.contains_key(*key)) {
            out.by_type.entry(key.to_owned()).or_default().push(Taker { key: key.into(), how: None });
        }
        out
    }

    /// Those that take events of this type; a tenant on an edition of long ago has the meters that it names too.
    #[must_use]
    pub fn takers(&self, kind: &str, plan: &Plan) -> Vec<Taker> {
        if let Some(known) = self.by_type.get(kind) {
            return known.clone();
        }
        let theirs = named(plan.features.values()).any(|meter| meter == kind);
        if theirs && !self.declared.contains_key(kind) {
            return vec![Taker { key: kind.into(), how: None }];
        }
        Vec::new()
    }
}

/// What an event with this data counts as.
///
/// # Errors
/// What is wrong with the data.
pub fn count(takers: &[Taker], data: Option<&RawValue>) -> Result<Vec<Counted>, Rejection> {
    let looks = |taker: &Taker| {
        taker.how.as_ref().is_none_or(|meter| meter.value.is_some() || !meter.group_by.is_empty())
    };
    let data = match data {
        Some(data) if takers.iter().any(looks) => serde_json::from_str::<Map<String, Value>>(data.get()).ok(),
        _ => None,
    };
    takers.iter().map(|taker| one(taker, data.as_ref())).collect()
}

fn one(taker: &Taker, data: Option<&Map<String, Value>>) -> Result<Counted, Rejection> {
    let property = |name: &str| data.and_then(|data| data.get(name)).filter(|value| !value.is_null());
    let meter = taker.key.to_string();
    let Some(how) = &taker.how else {
        let value = property(PLAIN_VALUE).map_or(Ok(1), |value| whole(PLAIN_VALUE, value))?;
        return Ok(Counted { meter, value, group: String::new(), unique: None });
    };
    let mut groups: BTreeMap<&str, String> = BTreeMap::new();
    for name in &how.group_by {
        if let Some(value) = property(name) {
            groups.insert(name, word(name, value)?);
        }
    }
    let group = if groups.is_empty() { String::new() } else { serde_json::json!(groups).to_string() };
    let name = how.value.as_deref().unwrap_or(PLAIN_VALUE);
    let needed = || {
        property(name).ok_or_else(|| {
            Rejection::new("value_missing", format!("data.{name} is missing: the meter {meter} needs it"))
        })
    };
    let (value, unique) = match how.aggregation {
        Aggregation::Count => (1, None),
        Aggregation::Unique => (1, Some(mark(&word(name, needed()?)?))),
        Aggregation::Sum | Aggregation::Max | Aggregation::Latest => (whole(name, needed()?)?, None),
    };
    Ok(Counted { meter, value, group, unique })
}

fn mark(text: &str) -> Mark {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    Mark(digest.iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte)))
}

/// A value, exactly: a whole number from 0 to [`GREATEST`].
fn whole(name: &str, value: &Value) -> Result<i64, Rejection> {
    let Value::Number(number) = value else {
        return Err(Rejection::new("value_not_whole", format!("data.{name} is no number")));
    };
    // 5.0 and 5e3 are whole numbers too; all such up to the greatest are exact.
    let written =
        || number.to_string().parse::<f64>().ok().filter(|float| float.fract() == 0.0 && float.abs() < 1e15);
    let found = number.as_i64().or_else(|| written().and_then(|float| format!("{float:.0}").parse().ok()));
    match found {
        Some(whole) if (0..=GREATEST).contains(&whole) => Ok(whole),
        None if number.as_f64().is_some_and(|float| float.fract() != 0.0) => {
            let detail =
                format!("data.{name} has a fraction: count in a smaller unit, for instance milliseconds");
            Err(Rejection::new("value_not_whole", detail))
        }
        _ => Err(Rejection::new("value_out_of_range", format!("data.{name} is not from 0 to {GREATEST}"))),
    }
}

/// A text, a number or a flag as a text.
fn word(name: &str, value: &Value) -> Result<String, Rejection> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(Rejection::new("group_invalid", format!("data.{name} is no text, number or flag"))),
    };
    if text.len() > LONGEST_GROUP && text.chars().count() > LONGEST_GROUP {
        let detail = format!("data.{name} is longer than {LONGEST_GROUP} characters");
        return Err(Rejection::new("group_invalid", detail));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::plans_file::parse;
    use serde_json::json;

    const PLANS: &str = r#"
[meters.calls]
aggregation = "count"
group_by = ["region"]
[meters.tokens]
aggregation = "sum"
value = "tokens"
group_by = ["model", "region"]
event_type = "llm"
[meters.models]
aggregation = "unique"
value = "model"
event_type = "llm"
[plans.free]
name = "Free"
features = { a = { meter = "calls", limit = 1, per = "day", overage = "deny" }, b = { meter = "plain", limit = 1, per = "day", overage = "deny" } }
"#;

    fn counted(kind: &str, data: &Value) -> Result<Vec<Counted>, &'static str> {
        let catalogue = parse("plans.toml", PLANS).unwrap().catalogue;
        let takers = Meters::of(&catalogue).takers(kind, &catalogue.plans[0]);
        let text = data.to_string();
        let raw: &RawValue = serde_json::from_str(&text).unwrap();
        count(&takers, Some(raw)).map_err(|rejection| rejection.code)
    }

    #[test]
    fn several_meters_take_one_event() {
        let found =
            counted("llm", &json!({ "tokens": 12, "model": "m", "region": null, "more": [1] })).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].meter.as_str(), found[0].value, found[0].unique.is_some()), ("models", 1, true));
        assert_eq!((found[1].value, found[1].group.as_str()), (12, "{\"model\":\"m\"}"));
        let calls = counted("calls", &json!({ "region": 7 })).unwrap();
        assert_eq!((calls[0].value, calls[0].group.as_str()), (1, "{\"region\":\"7\"}"));
        assert_eq!(counted("tokens", &json!({})).unwrap(), [], "the type is another one");
    }

    #[test]
    fn a_meter_that_only_a_feature_names_adds_up_value_or_ones() {
        let value = |data: &Value| counted("plain", data).map(|found| found[0].value);
        assert_eq!(value(&json!({ "value": 5 })), Ok(5));
        for none in [json!({}), json!(null), json!("text"), json!({ "value": null })] {
            assert_eq!(value(&none), Ok(1), "{none}");
        }
    }

    #[test]
    fn values_are_whole_and_exact() {
        let value = |value: Value| counted("plain", &json!({ "value": value })).map(|found| found[0].value);
        assert_eq!(value(json!(0)), Ok(0));
        assert_eq!(value(json!(5.0)), Ok(5));
        assert_eq!(value(json!(3e3)), Ok(3000));
        assert_eq!(value(json!(GREATEST)), Ok(GREATEST));
        assert_eq!(value(json!(GREATEST + 1)), Err("value_out_of_range"));
        assert_eq!(value(json!(-1)), Err("value_out_of_range"));
        assert_eq!(value(json!(1e300)), Err("value_out_of_range"));
        assert_eq!(value(json!(u64::MAX)), Err("value_out_of_range"));
        assert_eq!(value(json!(0.5)), Err("value_not_whole"));
        assert_eq!(value(json!("5")), Err("value_not_whole"));
        assert_eq!(counted("llm", &json!({ "tokens": 1 })).unwrap_err(), "value_missing");
        assert_eq!(counted("llm", &json!({ "tokens": 1, "model": {} })).unwrap_err(), "group_invalid");
        assert_eq!(
            counted("llm", &json!({ "tokens": 1, "model": "m".repeat(201) })).unwrap_err(),
            "group_invalid"
        );
    }
}
