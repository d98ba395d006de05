//! The generic cell rate algorithm: a rate with a burst, in one number of state. Pure: the caller keeps the
//! number, and says what time it is.
//!
//! The state is the theoretical arrival time (TAT): the moment at which the bucket would be full again.
//! A request of cost `c` moves it `c` intervals ahead, and conforms while that stays within the burst's
//! length from now (ITU-T I.371, the virtual scheduling form).

use std::time::Duration;

use serde::{Deserialize, Serialize};

const NANOS: u64 = 1_000_000_000;

/// So many requests a second, lasting, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RateLimit)]
pub struct Rate {
    /// Requests a second, lasting; 1 to 1000000.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub requests_per_s: u32,
    /// Requests at once before the rate counts; 1 to 1000000.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub burst: u32,
}

/// How a limit stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests at once when nothing was used lately: the burst.
    pub limit: u32,
    /// Requests of cost 1 that would pass right now.
    pub remaining: u32,
    /// Until nothing counts as used any more.
    pub full_in: Duration,
    /// Until the same request would pass; zero when it did, [`Duration::MAX`] when it costs more than the
    /// burst and so never will.
    pub retry_in: Duration,
}

impl Rate {
    /// Nanoseconds that one request takes of the rate.
    fn interval(self) -> u64 {
        NANOS / u64::from(self.requests_per_s.max(1))
    }

    /// Asks for `cost` at `now`, with the state `tat` (0 when there is none yet), both in nanoseconds on one
    /// clock. Answers the new state when it passes, the old one when it does not; a cost of 0 only looks.
    #[must_use]
    pub fn take(self, tat: u64, now: u64, cost: u32) -> (bool, u64, Standing) {
        take(self.interval(), self.burst.max(1), tat, now, cost)
    }

    /// The state when what a request of `cost` took is given back.
    #[must_use]
    pub fn give_back(self, tat: u64, cost: u32) -> u64 {
        tat.saturating_sub(self.interval().saturating_mul(u64::from(cost)))
    }
}

/// As [`Rate::take`], for any rate: one request each `interval` nanoseconds, lasting, and `burst` at once.
#[must_use]
pub fn take(interval: u64, burst: u32, tat: u64, now: u64, cost: u32) -> (bool, u64, Standing) {
    let burst = burst.max(1);
    let length = interval.saturating_mul(u64::from(burst));
    // A state further ahead than a burst is long belongs to a larger limit of before: forget the excess.
    let tat = tat.clamp(now, now.saturating_add(length));
    let wanted = tat.saturating_add(interval.saturating_mul(u64::from(cost)));
    let passes = wanted <= now.saturating_add(length);
    let state = if passes { wanted } else { tat };
    let used = state.saturating_sub(now);
    let retry_in = if passes {
        Duration::ZERO
    } else if cost > burst {
        Duration::MAX
    } else {
        Duration::from_nanos(wanted.saturating_sub(now.saturating_add(length)))
    };
    let remaining = length.saturating_sub(used) / interval.max(1);
    let standing = Standing {
        limit: burst,
        remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
        full_in: Duration::from_nanos(used),
        retry_in,
    };
    (passes, state, standing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate() {
        let rate = Rate { requests_per_s: 10, burst: 3 };
        let mut tat = 0;
        for left in [2, 1, 0] {
            let (passes, next, standing) = rate.take(tat, 5 * NANOS, 1);
            assert!(passes);
            assert_eq!(standing.remaining, left);
            tat = next;
        }
        let (passes, next, standing) = rate.take(tat, 5 * NANOS, 1);
        assert!(!passes);
        assert_eq!((next, standing.retry_in), (tat, Duration::from_millis(100)));
        assert_eq!(standing.full_in, Duration::from_millis(300));
        assert!(rate.take(tat, 5 * NANOS + 100_000_000, 1).0);
    }

    #[test]
    fn what_costs_more_than_the_burst_never_passes_and_takes_nothing() {
        let rate = Rate { requests_per_s: 1, burst: 2 };
        let (passes, tat, standing) = rate.take(0, NANOS, 3);
        assert!(!passes);
        assert_eq!((standing.retry_in, standing.remaining), (Duration::MAX, 2));
        assert!(rate.take(tat, NANOS, 2).0);
    }

    proptest::proptest! {
        /// Over any window, no more passes than the burst plus the rate times the window.
        #[test]
        fn never_more_than_burst_and_rate(
            per_s in 1u32..1000, burst in 1u32..50, steps in proptest::collection::vec((0u64..200_000_000, 0u32..4), 1..200)
        ) {
            let rate = Rate { requests_per_s: per_s, burst };
            let (mut tat, mut now, mut passed) = (0u64, NANOS, 0u64);
            let begin = now;
            for (gap, cost) in steps {
                now += gap;
                let (passes, next, standing) = rate.take(tat, now, cost);
                proptest::prop_assert!(standing.remaining <= burst);
                if passes { passed += u64::from(cost); }
                if !passes && standing.retry_in != Duration::MAX {
                    let later = now + u64::try_from(standing.retry_in.as_nanos()).unwrap();
                    proptest::prop_assert!(rate.take(tat, later, cost).0, "it passes when it was told to come back");
                }
                tat = next;
            }
            let allowed = u64::from(burst) + (now - begin) / (NANOS / u64::from(per_s)) + 1;
            proptest::prop_assert!(passed <= allowed, "{passed} > {allowed}");
        }
    }
}
