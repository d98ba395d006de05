//! Features: what a plan says of each, and what holds for plans that do not name one.

use std::collections::{BTreeMap, BTreeSet};

use super::reader::{Reader, Table};
use crate::catalog::model::{Feature, FeatureTerm, Metered, Overage, Period};
use crate::config::document::{Field, Node, Shape};
use crate::config::problem::grouped;

const METERED_KEYS: [&str; 4] = ["meter", "limit", "per", "overage"];
const TERM_KEYS: [&str; 2] = ["name", "default"];
/// Longest word that a feature can be a choice of.
const LONGEST_CHOICE: usize = 200;

impl Reader {
    /// The features of a plan.
    pub(super) fn features(&mut self, plan: &Table<'_>) -> BTreeMap<String, Feature> {
        let Some(node) = plan.get("features") else { return BTreeMap::new() };
        let path = format!("{}.features", plan.key);
        let Shape::Table(fields) = &node.shape else {
            self.wrong(&path, node, "a section of features");
            return BTreeMap::new();
        };
        let mut out = BTreeMap::new();
        for field in fields {
            let at = format!("{path}.{}", field.name);
            self.name(&at, &field.name, &field.origin);
            let feature = self.feature(&at, &field.node);
            out.extend(feature.map(|feature| (field.name.clone(), feature)));
        }
        out
    }

    fn feature(&mut self, at: &str, node: &Node) -> Option<Feature> {
        match &node.shape {
            Shape::Bool(flag) => Some(Feature::Flag(*flag)),
            Shape::Integer(number) => match u64::try_from(*number) {
                Ok(amount) => Some(Feature::Amount(amount)),
                Err(_) => {
                    let detail = format!("{} is below zero", grouped(*number));
                    self.refuse(at, &node.origin, detail, "give 0 or more");
                    None
                }
            },
            Shape::Text(word) if !word.trim().is_empty() && word.chars().count() <= LONGEST_CHOICE => {
                Some(Feature::Choice(word.clone()))
            }
            Shape::Text(_) => {
                let remedy = format!("give a word of 1 to {LONGEST_CHOICE} letters");
                self.refuse(at, &node.origin, "is no word to choose", remedy);
                None
            }
            Shape::Table(_) => self.metered(at.to_owned(), node).map(Feature::Metered),
            _ => {
                let wanted = "true or false, a whole number, a word, or { meter = …, limit = …, per = …, overage = … }";
                self.wrong(at, node, wanted);
                None
            }
        }
    }

    /// One `[features.KEY]`.
    pub(super) fn term(&mut self, field: &Field) -> Option<(String, FeatureTerm)> {
        let at = format!("features.{}", field.name);
        self.name(&at, &field.name, &field.origin);
        let table = self.table(at.clone(), &field.node, &TERM_KEYS)?;
        let name = self.text(&table, "name");
        let default = table.get("default").and_then(|node| self.feature(&format!("{at}.default"), node));
        Some((field.name.clone(), FeatureTerm { name, default }))
    }

    fn metered(&mut self, path: String, node: &Node) -> Option<Metered> {
        let table = self.table(path, node, &METERED_KEYS)?;
        let missing: BTreeSet<&str> =
            METERED_KEYS.into_iter().filter(|name| table.get(name).is_none()).collect();
        for name in missing {
            let at = format!("{}.{name}", table.key);
            self.refuse(
                &at,
                table.origin,
                "is missing",
                format!("a metered feature needs {}", METERED_KEYS.join(", ")),
            );
        }
        let periods =
            [("hour", Period::Hour), ("day", Period::Day), ("month", Period::Month), ("year", Period::Year)];
        let meter = self.text(&table, "meter");
        if let (Some(meter), Some(node)) = (&meter, table.get("meter")) {
            let at = format!("{}.meter", table.key);
            self.name(&at, meter, &node.origin);
            self.metered_at.push((at, meter.clone(), node.origin.clone()));
        }
        let limit = self.number(&table, "limit", 0, i64::MAX);
        let per = self.choice(&table, "per", &periods);
        let overage = self.choice(&table, "overage", &[("deny", Overage::Deny), ("allow", Overage::Allow)]);
        Some(Metered { meter: meter?, limit: limit?, per: per?, overage: overage? })
    }
}
