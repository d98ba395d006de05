//! The ladder of what stays unpaid: each rung is climbed once, and payment clears all of them.

use super::{Rules, Standing, Subscription, period};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;

/// How far up a state is.
fn height(state: Standing) -> u8 {
    match state {
        Standing::Trialing | Standing::Active | Standing::Paused => 0,
        Standing::PastDue => 1,
        Standing::Restricted => 2,
        Standing::Suspended => 3,
        Standing::Canceled => 4,
    }
}

/// The next rung, and when it is climbed; `None` while nothing is unpaid, or at the top.
///
/// # Errors
/// As [`period::days`].
pub fn next(one: &Subscription, rules: &Rules) -> Result<Option<(Standing, Ts)>> {
    let Some(since) = one.unpaid_since else { return Ok(None) };
    let ladder = &rules.ladder;
    let rungs = [
        (Standing::PastDue, ladder.warn_after_d),
        (Standing::Restricted, ladder.restrict_after_d),
        (Standing::Suspended, ladder.suspend_after_d),
        (Standing::Canceled, ladder.cancel_after_d),
    ];
    let above = rungs.into_iter().find(|(state, days)| *days > 0 && height(*state) > height(one.state));
    above.map(|(state, days)| Ok((state, period::days(since, &rules.zone, days)?))).transpose()
}
