//! What follows from an attempt: for the delivery, when it is tried again; for the endpoint, how well it stands. Pure.

use std::time::Duration;

use crate::kernel::clock::Ts;

/// Longest piece of an answer or an error that is kept, in characters.
pub const CLIP: usize = 1_024;

/// How deliveries are tried and endpoints held back; the operator's settings.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The wait before each attempt; there are as many attempts as waits.
    pub schedule: Vec<Duration>,
    /// Up to this share each wait is longer or shorter.
    pub jitter: f64,
    /// The longest wait that an endpoint may ask for.
    pub retry_after_max: Duration,
    /// Failures in a row after which an endpoint is left alone for a while.
    pub breaker_failures: u32,
    /// The first such while; it doubles.
    pub breaker_initial: Duration,
    /// The longest.
    pub breaker_max: Duration,
    /// How long an endpoint may fail before it is switched off.
    pub disable_after: Duration,
}

/// What came of an attempt.
#[derive(Debug, Clone, Default)]
pub struct Attempted {
    /// The status that was answered, if anything was.
    pub status: Option<u16>,
    /// Why there was no good answer.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub response: Option<String>,
    /// When the endpoint asks to be called again.
    pub retry_after: Option<Duration>,
}

impl Attempted {
    /// An attempt that got no answer.
    #[must_use]
    pub fn lost(why: &str) -> Self {
        Self { error: Some(clip(why)), ..Self::default() }
    }

    /// Whether the event was taken.
    #[must_use]
    pub fn taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the endpoint says that it is there no more.
    #[must_use]
    pub fn gone(&self) -> bool {
        self.status == Some(410)
    }

    /// How it went, in one word, for metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.status {
            Some(200..300) => "delivered",
            Some(_) => "refused",
            None => "lost",
        }
    }
}

/// Text of others, short, of one line's letters, such as every store takes.
#[must_use]
pub fn clip(text: &str) -> String {
    let plain =
        |letter: char| if letter.is_control() && letter != '\n' && letter != '\t' { ' ' } else { letter };
    text.chars().take(CLIP).map(plain).collect()
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It arrived.
    Done,
    /// It is tried again then.
    At(Ts),
    /// It was tried often enough.
    GivenUp,
}

impl Policy {
    /// How long after `wait` with jitter by `draw` of -1 to 1.
    fn jittered(&self, wait: Duration, draw: f64) -> Duration {
        wait.mul_f64((1.0 + self.jitter * draw.clamp(-1.0, 1.0)).max(0.0))
    }

    /// What becomes of a delivery whose attempt at place `step` of the schedule (0 is the first) came to this.
    #[must_use]
    pub fn after(&self, tried: &Attempted, step: usize, now: Ts, draw: f64) -> Next {
        if tried.taken() {
            return Next::Done;
        }
        let Some(wait) = self.schedule.get(step.saturating_add(1)) else { return Next::GivenUp };
        let asked = tried.retry_after.unwrap_or_default().min(self.retry_after_max);
        Next::At(now.plus(self.jittered(*wait, draw).max(asked)))
    }
}

/// How well an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Failures in a row.
    pub failures: u32,
    /// Since when nothing arrived.
    pub failing_since: Option<Ts>,
    /// Until when it is left alone. Afterwards one delivery is tried: when it arrives, all go on.
    pub open_until: Option<Ts>,
}

/// Whether an endpoint is to be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// It has failed for too long.
    Failing,
    /// It says that it is there no more.
    Gone,
}

