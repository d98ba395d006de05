//! Text made fit to print: moments and waits as people read them, and nothing that could steer a terminal.

use std::time::Duration;

use jiff::Timestamp;

use crate::billing::model::money::written;

/// One line of text from outside: what would steer the terminal, or reorder what is read, is shown as its
/// code. Names and reasons come from customers, so this is a matter of safety.
#[must_use]
pub fn safe(text: &str) -> String {
    escaped(text, false)
}

/// As [`safe`], but line ends stay; further lines are indented.
#[must_use]
pub fn lines(text: &str) -> String {
    escaped(text, true).replace('\n', "\n  ")
}

fn escaped(text: &str, keep_lines: bool) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) && !(keep_lines && c == '\n') { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// `49.00 EUR a month` for a price in minor units.
#[must_use]
pub fn price(minor: u64, currency: &str, interval: &str) -> String {
    let amount = written(i64::try_from(minor).unwrap_or(i64::MAX), currency);
    safe(&format!("{amount} a {interval}"))
}

/// `2026-11-23 07:43 UTC` for an RFC 3339 moment; other text stays as it is.
#[must_use]
pub fn moment(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => safe(text),
    }
}

/// As [`moment`]; `-` when there is none.
#[must_use]
pub fn moment_or_dash(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), moment)
}

/// `4 s`, `12 min`, `3 h`, `7 d`: the nearest unit that says enough.
#[must_use]
pub fn wait(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7_200 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Reads `2027-01-31T08:00:00Z`, or a day as its beginning in UTC, and gives RFC 3339 in UTC.
///
/// # Errors
/// What would be right.
pub fn parse_moment(text: &str) -> Result<String, String> {
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let at = text.parse::<Timestamp>().ok().or_else(|| day().map(|day| day.timestamp()));
    at.map(|at| at.to_string()).ok_or_else(|| {
        "give a day (2027-01-31) or a moment with its offset (2027-01-31T08:00:00Z)".to_owned()
    })
}
