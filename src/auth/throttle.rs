//! Bounds on how often something may be tried: a sign-in, a signup, a code. Each deed and doer has a budget
//! that refills evenly (GCRA). The state is this process's memory: no guess costs the store anything, and
//! several replicas together allow at most as many times the budget as there are of them.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::kernel::error::{Error, Result};
use crate::kernel::gcra;

/// Budgets that are remembered at most; those nearest to full are forgotten first.
const MOST: usize = 200_000;

/// So many times within this time, at once or spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How many.
    pub times: u32,
    /// Within which time.
    pub per: Duration,
}

impl Allowance {
    fn interval(self) -> u64 {
        let whole = u64::try_from(self.per.as_nanos()).unwrap_or(u64::MAX);
        (whole / u64::from(self.times.max(1))).max(1)
    }
}

/// The budgets in use.
pub struct Throttle {
    used: Mutex<HashMap<u64, u64>>,
    hasher: RandomState,
    began: Instant,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { used: Mutex::default(), hasher: RandomState::new(), began: Instant::now() }
    }
}

impl Throttle {
    /// Takes one try of `deed` by `who` from its budget, before the try is made.
    ///
    /// # Errors
    /// [`Error::Limited`] with the time after which the next try may come; nothing is taken then.
    pub fn take(&self, deed: &str, who: &str, allowance: Allowance) -> Result<()> {
        let (entry, now) = (self.hasher.hash_one((deed, who)), self.now());
        let mut used = self.used.lock();
        if used.len() >= MOST && !used.contains_key(&entry) {
            make_room(&mut used, now);
        }
        let tat = used.get(&entry).copied().unwrap_or(0);
        let (passes, next, standing) = gcra::take(allowance.interval(), allowance.times, tat, now, 1);
        if !passes {
            return Err(Error::Limited {
                detail: "too many tries; wait before the next one".into(),
                retry_after: Duration::from_secs(standing.retry_in.as_secs().saturating_add(1)),
            });
        }
        used.insert(entry, next);
        Ok(())
    }

    /// Gives back what [`Throttle::take`] took: the try was a good one.
    pub fn give_back(&self, deed: &str, who: &str, allowance: Allowance) {
        let entry = self.hasher.hash_one((deed, who));
        let mut used = self.used.lock();
        if let Some(tat) = used.get_mut(&entry) {
            *tat = tat.saturating_sub(allowance.interval());
        }
    }

    /// Nanoseconds since the process began, and one: 0 stands for never.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

fn make_room(used: &mut HashMap<u64, u64>, now: u64) {
    used.retain(|_, tat| *tat > now);
    if used.len() < MOST {
        return;
    }
    let mut all: Vec<u64> = used.values().copied().collect();
    let (_, middle, _) = all.select_nth_unstable(MOST / 2);
    let middle = *middle;
    used.retain(|_, tat| *tat > middle);
}

/// The part of an address that one party controls: all of an IPv4 address, the first 64 bits of an IPv6 one.
#[must_use]
pub fn party(address: Option<&str>) -> String {
    match address.map(str::parse::<IpAddr>) {
        Some(Ok(IpAddr::V6(v6))) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.to_string(),
            None => {
                let [a, b, c, d, ..] = v6.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        },
        Some(Ok(IpAddr::V4(v4))) => v4.to_string(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: Allowance = Allowance { times: 3, per: Duration::from_secs(3600) };

    #[test]
    fn a_budget_is_spent_and_a_good_try_costs_nothing() {
        let throttle = Throttle::default();
        for _ in 0..100 {
            throttle.take("sign in", "ada", THREE).unwrap();
            throttle.give_back("sign in", "ada", THREE);
        }
        for _ in 0..3 {
            throttle.take("sign in", "ada", THREE).unwrap();
        }
        let Err(Error::Limited { retry_after, .. }) = throttle.take("sign in", "ada", THREE) else {
            panic!("the fourth is refused")
        };
        assert!((1190..=1201).contains(&retry_after.as_secs()), "{retry_after:?}");
        throttle.take("sign in", "bob", THREE).unwrap();
        throttle.take("sign up", "ada", THREE).unwrap();
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_keeps_the_worst() {
        let throttle = Throttle::default();
        for _ in 0..3 {
            throttle.take("sign in", "ada", THREE).unwrap();
        }
        for at in 0..MOST + 10 {
            throttle.take("sign in", &at.to_string(), THREE).unwrap();
        }
        assert!(throttle.used.lock().len() <= MOST);
        assert!(throttle.take("sign in", "ada", THREE).is_err());
    }

    #[test]
    fn one_party_is_one_v4_address_or_64_bits_of_v6() {
        assert_eq!(party(Some("192.0.2.7")), "192.0.2.7");
        assert_eq!(party(Some("::ffff:192.0.2.7")), "192.0.2.7");
        assert_eq!(party(Some("2001:db8:1:2:3::9")), party(Some("2001:db8:1:2::1")));
        assert_ne!(party(Some("2001:db8:1:3::1")), party(Some("2001:db8:1:2::1")));
        assert_eq!(party(None), "unknown");
    }
}
