//! The rules against a slow model of them that lives from day to day: no periods computed ahead, nothing written
//! down for later, a calendar of its own that walks.

mod life;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::bill::{Bill, share};
use super::*;
use crate::catalog::{Interval, Limits, Plan};

const DAY: i64 = 86_400_000_000;
/// Noon of 1 January 2023, in days since 1970.
const FIRST: i64 = 19_358;
fn at(day: i64) -> Ts {
    Ts::from_micros(day * DAY + DAY / 2).unwrap()
}

fn rules() -> Rules {
    let ladder = Dunning { warn_after_d: 5, restrict_after_d: 9, suspend_after_d: 20, cancel_after_d: 50 };
    Rules { zone: TimeZone::UTC, ladder }
}

fn plan(key: &str, price: u64, interval: Interval, trial_days: u32) -> PlanVersion {
    let plan = Plan {
        key: key.to_owned(),
        name: key.to_owned(),
        price,
        currency: Some("EUR".to_owned()),
        interval,
        trial_days,
        isolation: None,
        public: true,
        features: Default::default(),
        limits: Limits::default(),
    };
    PlanVersion { id: PlanVersionId::mint(), number: 1, created_at: at(0), plan }
}

fn plans() -> Vec<PlanVersion> {
    vec![
        plan("free", 0, Interval::Month, 0),
        plan("basic", 1_000, Interval::Month, 14),
        plan("pro", 3_333, Interval::Month, 0),
        plan("annual", 29_999, Interval::Year, 30),
    ]
}

// ---- the slow calendar ----

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn length(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month and day of the month, by walking from 1970.
fn date(of: i64) -> (i64, i64, i64) {
    let (mut year, mut month, mut left) = (1970, 1, of);
    while left >= length(year, month) {
        left -= length(year, month);
        month += 1;
        if month == 13 {
            (year, month) = (year + 1, 1);
        }
    }
    (year, month, left + 1)
}

/// The day `count` months after `from`: walks on until it is there.
fn months_after(from: i64, count: i64) -> i64 {
    let (year, month, wanted) = date(from);
    let index = year * 12 + month - 1 + count;
    let mut there = from;
    loop {
        let (year, month, day) = date(there);
        if year * 12 + month - 1 == index && day == wanted.min(length(year, month)) {
            return there;
        }
        there += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn periods_are_those_of_the_walking_calendar(from in 0i64..30_000, count in 0i32..40) {
        let month = period::nth(at(from), &TimeZone::UTC, Interval::Month, count).unwrap();
        prop_assert_eq!(month, at(months_after(from, i64::from(count))));
        let year = period::nth(at(from), &TimeZone::UTC, Interval::Year, count / 4).unwrap();
        prop_assert_eq!(year, at(months_after(from, i64::from(count / 4) * 12)));
    }

    #[test]
    fn a_share_is_the_nearest_whole_number_and_halves_are_even(price in 0u64..10_000_000, some in 0i64..1_000_000, more in 1i64..1_000_000) {
        let whole = some + more;
        let amount = share(price, some, whole).unwrap();
        let twice_off = (i128::from(amount) * i128::from(whole) - i128::from(price) * i128::from(some)) * 2;
        prop_assert!(twice_off.abs() <= i128::from(whole));
        prop_assert!(twice_off.abs() != i128::from(whole) || amount % 2 == 0);
        // What is used and what is not are the price, together.
        let used = i64::try_from(price).unwrap() - amount;
        prop_assert!(used >= 0 && amount >= 0);
    }
}

#[test]
fn the_31st_is_the_last_day_of_short_months_and_the_clock_stays_as_it_is() {
    let berlin = period::zone("Europe/Berlin").unwrap();
    let anchor: Ts = "2028-01-31T09:00:00Z".parse().unwrap();
    let nth = |n| period::nth(anchor, &berlin, Interval::Month, n).unwrap().to_string();
    assert_eq!([1, 2, 3].map(nth), ["2028-02-29T09:00:00Z", "2028-03-31T08:00:00Z", "2028-04-30T08:00:00Z"]);
    assert_eq!([13, 14].map(nth), ["2029-02-28T09:00:00Z", "2029-03-31T08:00:00Z"]);
    let leap: Ts = "2028-02-29T12:00:00Z".parse().unwrap();
    let year = |n| period::nth(leap, &TimeZone::UTC, Interval::Year, n).unwrap().to_string();
    assert_eq!([1, 4].map(year), ["2029-02-28T12:00:00Z", "2032-02-29T12:00:00Z"]);
    // 02:30 does not exist on that day, and exists twice on the other.
    let spring: Ts = "2027-02-28T01:30:00Z".parse().unwrap();
    let next = period::nth(spring, &berlin, Interval::Month, 1).unwrap();
    assert_eq!(next.to_string(), "2027-03-28T01:30:00Z");
    let autumn: Ts = "2027-09-30T22:30:00Z".parse().unwrap();
    let next = period::nth(autumn, &berlin, Interval::Month, 1).unwrap();
    assert_eq!(next.to_string(), "2027-10-31T23:30:00Z");
}

#[test]
fn an_upgrade_within_a_period_settles_the_rest_of_it_to_the_cent() {
    let (plans, rules) = (plans(), rules());
    let one = Subscription::begin(TenantId::mint(), &plans[2], "UTC", &rules.zone, at(FIRST)).unwrap();
    // 31 days; after 10 of them 21 are left.
    let down = one.clone().change_now(&plans[2], &plans[1], &rules, at(FIRST + 10)).unwrap();
    let amounts = |bill: Option<Bill>| bill.unwrap().charges.iter().map(|one| one.amount).collect::<Vec<_>>();
    assert_eq!(amounts(down.bill), [-2_258, 677]);
    let year = one.change_now(&plans[2], &plans[3], &rules, at(FIRST + 10)).unwrap();
    assert_eq!(amounts(year.bill), [-2_258, 29_999]);
    assert_eq!((year.one.period_start, year.one.period_end), (at(FIRST + 10), at(FIRST + 10 + 365)));
}
