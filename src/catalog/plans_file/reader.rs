//! Takes the fields of a catalogue's file one by one, and collects what is wrong with them.

use std::collections::BTreeMap;

use crate::config::document::{Field, Node, Shape};
use crate::config::problem::{grouped, nearest, one_of};
use crate::config::{Fault, Origin, Problem};

/// What was found so far.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
    pub(super) isolation_at: BTreeMap<String, Origin>,
    /// Where features name meters: the key, the meter, the place.
    pub(super) metered_at: Vec<(String, String, Origin)>,
}

/// The fields of a table, taken one by one.
pub(super) struct Table<'a> {
    pub(super) key: String,
    pub(super) origin: &'a Origin,
    fields: &'a [Field],
}

impl<'a> Table<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        self.fields.iter().find(|field| field.name == name).map(|field| &field.node)
    }
}

impl Reader {
    pub(super) fn refuse(
        &mut self,
        key: &str,
        origin: &Origin,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems.push(Fault::new(detail, remedy).at(key, origin.clone()));
    }

    /// Refuses a value that is not `wanted`.
    pub(super) fn wrong(&mut self, key: &str, node: &Node, wanted: &str) {
        self.refuse(key, &node.origin, format!("is {}", node.shape.words()), format!("give {wanted}"));
    }

    pub(super) fn table<'a>(&mut self, key: String, node: &'a Node, known: &[&str]) -> Option<Table<'a>> {
        let Shape::Table(fields) = &node.shape else {
            self.wrong(&key, node, &format!("a section with {}", one_of(known)));
            return None;
        };
        for field in fields.iter().filter(|field| !known.contains(&field.name.as_str())) {
            let remedy = match nearest(&field.name, known.iter().copied()) {
                Some(near) => format!("did you mean {key}.{near}?"),
                None => format!("allowed are {}", one_of(known)),
            };
            self.refuse(&format!("{key}.{}", field.name), &field.origin, "unknown key", remedy);
        }
        Some(Table { key, origin: &node.origin, fields })
    }

    pub(super) fn name(&mut self, path: &str, name: &str, origin: &Origin) {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let start = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !start || name.len() > 64 || !name.bytes().all(good) {
            let remedy = "use a-z, 0-9, - and _, beginning with a letter, 64 at most";
            self.refuse(path, origin, format!("`{name}` cannot be a name"), remedy);
        }
    }

    pub(super) fn text(&mut self, table: &Table<'_>, name: &str) -> Option<String> {
        let node = table.get(name)?;
        match &node.shape {
            Shape::Text(text) if !text.trim().is_empty() => return Some(text.clone()),
            Shape::Text(_) => self.refuse(&format!("{}.{name}", table.key), &node.origin, "is empty", ""),
            _ => self.wrong(&format!("{}.{name}", table.key), node, "a string"),
        }
        None
    }

    pub(super) fn flag(&mut self, table: &Table<'_>, name: &str) -> Option<bool> {
        let node = table.get(name)?;
        if let Shape::Bool(flag) = node.shape {
            return Some(flag);
        }
        self.wrong(&format!("{}.{name}", table.key), node, "true or false");
        None
    }

    pub(super) fn number(&mut self, table: &Table<'_>, name: &str, min: i64, max: i64) -> Option<u64> {
        let node = table.get(name)?;
        let at = format!("{}.{name}", table.key);
        let range = match max {
            i64::MAX => format!("{} or more", grouped(min)),
            _ => format!("{} to {}", grouped(min), grouped(max)),
        };
        match node.shape {
            Shape::Integer(number) if (min..=max).contains(&number) => return u64::try_from(number).ok(),
            Shape::Integer(number) => {
                let detail = format!("{} is out of range", grouped(number));
                self.refuse(&at, &node.origin, detail, format!("allowed is {range}"));
            }
            _ => self.wrong(&at, node, &format!("a whole number, {range}")),
        }
        None
    }

    pub(super) fn small(&mut self, table: &Table<'_>, name: &str, min: i64, max: i64) -> Option<u32> {
        self.number(table, name, min, max).and_then(|number| u32::try_from(number).ok())
    }

    pub(super) fn choice<T: Copy>(&mut self, table: &Table<'_>, name: &str, all: &[(&str, T)]) -> Option<T> {
        let node = table.get(name)?;
        let words: Vec<&str> = all.iter().map(|(word, _)| *word).collect();
        let at = format!("{}.{name}", table.key);
        let Shape::Text(text) = &node.shape else {
            self.wrong(&at, node, &one_of(&words));
            return None;
        };
        let found = all.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        if found.is_none() {
            let detail = format!("`{text}` is not one of the allowed words");
            let remedy = match nearest(text, words.iter().copied()) {
                Some(near) => format!("did you mean {near}? Allowed are {}", one_of(&words)),
                None => format!("allowed are {}", one_of(&words)),
            };
            self.refuse(&at, &node.origin, detail, remedy);
        }
        found
    }
}
