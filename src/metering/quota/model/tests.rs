use std::collections::BTreeMap;

use proptest::prelude::*;

use super::sheet::{Act, Deed, Done, Outcome, Sheet};
use super::*;

fn at(text: &str) -> Ts {
    text.parse().unwrap()
}

#[test]
fn windows_are_those_of_the_calendar() {
    for (per, moment, start, end) in [
        (Per::Hour, "2026-03-01T10:59:59.999999Z", "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"),
        (Per::Day, "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
        (Per::Month, "2028-02-29T23:59:59Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        (Per::Month, "2026-12-31T12:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        (Per::Year, "2026-06-30T12:00:00Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        (Per::Hour, "1969-12-31T23:30:00Z", "1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z"),
    ] {
        let window = Window::of(per, at(moment));
        assert_eq!((window.start, window.end()), (at(start), at(end)), "{per} at {moment}");
    }
}

/// Quotas on one meter, the first one asked about.
fn of(quotas: &[(Per, i64, bool)]) -> Arc<[Bound]> {
    let quotas: Vec<Quota> = quotas
        .iter()
        .enumerate()
        .map(|(n, (per, limit, hard))| Quota {
            feature: format!("f{n}").into(),
            per: *per,
            limit: *limit,
            hard: *hard,
        })
        .collect();
    bounds(TenantId::mint(), &"m".into(), &quotas, at("2026-11-24T10:00:00Z"))
}

fn take(of: &Arc<[Bound]>, amount: i64, key: &str) -> Deed {
    Deed { of: Arc::clone(of), act: Act::Take { amount, key: key.into() }, spent: None }
}

#[test]
fn a_take_needs_room_in_every_hard_quota_of_the_meter_and_counts_in_all() {
    let of = of(&[(Per::Month, 100, false), (Per::Day, 5, true), (Per::Day, 3, false)]);
    let mut sheet = Sheet::default();
    let Done::Took(outcome, false) = sheet.decide(&take(&of, 4, "a"), &[100]) else { panic!() };
    assert_eq!((outcome.taken, outcome.limit, outcome.used, outcome.remaining), (true, 100, 4, 1));
    let Done::Took(outcome, false) = sheet.decide(&take(&of, 2, "b"), &[100]) else { panic!() };
    assert_eq!((outcome.taken, outcome.used, outcome.remaining), (false, 4, 1));
    assert!(matches!(sheet.decide(&take(&of, 1, "c"), &[100]), Done::Took(outcome, false) if outcome.taken));
    assert_eq!(sheet.used.values().copied().collect::<Vec<_>>(), [5, 5], "the day's counter counts once");
    let reached: Vec<_> = sheet.reached.iter().map(|one| (&*one.bound.quota.feature, one.used)).collect();
    assert_eq!(reached, [("f2", 4), ("f1", 5)]);
}

proptest! {
    #[test]
    fn windows_have_no_gap_and_no_overlap(second in -2_000_000_000i64..4_000_000_000, which in 0usize..4) {
        let (per, moment) = (Per::ALL[which], Ts::from_micros(second * 1_000_000 + 7).unwrap());
        let window = Window::of(per, moment);
        prop_assert!(window.start <= moment && moment < window.end());
        prop_assert_eq!(Window::of(per, window.start), window);
        let last = Ts::from_micros(window.end().micros() - 1).unwrap();
        prop_assert_eq!(Window::of(per, last), window);
        prop_assert_eq!(Window::of(per, window.end()).start, window.end());
    }

    #[test]
    fn a_slice_serves_those_who_wait_and_never_overshoots(remaining in -10i64..1_000_000, wanted in 0i64..2_000) {
        let lent = slice(remaining, wanted);
        prop_assert!(lent >= 0 && lent <= remaining.max(0));
        prop_assert!(remaining < wanted || lent >= wanted);
        prop_assert!(lent <= wanted + LARGEST_SLICE);
        prop_assert!(remaining <= 0 || lent > 0);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Take { key: u8, amount: i64 },
    Lend(i64),
    Back(i64),
    Count(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0u8..20, 1i64..6).prop_map(|(key, amount)| Step::Take { key, amount }),
        (1i64..10).prop_map(Step::Lend),
        (1i64..10).prop_map(Step::Back),
        (1i64..10).prop_map(Step::Count),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// Against a bookkeeper who adds everything up anew each time.
    #[test]
    fn decisions_are_those_of_a_slow_bookkeeper(steps in steps(), limit in 0i64..60, hard: bool) {
        let of = of(&[(Per::Month, limit, hard)]);
        let (counter, resets_at) = (of[0].counter.clone(), of[0].counter.window.end());
        let deed = |act: Act| Deed { of: Arc::clone(&of), act, spent: None };
        let mut sheet = Sheet::default();
        let (mut book, mut out): (Vec<i64>, i64) = (Vec::new(), 0);
        let mut by_key: BTreeMap<u8, (i64, Outcome)> = BTreeMap::new();
        for step in steps {
            let used: i64 = book.iter().sum();
            match step {
                Step::Take { key, amount } => {
                    let done = sheet.decide(&take(&of, amount, &key.to_string()), &[80, 100]);
                    if let Some((first, outcome)) = by_key.get(&key) {
                        let same = Done::Took(*outcome, true);
                        prop_assert_eq!(done, if *first == amount { same } else { Done::KeyReused });
                        continue;
                    }
                    let fits = !hard || used + amount <= limit;
                    if fits {
                        book.push(amount);
                    }
                    let used = book.iter().sum();
                    let outcome = Outcome { taken: fits, limit, used, remaining: (limit - used).max(0), resets_at };
                    prop_assert_eq!(done, Done::Took(outcome, false));
                    if fits {
                        by_key.insert(key, (amount, outcome));
                    }
                }
                Step::Lend(wanted) => {
                    let Done::Lent(lent) = sheet.decide(&deed(Act::Lend(wanted)), &[]) else { panic!() };
                    prop_assert!(!hard || lent == 0 || used + lent <= limit);
                    book.push(lent);
                    out += lent;
                }
                Step::Back(amount) => {
                    let amount = amount.min(out);
                    out -= amount;
                    book.push(-amount);
                    sheet.decide(&deed(Act::Back(amount)), &[]);
                }
                Step::Count(amount) => {
                    book.push(amount);
                    let beyond = book.iter().sum::<i64>() - limit;
                    let expected = Done::Counted(if hard { i64::MIN } else { beyond });
                    prop_assert_eq!(sheet.decide(&deed(Act::Count(amount)), &[80, 100]), expected);
                }
            }
            prop_assert_eq!(sheet.used.get(&counter).copied().unwrap_or(0), book.iter().sum::<i64>());
        }
    }

    #[test]
    fn each_threshold_is_reached_once_on_the_way_up(amounts in prop::collection::vec(1i64..40, 0..40), limit in 1i64..300) {
        let thresholds = [50u16, 80, 100, 150];
        let (mut used, mut seen) = (0, Vec::new());
        for amount in amounts {
            seen.extend(crossed(&thresholds, limit, used, used + amount));
            used += amount;
        }
        let expected: Vec<u16> =
            thresholds.into_iter().filter(|percent| used * 100 >= limit * i64::from(*percent)).collect();
        prop_assert_eq!(seen, expected);
    }
}
