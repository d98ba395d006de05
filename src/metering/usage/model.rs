//! What is asked of usage, and its answer from sums by the hour. No I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Zoned};
use serde::Serialize;
use utoipa::ToSchema;

use crate::catalog::{Aggregation, Meter};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, FieldError, Result};
use crate::metering::counted::Mark;
use crate::metering::rollups::model::{HOUR, Sum, Tally, hour_of};
use crate::words;

/// Most rows of an answer.
pub const MOST_ROWS: usize = 10_000;
/// Most properties to tell apart by.
const MOST_GROUPS: usize = 8;

words! {
    /// In which stretches of time to answer.
    Step as "UsageWindow", "window" {
        /// Each hour.
        Hour = "hour",
        /// Each day of the time zone.
        Day = "day",
        /// Each month of the time zone.
        Month = "month",
    }
}

/// What is asked, as it was sent.
#[derive(Debug, Default)]
pub struct Wish {
    /// Of which meter; of all when absent.
    pub meter: Option<String>,
    /// From when on; from the beginning of this month when absent.
    pub from: Option<String>,
    /// Until before when; until now when absent.
    pub to: Option<String>,
    /// In which stretches; in one when absent.
    pub window: Option<String>,
    /// By whose calendar; UTC when absent.
    pub time_zone: Option<String>,
    /// Properties to tell apart by, with commas between.
    pub group_by: Option<String>,
    /// `property:value` pairs, with commas between.
    pub filter: Option<String>,
}

/// What is asked, whole hours and whole windows.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Of which meter.
    pub meter: Option<String>,
    /// From when on.
    pub from: Ts,
    /// Until before when.
    pub to: Ts,
    /// In which stretches.
    pub window: Option<Step>,
    /// By whose calendar.
    pub zone: TimeZone,
    /// Its name.
    pub time_zone: String,
    /// Properties to tell apart by.
    pub group_by: Vec<String>,
    /// The values that each of these properties may have.
    pub filter: BTreeMap<String, Vec<String>>,
}

impl Wish {
    /// What is asked, when it can be answered.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming each bad parameter.
    pub fn ask(self, now: Ts) -> Result<Ask> {
        let mut wrong = Vec::new();
        let mut fault = |pointer: &str, detail: String| {
            wrong.push(FieldError { pointer: format!("?{pointer}"), detail });
        };
        let time_zone = self.time_zone.unwrap_or_else(|| "UTC".into());
        let zone = TimeZone::get(&time_zone).unwrap_or_else(|_| {
            fault("time_zone", "is no name of the tz database, for instance Europe/Berlin".into());
            TimeZone::UTC
        });
        let mut moment = |name: &str, text: Option<String>| {
            let text = text?;
            let read = text.parse::<Ts>().ok();
            if read.is_none() {
                fault(name, "is no moment as RFC 3339 writes it, for instance 2026-03-01T00:00:00Z".into());
            }
            read
        };
        let (from, to) = (moment("from", self.from), moment("to", self.to));
        let window = self.window.and_then(|text| {
            let read = text.parse::<Step>();
            if let Err(detail) = &read {
                fault("window", detail.clone());
            }
            read.ok()
        });
        let list = |text: Option<String>| -> Vec<String> {
            let text = text.unwrap_or_default();
            text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
        };
        let group_by = list(self.group_by);
        if group_by.len() > MOST_GROUPS {
            fault("group_by", format!("names more than {MOST_GROUPS} properties"));
        }
        let mut filter: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in list(self.filter) {
            match pair.split_once(':') {
                Some((name, value)) => filter.entry(name.into()).or_default().push(value.into()),
                None => fault("filter", "is no list of property:value pairs with commas between".into()),
            }
        }
        let step = window.unwrap_or(Step::Hour);
        let month = || start_of(Step::Month, now, &zone);
        let (from, to) = (from.or_else(month), to.unwrap_or(now));
        let from = from.and_then(|from| start_of(step, from, &zone));
        let to = start_of(step, to, &zone)
            .and_then(|start| if start < to { next(step, start, &zone) } else { Some(start) });
        let (Some(from), Some(to)) = (from, to) else {
            fault("from", "is out of range".into());
            return Err(Error::Invalid(wrong));
        };
        if from >= to {
            fault("to", "is not after from".into());
        }
        let hours = to.micros().saturating_sub(from.micros()) / HOUR;
        let most = match window {
            Some(Step::Hour) => 62 * 24,
            Some(Step::Day) | None => 1_100 * 24,
            Some(Step::Month) => 3_700 * 24,
        };
        if hours > most {
            fault("to", format!("is more than {} days after from", most / 24));
        }
        let whole = |at: Ts| hour_of(at) == at;
        if !whole(from) || !whole(to) {
            fault("time_zone", "does not begin its days at a whole hour of UTC, by which use is kept".into());
        }
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        Ok(Ask { meter: self.meter, from, to, window, zone, time_zone, group_by, filter })
    }
}

