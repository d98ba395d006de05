//! Medians, spreads and ratios.

use std::time::Duration;

use serde_json::{Value, json};

/// The median, the least and the greatest of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

impl Spread {
    /// The spread of these figures; there must be one at least.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut all: Vec<_> = figures.into_iter().collect();
        all.sort_by(f64::total_cmp);
        let (half, last) = (all.len() / 2, all.len() - 1);
        let median = if all.len() % 2 == 1 { all[half] } else { f64::midpoint(all[half - 1], all[half]) };
        Self { median, least: all[0], most: all[last] }
    }

    /// The spread of `a / b`, round by round: what both suffered in the same seconds cancels out.
    pub fn ratio(a: &[f64], b: &[f64]) -> Self {
        Self::of(a.iter().zip(b).map(|(a, b)| a / b))
    }

    /// As JSON.
    pub fn json(self) -> Value {
        json!({ "median": self.median, "least": self.least, "most": self.most })
    }
}

/// The figure below which this share of the (sorted) figures lies.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted[at.clamp(1, sorted.len()) - 1]
}

/// Milliseconds with their fraction.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
