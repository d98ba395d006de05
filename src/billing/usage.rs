//! What was used, as lines of an invoice: they tell, and charge nothing, for a plan has no price beside its own.

use super::model::{Line, LineKind, Period};
use crate::app::App;
use crate::catalog::model::{self, Feature, Metered, Plan};
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;

/// Knows what was used. Billing lies below metering, so it asks whoever was given to it.
pub trait UsageSource: Send + Sync {
    /// How much a tenant used of a meter, from a moment until before another.
    ///
    /// # Errors
    /// The store's.
    fn used_in(&self, conn: &mut Conn, tenant: TenantId, meter: &str, from: Ts, to: Ts) -> Result<i64>;
}

/// A line for each feature of `plan` that is metered and was used in `period`; none when nobody knows.
///
/// # Errors
/// The store's.
pub fn usage_lines_in(
    conn: &mut Conn,
    app: &App,
    tenant: TenantId,
    plan: &Plan,
    period: Period,
) -> Result<Vec<Line>> {
    let Some(source) = &app.usage else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    for (key, feature) in &plan.features {
        if let Feature::Metered(metered) = feature {
            let used = source.used_in(conn, tenant, &metered.meter, period.start, period.end)?;
            lines.extend(line(key, metered, used, period));
        }
    }
    Ok(lines)
}

fn line(key: &str, metered: &Metered, used: i64, period: Period) -> Option<Line> {
    let per = match metered.per {
        model::Period::Hour => "an hour",
        model::Period::Day => "a day",
        model::Period::Month => "a month",
        model::Period::Year => "a year",
    };
    (used > 0).then(|| Line {
        kind: LineKind::Usage,
        description: format!("{key}: used, of {} {per} that the plan holds", metered.limit),
        quantity: used,
        unit_price: 0,
        amount: 0,
        period: Some(period),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::model::Overage;

    #[test]
    fn what_was_used_is_told_and_costs_nothing() {
        let at = Ts::from_micros(0).unwrap();
        let period = Period { start: at, end: at };
        let metered = Metered {
            meter: "calls".into(),
            limit: 10_000,
            per: model::Period::Month,
            overage: Overage::Allow,
        };
        assert_eq!(line("api_calls", &metered, 0, period), None);
        let told = line("api_calls", &metered, 12_345, period).unwrap();
        assert_eq!((told.kind, told.quantity, told.amount), (LineKind::Usage, 12_345, 0));
        assert_eq!(told.description, "api_calls: used, of 10000 a month that the plan holds");
    }
}
