//! Rate limits as headers: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers (10),
//! one item for the tenant's limit and one for the key's own where it has one.

use std::fmt::Write as _;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::kernel::error::Error;
use crate::kernel::limits::{Taken, Tally};

/// How much is allowed, in which time.
pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// How much is left, and when all of it is back.
pub const STANDING: HeaderName = HeaderName::from_static("ratelimit");

fn items(taken: &Taken) -> impl Iterator<Item = (&'static str, Tally)> {
    [("tenant", taken.tenant), ("key", taken.key)].into_iter().filter_map(|(name, of)| Some((name, of?)))
}

/// Writes the headers.
pub fn tell(headers: &mut HeaderMap, taken: &Taken) {
    let (mut policy, mut standing) = (String::new(), String::new());
    for (name, Tally { rate, standing: now }) in items(taken) {
        let comma = if policy.is_empty() { "" } else { ", " };
        // A bucket of `burst` that fills at the rate is full after this many seconds.
        let window = rate.burst.div_ceil(rate.requests_per_s.max(1)).max(1);
        let reset = now.full_in.as_nanos().div_ceil(1_000_000_000);
        // Writing to a text cannot fail.
        let _ = write!(policy, "{comma}\"{name}\";q={};w={window}", now.limit);
        let _ = write!(standing, "{comma}\"{name}\";r={};t={reset}", now.remaining);
    }
    for (header, text) in [(POLICY, policy), (STANDING, standing)] {
        if let Ok(value) = HeaderValue::from_str(&text)
            && !text.is_empty()
        {
            headers.insert(header, value);
        }
    }
}

/// What a request over the limit is answered.
#[must_use]
pub fn refusal(taken: &Taken) -> Error {
    let whose = if taken.tighter() == taken.key && taken.key.is_some() { "this key" } else { "your plan" };
    let (per_s, burst) =
        taken.tighter().map_or((0, 0), |tally| (tally.rate.requests_per_s, tally.rate.burst));
    Error::Limited {
        detail: format!("{whose} allows {per_s} requests a second, and {burst} at once; slow down"),
        retry_after: taken.retry_in(),
    }
}
