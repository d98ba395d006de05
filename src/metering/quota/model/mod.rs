//! The arithmetic of quotas: windows and limits here, what becomes of those who ask in [`sheet`]. No I/O.

pub mod sheet;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Counter;
use crate::catalog::{Feature, Overage, Period};
use crate::kernel::clock::Ts;
use crate::kernel::id::TenantId;
use crate::words;

/// The most that a verifier's process is lent at once.
const LARGEST_SLICE: i64 = 1_000;
/// A process is lent one of so many parts of what remains, so that little is left over in purses near the end.
const PARTS: i64 = 64;

words! {
    /// After which time a counter begins anew.
    Per as "QuotaPeriod", "period of a quota" {
        /// Each hour.
        Hour = "hour",
        /// Each day.
        Day = "day",
        /// Each month.
        Month = "month",
        /// Each year.
        Year = "year",
    }
}

impl From<Period> for Per {
    fn from(period: Period) -> Self {
        match period {
            Period::Hour => Self::Hour,
            Period::Day => Self::Day,
            Period::Month => Self::Month,
            Period::Year => Self::Year,
        }
    }
}

/// A stretch of the calendar in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// What kind.
    pub per: Per,
    /// Its first moment.
    pub start: Ts,
}

impl Window {
    /// The window that `at` is in.
    #[must_use]
    pub fn of(per: Per, at: Ts) -> Self {
        let micros = at.micros();
        let cut = |length: i64| micros.div_euclid(length).saturating_mul(length);
        let start = match per {
            Per::Hour => cut(3_600_000_000),
            Per::Day => cut(86_400_000_000),
            Per::Month => first(date(at).first_of_month()),
            Per::Year => first(date(at).first_of_year()),
        };
        Self { per, start: Ts::from_micros(start).unwrap_or(at) }
    }

    /// The first moment after it.
    #[must_use]
    pub fn end(self) -> Ts {
        let day = date(self.start);
        let end = match self.per {
            Per::Hour => self.start.micros().saturating_add(3_600_000_000),
            Per::Day => self.start.micros().saturating_add(86_400_000_000),
            Per::Month => day.last_of_month().tomorrow().map_or(i64::MAX, first),
            Per::Year => day.last_of_year().tomorrow().map_or(i64::MAX, first),
        };
        Ts::from_micros(end).unwrap_or(self.start)
    }
}

fn date(at: Ts) -> Date {
    let at = jiff::Timestamp::from_microsecond(at.micros()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::UTC).date()
}

fn first(day: Date) -> i64 {
    let at = day.to_zoned(TimeZone::UTC).map(|at| at.timestamp().as_microsecond());
    at.unwrap_or(0)
}

/// What a plan or an override grants of a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The feature that grants it.
    pub feature: Arc<str>,
    /// In which windows.
    pub per: Per,
    /// How much of it in one.
    pub limit: i64,
    /// Whether there is no more at the limit.
    pub hard: bool,
}

/// The quota that a feature is, with its meter; none for a feature of another kind.
#[must_use]
pub fn quota_of<'a>(key: &str, feature: &'a Feature) -> Option<(&'a str, Quota)> {
    let Feature::Metered(metered) = feature else { return None };
    let quota = Quota {
        feature: key.into(),
        per: metered.per.into(),
        limit: i64::try_from(metered.limit).unwrap_or(i64::MAX),
        hard: metered.overage == Overage::Deny,
    };
    Some((&metered.meter, quota))
}

/// A counter, and one quota that bounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The counter.
    pub counter: Counter,
    /// The quota.
    pub quota: Quota,
}

/// What the quotas on one meter of a tenant are held against at `at`.
#[must_use]
pub fn bounds(tenant: TenantId, meter: &Arc<str>, quotas: &[Quota], at: Ts) -> Arc<[Bound]> {
    let bound = |quota: &Quota| {
        let window = Window::of(quota.per, at);
        Bound { counter: Counter { tenant, meter: Arc::clone(meter), window }, quota: quota.clone() }
    };
    quotas.iter().map(bound).collect()
}

/// How much a verifier's process is lent: `wanted` for those who wait, and a part of what then remains. All or
/// nothing of the first.
#[must_use]
pub fn slice(remaining: i64, wanted: i64) -> i64 {
    if remaining < wanted {
        return remaining.max(0);
    }
    let rest = remaining - wanted;
    wanted + (rest / PARTS).clamp(1, LARGEST_SLICE).min(rest)
}

/// The thresholds, in per cent of `limit`, that use reaches on its way from `before` to `after`.
pub fn crossed(
    thresholds: &[u16],
    limit: i64,
    before: i64,
    after: i64,
) -> impl Iterator<Item = u16> + use<'_> {
    thresholds.iter().copied().filter(move |percent| {
        // Rounded up: at 80 % of 3 all 3 are used, not 2.
        let at = (i128::from(limit) * i128::from(*percent) + 99) / 100;
        limit > 0 && i128::from(before) < at && at <= i128::from(after)
    })
}