impl Health {
    /// How it stands after an attempt, and whether that was enough.
    #[must_use]
    pub fn after(self, tried: &Attempted, policy: &Policy, now: Ts, draw: f64) -> (Self, Option<Off>) {
        if tried.taken() {
            return (Self::default(), None);
        }
        let failures = self.failures.saturating_add(1);
        let since = self.failing_since.unwrap_or(now);
        let over = failures.saturating_sub(policy.breaker_failures);
        let open = (failures >= policy.breaker_failures).then(|| {
            let doubled = policy.breaker_initial.saturating_mul(2u32.saturating_pow(over.min(20)));
            policy.jittered(doubled.min(policy.breaker_max), draw)
        });
        let asked = tried.retry_after.map(|wait| wait.min(policy.retry_after_max));
        let until =
            open.max(asked).map(|wait| now.plus(wait)).max(self.open_until.filter(|until| *until > now));
        let off = if tried.gone() {
            Some(Off::Gone)
        } else if now.since(since) >= policy.disable_after {
            Some(Off::Failing)
        } else {
            None
        };
        (Self { failures, failing_since: Some(since), open_until: until }, off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy() -> Policy {
        Policy {
            schedule: [0, 5, 300].map(Duration::from_secs).to_vec(),
            jitter: 0.2,
            retry_after_max: Duration::from_secs(600),
            breaker_failures: 3,
            breaker_initial: Duration::from_secs(10),
            breaker_max: Duration::from_secs(60),
            disable_after: Duration::from_secs(1_000),
        }
    }

    fn at(seconds: u64) -> Ts {
        Ts::EPOCH.plus(Duration::from_secs(seconds))
    }

    fn answer(status: u16) -> Attempted {
        Attempted { status: Some(status), ..Attempted::default() }
    }

    #[test]
    fn a_delivery_is_tried_as_often_as_there_are_waits() {
        let policy = policy();
        assert_eq!(policy.after(&answer(204), 0, at(100), 0.0), Next::Done);
        assert_eq!(policy.after(&answer(500), 0, at(100), 0.0), Next::At(at(105)));
        assert_eq!(policy.after(&answer(301), 1, at(100), 1.0), Next::At(at(460)));
        assert_eq!(policy.after(&Attempted::lost("x"), 2, at(100), 0.0), Next::GivenUp);
    }

    #[test]
    fn an_endpoint_may_ask_for_more_time_but_not_for_any() {
        let policy = policy();
        let asks = |seconds| Attempted { retry_after: Some(Duration::from_secs(seconds)), ..answer(429) };
        assert_eq!(policy.after(&asks(60), 0, at(0), 0.0), Next::At(at(60)));
        assert_eq!(policy.after(&asks(1), 0, at(0), 0.0), Next::At(at(5)));
        assert_eq!(policy.after(&asks(1_000_000), 0, at(0), 0.0), Next::At(at(600)));
        let (health, _) = Health::default().after(&asks(60), &policy, at(0), 0.0);
        assert_eq!(health.open_until, Some(at(60)), "all of its deliveries wait");
    }

    #[test]
    fn an_endpoint_that_fails_is_left_alone_longer_and_longer_then_switched_off() {
        let policy = policy();
        let mut health = Health::default();
        let mut until = Vec::new();
        for second in 0..7 {
            let (next, off) = health.after(&answer(500), &policy, at(second * 100), 0.0);
            until.push(next.open_until.map(|at| at.seconds()));
            assert_eq!(off, None);
            health = next;
        }
        assert_eq!(until, [None, None, Some(210), Some(320), Some(440), Some(560), Some(660)]);
        assert_eq!((health.failing_since, health.failures), (Some(at(0)), 7));
        assert_eq!(health.after(&answer(500), &policy, at(1_000), 0.0).1, Some(Off::Failing));
        assert_eq!(health.after(&answer(410), &policy, at(700), 0.0).1, Some(Off::Gone));
        assert_eq!(health.after(&answer(200), &policy, at(2_000), 0.0), (Health::default(), None));
    }

    #[test]
    fn what_others_say_is_cut_and_made_fit_for_every_store() {
        assert_eq!(clip("a\u{0}b\nc"), "a b\nc");
        assert_eq!(clip(&"é".repeat(5_000)).chars().count(), CLIP);
    }

    proptest! {
        #[test]
        fn waits_stay_within_their_bounds(step in 0usize..4, draw in -2.0f64..2.0, asked in proptest::option::of(0u64..10_000)) {
            let policy = policy();
            let tried = Attempted { retry_after: asked.map(Duration::from_secs), ..answer(503) };
            match policy.after(&tried, step, at(0), draw) {
                Next::At(then) => {
                    let wait = then.since(at(0));
                    prop_assert!(wait >= policy.schedule[step + 1].mul_f64(0.799));
                    prop_assert!(wait <= policy.schedule[step + 1].mul_f64(1.201).max(policy.retry_after_max));
                }
                Next::GivenUp => prop_assert!(step >= 2),
                Next::Done => prop_assert!(false),
            }
        }
    }
}
