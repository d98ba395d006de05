//! Meters: one `[meters.KEY]` each.

use super::reader::{Reader, Table};
use crate::catalog::meters::{Aggregation, Meter};
use crate::config::document::{Field, Shape};

const METER_KEYS: [&str; 4] = ["aggregation", "value", "group_by", "event_type"];
/// Most properties that a meter tells use apart by.
const MOST_GROUPS: usize = 8;
/// Longest name of a property and of a type of events.
const LONGEST: usize = 128;

impl Reader {
    /// One `[meters.KEY]`.
    pub(super) fn meter(&mut self, field: &Field) -> Option<(String, Meter)> {
        let at = format!("meters.{}", field.name);
        self.name(&at, &field.name, &field.origin);
        let table = self.table(at.clone(), &field.node, &METER_KEYS)?;
        if table.get("aggregation").is_none() {
            let words = Aggregation::ALL.map(Aggregation::word).join(", ");
            self.refuse(
                &format!("{at}.aggregation"),
                &field.origin,
                "is missing",
                format!("give one of {words}"),
            );
        }
        let words = Aggregation::ALL.map(|one| (one.word(), one));
        let aggregation = self.choice(&table, "aggregation", &words);
        let value = self.property(&table, "value");
        let event_type = self.property(&table, "event_type");
        match (aggregation, table.get("value")) {
            (Some(Aggregation::Count), Some(node)) => self.refuse(
                &format!("{at}.value"),
                &node.origin,
                "means nothing to a meter that counts events",
                "leave it out, or give another aggregation",
            ),
            (Some(other), None) if other != Aggregation::Count => self.refuse(
                &format!("{at}.value"),
                &field.origin,
                format!("is missing, and the aggregation is {other}"),
                "name the property of an event's data that holds the value",
            ),
            _ => {}
        }
        let group_by = self.groups(&table);
        Some((field.name.clone(), Meter { aggregation: aggregation?, value, group_by, event_type }))
    }

    /// A name of a property or of a type of events.
    fn property(&mut self, table: &Table<'_>, name: &str) -> Option<String> {
        let text = self.text(table, name)?;
        if text.chars().count() > LONGEST
            && let Some(node) = table.get(name)
        {
            let remedy = format!("give {LONGEST} letters at most");
            self.refuse(&format!("{}.{name}", table.key), &node.origin, "is too long", remedy);
        }
        Some(text)
    }

    fn groups(&mut self, table: &Table<'_>) -> Vec<String> {
        let Some(node) = table.get("group_by") else { return Vec::new() };
        let at = format!("{}.group_by", table.key);
        let Shape::List(items) = &node.shape else {
            self.wrong(&at, node, "a list of names of properties");
            return Vec::new();
        };
        if items.len() > MOST_GROUPS {
            let detail = format!("has {} names", items.len());
            self.refuse(&at, &node.origin, detail, format!("give {MOST_GROUPS} at most"));
        }
        let mut out: Vec<String> = Vec::new();
        for item in items {
            match &item.shape {
                Shape::Text(name) if out.contains(name) => {
                    self.refuse(&at, &item.origin, format!("names `{name}` twice"), "once is enough");
                }
                Shape::Text(name) if !name.trim().is_empty() && name.chars().count() <= LONGEST => {
                    out.push(name.clone());
                }
                Shape::Text(_) => {
                    let remedy = format!("give names of 1 to {LONGEST} letters");
                    self.refuse(&at, &item.origin, "holds what is no name", remedy);
                }
                _ => self.wrong(&at, item, "names of properties"),
            }
        }
        out
    }

    /// A quota needs a meter that adds up.
    pub(super) fn meters_of_quotas<'a>(&mut self, meter: impl Fn(&str) -> Option<&'a Meter>) {
        for (key, name, origin) in std::mem::take(&mut self.metered_at) {
            let declared = meter(&name).map(|meter| meter.aggregation);
            if let Some(aggregation) = declared.filter(|aggregation| !aggregation.adds_up()) {
                let detail =
                    format!("has a limit, and `{name}` is a meter of {aggregation}, which does not add up");
                self.refuse(&key, &origin, detail, "name a meter of count or sum");
            }
        }
    }
}
