//! Entries as CSV (RFC 4180), made so that no program takes a cell for a formula.
//!
//! Each cell is quoted, and each line ends in CR LF. A text that begins with one of `= + - @`, a tab, a carriage
//! return, a line feed or `'` gets a `'` put before it: spreadsheets show it as the text it is, and who reads the
//! file with a program takes one leading `'` away.

use super::shown::Shown;

/// The columns.
pub const COLUMNS: [&str; 12] = [
    "id",
    "sequence",
    "type",
    "at",
    "tenant_id",
    "actor_kind",
    "actor_id",
    "address",
    "request_id",
    "outcome",
    "in_stead_of",
    "data",
];

/// The first line.
#[must_use]
pub fn head() -> String {
    let mut out = String::new();
    line(&mut out, COLUMNS);
    out
}

/// Writes the line of `entry`.
pub fn row(out: &mut String, entry: &Shown) {
    let stead = entry.data.get("in_stead_of").map(ToString::to_string).unwrap_or_default();
    let cells = [
        &entry.id.to_string(),
        &entry.sequence,
        &entry.kind,
        &entry.at.to_string(),
        &entry.tenant_id.map(|id| id.to_string()).unwrap_or_default(),
        &entry.actor.kind,
        &entry.actor.id,
        entry.address.as_deref().unwrap_or(""),
        entry.request_id.as_deref().unwrap_or(""),
        entry.outcome.word(),
        &stead,
        &entry.data.to_string(),
    ];
    line(out, cells);
}

fn line<const N: usize>(out: &mut String, cells: [&str; N]) {
    for (at, text) in cells.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        cell(out, text);
    }
    out.push_str("\r\n");
}

fn cell(out: &mut String, text: &str) {
    out.push('"');
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'']) {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A cell that stands alone, as RFC 4180 reads it.
    fn read(written: &str) -> String {
        written.strip_prefix('"').unwrap().strip_suffix('"').unwrap().replace("\"\"", "\"")
    }

    proptest! {
        #[test]
        fn every_text_reads_back_and_none_is_a_formula(text in "[=+@'\t\r\n\"-]?\\PC{0,30}") {
            let mut out = String::new();
            cell(&mut out, &text);
            let shown = read(&out);
            prop_assert!(!shown.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
            prop_assert_eq!(shown.strip_prefix('\'').unwrap_or(&shown), text);
            prop_assert!(!out[1..out.len() - 1].replace("\"\"", "").contains('"'));
        }
    }
}
