//! When a key signs, and how long it is published. No I/O.
//!
//! A key is published from its making. It signs from `active_at` until a later key does. It stays published
//! until the last token that it can have signed has ended. A retired one is gone at once.

use std::time::Duration;

use serde::Serialize;

use crate::kernel::clock::Ts;
use crate::words;

/// How long a key is published before it signs: twice as long as a key set may be cached.
pub const AHEAD: Duration = Duration::from_secs(600);
/// How long a key set may be cached, in seconds.
pub const CACHE_S: u64 = 300;
/// How long a key is published after the next one began to sign: the longest life of a token, and some for
/// clocks that differ.
pub const AFTER: Duration = Duration::from_secs(1_080);
/// How long a key's record is kept when its time is over.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

/// The moments of a key's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Its id in the key set.
    pub kid: String,
    /// When it was made.
    pub created_at: Ts,
    /// From when it may sign.
    pub active_at: Ts,
    /// When it was taken out of use for good.
    pub retired_at: Option<Ts>,
}

words! {
    /// Where a key stands.
    Standing as "SigningKeyState", "state of a signing key" {
        /// Published; it will sign.
        Next = "next",
        /// It signs.
        Signing = "signing",
        /// It signs no more, but tokens of it may still be good.
        Published = "published",
        /// Nothing of it is good any more.
        Over = "over",
        /// It was taken out of use before its time.
        Retired = "retired",
    }
}

/// A signing key as operators see it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct SigningKey {
    /// Its id in the key set and in tokens' headers.
    pub kid: String,
    /// Where it stands.
    pub state: Standing,
    /// `EdDSA`.
    pub algorithm: &'static str,
    /// When it was made, and published.
    pub created_at: Ts,
    /// From when it signs.
    pub active_at: Ts,
    /// When it was retired.
    pub retired_at: Option<Ts>,
}

fn successor<'a>(all: &'a [Life], of: &Life) -> Option<&'a Life> {
    let later = |life: &&Life| (life.active_at, &life.kid) > (of.active_at, &of.kid);
    all.iter()
        .filter(|life| life.retired_at.is_none())
        .filter(later)
        .min_by_key(|life| (life.active_at, &life.kid))
}

/// Where `of`, one of `all`, stands at `now`.
#[must_use]
pub fn standing(all: &[Life], of: &Life, now: Ts) -> Standing {
    if of.retired_at.is_some() {
        return Standing::Retired;
    }
    if of.active_at > now {
        return Standing::Next;
    }
    match successor(all, of) {
        Some(next) if next.active_at.plus(AFTER) <= now => Standing::Over,
        Some(next) if next.active_at <= now => Standing::Published,
        _ => Standing::Signing,
    }
}

/// Whether a token signed by `of` may be good at `now`, and the key is shown to whoever checks.
#[must_use]
pub fn is_published(all: &[Life], of: &Life, now: Ts) -> bool {
    matches!(standing(all, of, now), Standing::Next | Standing::Signing | Standing::Published)
}

/// When the key that must be made now shall begin to sign; `None` while none must be made.
#[must_use]
pub fn due(all: &[Life], now: Ts, rotation: Duration) -> Option<Ts> {
    let good = all.iter().filter(|life| life.retired_at.is_none());
    let Some(newest) = good.map(|life| life.active_at).max() else { return Some(now) };
    let next = newest.plus(rotation);
    let soonest = now.plus(AHEAD);
    (next <= soonest).then(|| next.max(soonest))
}

/// Whether the record of `of` is of no more use.
#[must_use]
pub fn is_forgettable(all: &[Life], of: &Life, now: Ts) -> bool {
    let over = of.retired_at.or_else(|| successor(all, of).map(|next| next.active_at));
    !is_published(all, of, now) && over.is_some_and(|over| over.plus(REMEMBERED) < now)
}

/// A key as operators see it.
#[must_use]
pub fn view(all: &[Life], of: &Life, now: Ts) -> SigningKey {
    SigningKey {
        kid: of.kid.clone(),
        state: standing(all, of, now),
        algorithm: "EdDSA",
        created_at: of.created_at,
        active_at: of.active_at,
        retired_at: of.retired_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn at(seconds: u64) -> Ts {
        Ts::from_micros(i64::try_from(seconds).unwrap() * 1_000_000).unwrap()
    }

    fn life(kid: &str, active: u64) -> Life {
        Life { kid: kid.into(), created_at: at(active), active_at: at(active), retired_at: None }
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_until_its_tokens_have_ended() {
        let all = [life("a", 0), life("b", 30 * DAY)];
        let states = |now: u64| all.each_ref().map(|one| standing(&all, one, at(now)).word());
        assert_eq!(states(30 * DAY - 1), ["signing", "next"]);
        assert_eq!(states(30 * DAY), ["published", "signing"]);
        assert_eq!(states(30 * DAY + 1_079), ["published", "signing"]);
        assert_eq!(states(30 * DAY + 1_080), ["over", "signing"]);
        assert!(AHEAD.as_secs() > CACHE_S && AFTER.as_secs() > 900 + 30);
    }

    #[test]
    fn the_next_is_made_in_time_and_never_late_in_the_key_set() {
        let rotation = Duration::from_secs(30 * DAY);
        let one = [life("a", 0)];
        assert_eq!(due(&[], at(5), rotation), Some(at(5)));
        assert_eq!(due(&one, at(30 * DAY - 601), rotation), None);
        assert_eq!(due(&one, at(30 * DAY - 600), rotation), Some(at(30 * DAY)));
        assert_eq!(due(&one, at(90 * DAY), rotation), Some(at(90 * DAY + 600)));
        assert_eq!(due(&[life("a", 0), life("b", 30 * DAY)], at(30 * DAY - 600), rotation), None);
    }

    #[test]
    fn a_retired_one_is_gone_at_once_and_counts_for_nothing() {
        let mut all = [life("a", 0), life("b", 10)];
        all[1].retired_at = Some(at(20));
        assert_eq!(standing(&all, &all[1], at(21)), Standing::Retired);
        assert_eq!(standing(&all, &all[0], at(21)), Standing::Signing);
        assert!(!is_published(&all, &all[1], at(21)));
        assert!(is_forgettable(&all, &all[1], at(31 * DAY)) && !is_forgettable(&all, &all[0], at(31 * DAY)));
    }
}