/// The first moment of the window that `at` is in.
fn start_of(step: Step, at: Ts, zone: &TimeZone) -> Option<Ts> {
    let local = || at.timestamp().to_zoned(zone.clone());
    match step {
        Step::Hour => Some(hour_of(at)),
        Step::Day => local().start_of_day().ok().map(|day| moment(&day)),
        Step::Month => local().first_of_month().ok()?.start_of_day().ok().map(|day| moment(&day)),
    }
}

fn moment(at: &Zoned) -> Ts {
    Ts::of(at.timestamp())
}

/// The first moment after the window that begins at `start`.
fn next(step: Step, start: Ts, zone: &TimeZone) -> Option<Ts> {
    let local = start.timestamp().to_zoned(zone.clone());
    match step {
        Step::Hour => Ts::from_micros(start.micros().saturating_add(HOUR)),
        Step::Day => local.date().tomorrow().ok()?.to_zoned(zone.clone()).ok().map(|day| moment(&day)),
        Step::Month => {
            let day = local.date().checked_add(1.month()).ok()?.first_of_month();
            day.to_zoned(zone.clone()).ok().map(|day| moment(&day))
        }
    }
}

/// What was used in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = UsageRow)]
pub struct Row {
    /// Of what.
    pub meter: String,
    /// From when on.
    pub start: Ts,
    /// Until before when.
    pub end: Ts,
    /// Told apart by these; null where an event does not say.
    pub group: BTreeMap<String, Option<String>>,
    /// How much, as the meter adds up.
    pub value: i64,
    /// How many events.
    pub events: i64,
}

/// What was used of a meter in all the time that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = UsageTotal)]
pub struct Total {
    /// Of what.
    pub meter: String,
    /// How the meter adds up.
    pub aggregation: Aggregation,
    /// How much.
    pub value: i64,
    /// How many events.
    pub events: i64,
}

/// The answer: rows in the order of meter, time and group, and the totals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// A row each.
    pub rows: Vec<Row>,
    /// A meter each.
    pub totals: Vec<Total>,
}

#[derive(Default)]
struct Heap {
    sum: Option<Sum>,
    marks: BTreeSet<Mark>,
}

impl Heap {
    fn put(&mut self, sum: &Sum) {
        match &mut self.sum {
            Some(known) => known.merge(sum),
            None => self.sum = Some(*sum),
        }
    }

    fn value(&self, aggregation: Aggregation) -> i64 {
        let Some(sum) = &self.sum else { return 0 };
        match aggregation {
            // Each event counts 1; what was taken from a quota counts as many as were taken.
            Aggregation::Count => sum.total,
            Aggregation::Sum => sum.total,
            Aggregation::Max => sum.most,
            Aggregation::Latest => sum.last.2,
            Aggregation::Unique => i64::try_from(self.marks.len()).unwrap_or(i64::MAX),
        }
    }

    fn events(&self) -> i64 {
        self.sum.map_or(0, |sum| sum.events)
    }
}

type Group = BTreeMap<String, Option<String>>;

