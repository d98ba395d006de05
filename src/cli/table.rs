//! Columns that line up.

use super::out::{Look, Paint, look_of};
use super::words;

/// Rows under a heading. The column `STATE` is coloured by its words.
#[derive(Debug, Clone)]
pub struct Table<const N: usize> {
    head: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with this heading and these rows.
    pub fn new(head: [&'static str; N], rows: impl IntoIterator<Item = [String; N]>) -> Self {
        let rows = rows.into_iter().map(|row| row.map(|cell| words::safe(&cell))).collect();
        Self { head, rows }
    }

    /// The text, without a line end after the last row.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut widths = self.head.map(|cell| cell.chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let head =
            line(self.head.iter().zip(widths).map(|(cell, width)| (*cell, width, Look::Strong)), paint);
        let rows = self.rows.iter().map(|row| {
            let cells = row.iter().zip(widths).zip(self.head).map(|((cell, width), head)| {
                let look = if head == "STATE" { look_of(cell) } else { Look::Plain };
                (cell.as_str(), width, look)
            });
            line(cells, paint)
        });
        std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
    }
}

/// Pads after painting, so that escapes do not count; nothing follows the last cell.
fn line<'a>(cells: impl Iterator<Item = (&'a str, usize, Look)>, paint: Paint) -> String {
    let mut out = String::new();
    let mut gap = 0;
    for (cell, width, look) in cells.filter(|(cell, width, _)| *width > 0 || !cell.is_empty()) {
        if cell.is_empty() {
            gap += width + 2;
            continue;
        }
        out.extend(std::iter::repeat_n(' ', gap));
        out.push_str(&paint.paint(look, cell));
        gap = width.saturating_sub(cell.chars().count()) + 2;
    }
    out
}

/// `name: value` lines about one thing; those without a value are left out.
#[must_use]
pub fn facts(facts: &[(&str, Option<String>)], paint: Paint) -> String {
    let width =
        facts.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name.len()).max().unwrap_or(0);
    let shown = facts.iter().filter_map(|(name, value)| {
        let value = words::safe(value.as_deref()?);
        let look = if *name == "state" { look_of(&value) } else { Look::Plain };
        let pad = " ".repeat(width.saturating_sub(name.len()) + 2);
        Some(format!("{}{pad}{}", paint.paint(Look::Faint, name), paint.paint(look, &value)))
    });
    shown.collect::<Vec<_>>().join("\n")
}
