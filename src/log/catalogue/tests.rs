//! What the catalogue promises, on kinds of its own and on the product's.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::facts;

fn named(mut data: Value) -> Value {
    if let Some(fields) = data.as_object_mut() {
        let name = fields.remove("title").unwrap_or(Value::Null);
        fields.insert("name".to_owned(), name);
    }
    data
}

fn counted(mut data: Value) -> Value {
    if let Some(fields) = data.as_object_mut() {
        fields.entry("count").or_insert(json!(1));
    }
    data
}

facts! {
    /// Something was
    /// done.
    Done = "thing.done", Tenant steps [named, counted] {
        /// What it is called.
        pub name: Option<String>,
        /// How often.
        pub count: u32,
    }
    /// The same again.
    Again = "thing.again", Operator (Done)
}

/// Tells the catalogue what the product knows, and the kinds above: every unit test of this crate that needs a
/// catalogue calls this, for the first time counts.
pub(crate) fn install_all() {
    install(crate::app::facts().into_iter().chain(facts()));
}

#[test]
fn old_versions_are_read_in_the_newest_shape() {
    let fact = Done::fact();
    assert_eq!((fact.version(), fact.audience()), (3, Audience::Tenant));
    assert_eq!(fact.description(), "Something was done.");
    let newest = json!({ "name": "a", "count": 1 });
    for (version, data) in [(1, json!({ "title": "a" })), (2, json!({ "name": "a" })), (3, newest.clone())] {
        assert_eq!(fact.newest(version, data), (3, newest.clone()), "from version {version}");
    }
    assert!(fact.faults(&newest).is_empty());
    assert_eq!(fact.faults(&json!({ "name": 1 })).len(), 2);
    let data = serde_json::to_value(Again(Done { name: None, count: 2 })).unwrap();
    assert_eq!(data, json!({ "name": null, "count": 2 }));
    assert!(Again::fact().faults(&data).is_empty());
    assert_eq!(Again::fact().faults(&json!({})).len(), 1);
}

#[test]
fn what_is_unknown_stays_as_it_is_and_is_the_operators_own() {
    let odd = json!({ "title": 1 });
    assert_eq!(Done::fact().newest(4, odd.clone()), (4, odd.clone()));
    assert_eq!(Done::fact().newest(0, odd.clone()), (0, odd.clone()));
    assert_eq!(newest("nobody.declared", 1, odd.clone()), (1, odd));
    assert_eq!(audience("nobody.declared"), Audience::Operator);
}

proptest! {
    #[test]
    fn each_step_is_taken_once_and_in_order(version in 1i32..=3, name in "\\PC{0,20}") {
        let data = match version {
            1 => json!({ "title": name }),
            2 => json!({ "name": name }),
            _ => json!({ "name": name, "count": 7 }),
        };
        let (now, data) = Done::fact().newest(version, data);
        prop_assert_eq!(now, 3);
        prop_assert_eq!(&data["name"], &json!(name));
        prop_assert!(Done::fact().faults(&data).is_empty());
        // What is in the newest shape already is not touched again.
        prop_assert_eq!(Done::fact().newest(3, data.clone()), (3, data));
    }
}

#[test]
fn no_kind_is_declared_twice_and_each_says_what_it_is() {
    let all = crate::app::facts();
    let names: std::collections::BTreeSet<_> = all.iter().map(|fact| fact.kind()).collect();
    assert_eq!(names.len(), all.len(), "a kind is declared twice");
    for fact in all {
        let kind = fact.kind();
        let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(kind.split('.').count() == 2 && kind.split('.').all(word), "{kind} is noun.verb");
        assert!(fact.description().ends_with('.'), "{kind}: {}", fact.description());
        // A follower that does not know a kind goes by its kin.
        assert_eq!(fact.schema()["title"], kind);
        let faults = fact.faults(&fact.example());
        assert!(faults.is_empty(), "the example of {kind} is not as its schema says: {faults:?}");
    }
}

#[test]
fn a_wish_for_what_there_is_not_is_answered_with_what_is_near() {
    install_all();
    for known in ["*", "tenant.*", "tenant.suspended", "thing.*"] {
        assert_eq!(stranger(known), None, "{known}");
    }
    let near = stranger("tenant.suspendet").unwrap();
    assert_eq!(near, "tenant.suspendet: is no type of event; did you mean tenant.suspended?");
    assert!(stranger("tenants.*").unwrap().ends_with("did you mean tenant.*?"));
    assert!(stranger("weather.changed_completely").unwrap().contains("/v1/event-types"));
}