/// What of `tally` answers `ask`.
///
/// # Errors
/// [`Error::Refused`] `too_many_rows`; [`Error::Internal`] for groups that cannot be read.
pub fn tell(ask: &Ask, tally: &Tally, meters: &BTreeMap<String, Meter>) -> Result<Told> {
    let mut groups: HashMap<&str, Option<Group>> = HashMap::new();
    let mut starts: HashMap<Ts, Ts> = HashMap::new();
    let mut heaps: BTreeMap<(&str, Ts, Group), Heap> = BTreeMap::new();
    let mut totals: BTreeMap<&str, Heap> = BTreeMap::new();
    let in_range = |hour: Ts| (ask.from..ask.to).contains(&hour);
    let of_meter = |meter: &str| ask.meter.as_deref().is_none_or(|wanted| wanted == meter);
    let sums = tally.cells.iter().map(|(cell, sum)| (cell, Ok(sum)));
    let marks = tally.uniques.iter().map(|(cell, mark)| (cell, Err(*mark)));
    for (cell, what) in sums.chain(marks) {
        if !in_range(cell.hour) || !of_meter(&cell.meter) {
            continue;
        }
        if !groups.contains_key(cell.group.as_str()) {
            groups.insert(&cell.group, projected(ask, &cell.group)?);
        }
        let Some(Some(group)) = groups.get(cell.group.as_str()) else { continue };
        let start = *starts.entry(cell.hour).or_insert_with(|| match ask.window {
            None => ask.from,
            Some(step) => start_of(step, cell.hour, &ask.zone).unwrap_or(cell.hour),
        });
        let total = totals.entry(&cell.meter).or_default();
        let heap = heaps.entry((&cell.meter, start, group.clone())).or_default();
        match what {
            Ok(sum) => {
                heap.put(sum);
                total.put(sum);
            }
            Err(mark) => {
                heap.marks.insert(mark);
                total.marks.insert(mark);
            }
        }
        if heaps.len() > MOST_ROWS {
            let detail = format!(
                "the answer has more than {MOST_ROWS} rows: ask for less time, longer windows or fewer groups"
            );
            return Err(Error::refused("too_many_rows", detail));
        }
    }
    let aggregation = |meter: &str| meters.get(meter).map_or(Aggregation::Sum, |meter| meter.aggregation);
    let row = |((meter, start, group), heap): ((&str, Ts, Group), Heap)| Row {
        meter: meter.to_owned(),
        start,
        end: ask.window.map_or(ask.to, |step| next(step, start, &ask.zone).unwrap_or(ask.to)),
        group,
        value: heap.value(aggregation(meter)),
        events: heap.events(),
    };
    let total = |(meter, heap): (&str, Heap)| Total {
        meter: meter.to_owned(),
        aggregation: aggregation(meter),
        value: heap.value(aggregation(meter)),
        events: heap.events(),
    };
    Ok(Told { rows: heaps.into_iter().map(row).collect(), totals: totals.into_iter().map(total).collect() })
}

/// What of a group is asked for; `None` for one that the filter leaves out.
fn projected(ask: &Ask, text: &str) -> Result<Option<Group>> {
    let all: BTreeMap<String, String> = match text {
        "" => BTreeMap::new(),
        text => serde_json::from_str(text).map_err(Error::internal)?,
    };
    let passes =
        ask.filter.iter().all(|(name, values)| all.get(name).is_some_and(|held| values.contains(held)));
    Ok(passes.then(|| ask.group_by.iter().map(|name| (name.clone(), all.get(name).cloned())).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Ts {
        text.parse().unwrap()
    }

    fn asked(from: &str, to: &str, window: &str, zone: &str) -> Result<Ask> {
        let text = |text: &str| Some(text.to_owned());
        let wish = Wish {
            from: text(from),
            to: text(to),
            window: text(window),
            time_zone: text(zone),
            ..Wish::default()
        };
        wish.ask(at("2026-07-15T10:30:00Z"))
    }

    #[test]
    fn windows_are_whole_days_and_months_of_their_zone() {
        let berlin = asked("2026-03-29T12:00:00Z", "2026-03-29T12:00:01Z", "day", "Europe/Berlin").unwrap();
        // The day on which the clocks go forward has 23 hours.
        assert_eq!((berlin.from, berlin.to), (at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z")));
        let month = asked("2026-01-31T12:00:00Z", "2026-02-01T00:00:00Z", "month", "UTC").unwrap();
        assert_eq!((month.from, month.to), (at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z")));
        let none = Wish::default().ask(at("2026-07-15T10:30:00Z")).unwrap();
        assert_eq!((none.from, none.to), (at("2026-07-01T00:00:00Z"), at("2026-07-15T11:00:00Z")));
    }

    #[test]
    fn what_cannot_be_answered_is_named_all_at_once() {
        let pointers = |result: Result<Ask>| match result {
            Err(Error::Invalid(all)) => all.into_iter().map(|one| one.pointer).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(pointers(asked("x", "y", "week", "Mars")), ["?time_zone", "?from", "?to", "?window"]);
        assert_eq!(pointers(asked("2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z", "day", "UTC")), ["?to"]);
        assert_eq!(pointers(asked("2020-02-01T00:00:00Z", "2026-01-01T00:00:00Z", "hour", "UTC")), ["?to"]);
        assert_eq!(
            pointers(asked("2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z", "day", "Asia/Kolkata")),
            ["?time_zone"]
        );
    }
}
