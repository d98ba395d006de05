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

fn rungs(rules: &Rules) -> impl DoubleEndedIterator<Item = (Standing, u32)> {
    let ladder = &rules.ladder;
    let all = [
        (Standing::PastDue, ladder.warn_after_d),
        (Standing::Restricted, ladder.restrict_after_d),
        (Standing::Suspended, ladder.suspend_after_d),
        (Standing::Canceled, ladder.cancel_after_d),
    ];
    all.into_iter().filter(|(_, days)| *days > 0)
}

/// The next rung, and when it is climbed; `None` while nothing is unpaid, or at the top.
///
/// # Errors
/// As [`period::days`].
pub fn next(one: &Subscription, rules: &Rules) -> Result<Option<(Standing, Ts)>> {
    let Some(since) = one.unpaid_since else { return Ok(None) };
    let above = rungs(rules).find(|(state, _)| height(*state) > height(one.state));
    above.map(|(state, days)| Ok((state, period::days(since, &rules.zone, days)?))).transpose()
}

/// How high the ladder is climbed by `now`, at most to where the subscription stands.
///
/// # Errors
/// As [`period::days`].
pub fn reached(one: &Subscription, rules: &Rules, now: Ts) -> Result<Standing> {
    let Some(since) = one.unpaid_since else { return Ok(Standing::Active) };
    for (state, days) in rungs(rules).rev() {
        if height(state) <= height(one.state) && period::days(since, &rules.zone, days)? <= now {
            return Ok(state);
        }
    }
    Ok(Standing::Active)
}
