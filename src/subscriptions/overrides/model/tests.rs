use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Ts {
    Ts::from_micros(second * 1_000_000).unwrap()
}

fn record(starts: i64, ends: Option<i64>) -> Override {
    Override {
        id: OverrideId::mint(),
        tenant_id: TenantId::mint(),
        feature: "seats".into(),
        value: Some(Feature::Amount(5)),
        revoke: false,
        starts_at: at(starts),
        ends_at: ends.map(at),
        reason: "a promise".into(),
        created_by: "key".into(),
        created_at: at(0),
        ended_by: None,
        rev: 1,
    }
}

#[test]
fn an_override_counts_from_its_start_until_its_end() {
    let timed = record(10, Some(20));
    let states = [9, 10, 19, 20].map(|second| timed.state(at(second)).word());
    assert_eq!(states, ["scheduled", "active", "active", "ended"]);
    let ended = timed.clone().ended(at(15), "who");
    assert_eq!((ended.ends_at, ended.ended_by.as_deref()), (Some(at(15)), Some("who")));
    assert_eq!(timed.clone().ended(at(25), "who"), timed, "it had ended");
    assert_eq!(record(10, None).ended(at(5), "who").state(at(5)), OverrideState::Ended, "before it began");
}

#[test]
fn what_cannot_be_meant_is_refused_field_by_field() {
    let wanted = Wanted {
        feature: "seats".into(),
        value: Some(Feature::Flag(true)),
        revoke: false,
        starts_at: Some(at(20)),
        ends_at: Some(at(20)),
        reason: " ".into(),
    };
    let pointers = |wanted: &Wanted, known: &[&Feature]| match wanted.check(known, at(10)) {
        Ok(()) => Vec::new(),
        Err(Error::Invalid(fields)) => fields.into_iter().map(|field| field.pointer).collect(),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(pointers(&wanted, &[&Feature::Amount(3)]), ["/value", "/ends_at", "/reason"]);
    assert_eq!(pointers(&wanted, &[]), ["/feature", "/ends_at", "/reason"]);
    let good = Wanted { value: Some(Feature::Amount(9)), ends_at: None, reason: "yes".into(), ..wanted };
    assert_eq!(pointers(&good, &[&Feature::Flag(true), &Feature::Amount(3)]), [""; 0]);
    assert_eq!(pointers(&Wanted { revoke: true, ..good.clone() }, &[&Feature::Amount(3)]), ["/value"]);
    assert_eq!(pointers(&Wanted { value: None, ..good }, &[&Feature::Amount(3)]), ["/value"]);
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn grants() -> impl Strategy<Value = BTreeMap<String, Feature>> {
    prop::collection::btree_map(0usize..4, 0u64..100, 0..4).prop_map(|all| {
        all.into_iter().map(|(n, value)| (NAMES[n].to_owned(), Feature::Amount(value))).collect()
    })
}

proptest! {
    /// Against a model that goes through the tenant's whole history, second by second, in the order in which
    /// things were made, each overwriting what was said before.
    #[test]
    fn resolution_is_that_of_a_slow_historian(
        plan in grants(),
        defaults in grants(),
        made in prop::collection::vec((0usize..4, prop::option::of(0u64..100), 0i64..20, prop::option::of(1i64..20)), 0..8),
    ) {
        let defaults: BTreeMap<String, FeatureTerm> = defaults
            .into_iter()
            .map(|(name, value)| (name, FeatureTerm { name: None, default: Some(value) }))
            .collect();
        let mut rules: Vec<Rule> = made
            .iter()
            .map(|(n, value, starts, lasts)| Rule {
                feature: NAMES[*n].into(),
                value: value.map(Feature::Amount),
                starts: at(*starts),
                ends: lasts.map(|lasts| at(starts + lasts)),
            })
            .collect();
        rules.reverse();
        let terms = Grants { overrides: &rules, plan: &plan, defaults: &defaults };
        for second in 0..45 {
            let mut said: BTreeMap<&str, Option<(u64, Source)>> = BTreeMap::new();
            let number = |value: &Feature| match value { Feature::Amount(number) => *number, _ => panic!() };
            for (name, term) in &defaults {
                said.insert(name, term.default.as_ref().map(|value| (number(value), Source::Default)));
            }
            for (name, value) in &plan {
                said.insert(name, Some((number(value), Source::Plan)));
            }
            for (n, value, starts, lasts) in &made {
                let over = lasts.is_some_and(|lasts| second >= starts + lasts);
                if second >= *starts && !over {
                    said.insert(NAMES[*n], value.map(|value| (value, Source::Override)));
                }
            }
            for name in NAMES {
                let resolved = terms.resolve(name, at(second));
                match said.get(name) {
                    None => prop_assert_eq!(resolved, Resolved::Absent),
                    Some(None) => prop_assert_eq!(resolved, Resolved::Revoked),
                    Some(Some((value, source))) => {
                        prop_assert_eq!(resolved, Resolved::Granted(&Feature::Amount(*value), *source));
                    }
                }
            }
            let all: Vec<&str> = terms.all(at(second)).into_keys().collect();
            prop_assert_eq!(all, said.keys().copied().collect::<Vec<_>>());
            if let Some(next) = terms.next_change(at(second)) {
                for between in second..next.seconds() {
                    prop_assert_eq!(terms.all(at(between)), terms.all(at(second)));
                }
            } else {
                prop_assert_eq!(terms.all(at(100)), terms.all(at(second)));
            }
        }
    }
}
