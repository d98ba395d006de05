//! Calendar periods. They count from an anchor, never from one another, so that a subscription of the 31st is
//! due on the last day of each short month and on the 31st of each long one.

use jiff::Span;
use jiff::tz::TimeZone;

use crate::catalog::Interval;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};

/// The time zone of that name.
///
/// # Errors
/// [`Error::Internal`] for none of the tz database.
pub fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(Error::internal)
}

/// `anchor` and `count` intervals, by the calendar of the zone: the same day of the month, or its last day when
/// it is shorter, at the same time on the clock. A time that the clock leaves out is an hour later; one that it
/// shows twice is the first.
///
/// # Errors
/// [`Error::Internal`] beyond the end of the calendar.
pub fn nth(anchor: Ts, zone: &TimeZone, interval: Interval, count: i32) -> Result<Ts> {
    let span = match interval {
        Interval::Month => Span::new().try_months(count),
        Interval::Year => Span::new().try_years(count),
    };
    after(anchor, zone, span.map_err(Error::internal)?)
}

/// `from` and so many days of the zone's calendar.
///
/// # Errors
/// [`Error::Internal`] beyond the end of the calendar.
pub fn days(from: Ts, zone: &TimeZone, count: u32) -> Result<Ts> {
    after(from, zone, Span::new().try_days(i64::from(count)).map_err(Error::internal)?)
}

fn after(from: Ts, zone: &TimeZone, span: Span) -> Result<Ts> {
    let there = from.timestamp().to_zoned(zone.clone()).checked_add(span).map_err(Error::internal)?;
    Ok(Ts::of(there.timestamp()))
}
