//! What `tenantry config check | show | diff | schema` say. Every function gives the text to print; with
//! `json` it is one JSON document, stable for programs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::inputs::Inputs;
use super::load::{Entry, Loaded, load};
use super::problem::{Origin, Problem, Problems};

/// What `config check` found.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Whether the server would start with it; the exit code is 0 when true, else 2.
    pub ok: bool,
    /// What must be mended.
    pub problems: Vec<Problem>,
    /// What deserves a second look.
    pub warnings: Vec<Problem>,
}

/// The outcome of a load as a report; `load` may have checked more than the config, such as the plans.
#[must_use]
pub fn check(outcome: Result<&Loaded, &Problems>) -> Check {
    match outcome {
        Ok(loaded) => Check { ok: true, problems: Vec::new(), warnings: loaded.warnings.clone() },
        Err(problems) => Check { ok: false, problems: problems.0.clone(), warnings: Vec::new() },
    }
}

impl Check {
    /// For people: a line per problem and warning, then the verdict. With `json`, `{ok, problems, warnings}`.
    #[must_use]
    pub fn text(&self, json: bool) -> String {
        if json {
            return pretty(&json!(self));
        }
        let mut lines: Vec<String> = self.problems.iter().map(|it| format!("error: {it}")).collect();
        lines.extend(self.warnings.iter().map(|it| format!("warning: {it}")));
        lines.push(match self.problems.len() {
            0 => "ok".to_owned(),
            1 => "1 problem; nothing was changed".to_owned(),
            many => format!("{many} problems; nothing was changed"),
        });
        lines.join("\n")
    }
}

/// The effective keys with their values and sources: a table for people, or with `json` `{data: [Entry]}`.
#[must_use]
pub fn show(loaded: &Loaded, json: bool) -> String {
    if json {
        return pretty(&json!({ "data": loaded.entries }));
    }
    let rows = loaded.entries.iter().map(|entry| {
        let source = match &entry.via {
            Some(via) => format!("{}, by {via}", short(&entry.source)),
            None => short(&entry.source),
        };
        [entry.key.clone(), entry.value.to_string(), source]
    });
    table(["KEY", "VALUE", "SOURCE"], rows)
}

/// The JSON Schema of a config file.
#[must_use]
pub fn schema() -> String {
    pretty(&super::schema::schema())
}

/// A key that differs between two configs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Dotted from the root.
    pub key: String,
    /// The first config's value; `null` when it has no such key.
    pub before: Value,
    /// The second config's value; `null` when it has no such key.
    pub after: Value,
    /// Where the second config has it from (the first one when the second has no such key).
    pub source: Origin,
    /// The values differ in a part that is masked.
    pub secret_differs: bool,
}

/// Which effective values differ between two config files, each over the defaults and without the
/// environment's keys; `before` is the defaults alone when absent. `inputs` gives the directory and what
/// `env:NAME` refers to.
///
/// # Errors
/// All problems of both files.
pub fn diff(inputs: &Inputs, before: Option<PathBuf>, after: PathBuf) -> Result<Vec<Change>, Problems> {
    let of = |file: Option<PathBuf>| load(&inputs.only_files(file.into_iter().collect()));
    match (of(before), of(Some(after))) {
        (Ok(before), Ok(after)) => Ok(changes(&before, &after)),
        (before, after) => {
            let found = [before.err(), after.err()].into_iter().flatten().flat_map(|it| it.0).collect();
            Problems::or(found, Vec::new())
        }
    }
}

/// Which effective values differ between two configs.
#[must_use]
pub fn changes(before: &Loaded, after: &Loaded) -> Vec<Change> {
    let mut sides: BTreeMap<&str, [Option<&Entry>; 2]> = BTreeMap::new();
    for entry in &before.entries {
        sides.entry(&entry.key).or_default()[0] = Some(entry);
    }
    for entry in &after.entries {
        sides.entry(&entry.key).or_default()[1] = Some(entry);
    }
    let value = |side: Option<&Entry>| side.map_or(Value::Null, |entry| entry.value.clone());
    let digest = |side: Option<&Entry>| side.and_then(|entry| entry.digest);
    sides
        .into_iter()
        .filter_map(|(key, [old, new])| {
            let (before, after) = (value(old), value(new));
            let secret_differs = before == after && digest(old) != digest(new);
            let source = new.or(old)?.source.clone();
            (before != after || secret_differs).then(|| Change {
                key: key.to_owned(),
                before,
                after,
                source,
                secret_differs,
            })
        })
        .collect()
}

/// The changes as a table for people, or with `json` `{data: [Change]}`.
#[must_use]
pub fn changes_text(changes: &[Change], json: bool) -> String {
    if json {
        return pretty(&json!({ "data": changes }));
    }
    if changes.is_empty() {
        return "no difference".to_owned();
    }
    let shown = |value: &Value| if value.is_null() { "-".to_owned() } else { value.to_string() };
    let rows = changes.iter().map(|change| {
        let after = if change.secret_differs { "another secret".to_owned() } else { shown(&change.after) };
        [change.key.clone(), shown(&change.before), after, short(&change.source)]
    });
    table(["KEY", "BEFORE", "AFTER", "SOURCE"], rows)
}

/// A place without its column, which only matters for mistakes.
fn short(origin: &Origin) -> String {
    match origin {
        Origin::File { file, line: Some(line), .. } => format!("{file}:{line}"),
        other => other.to_string(),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let mut widths = [0usize; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
