//! The `Stripe-Signature` header: `t=SECONDS,v1=HEX[,v1=HEX…]`, HMAC-SHA256 over the time, a point and the raw body.
//! While a secret is rolled Stripe signs with both, so one good signature suffices.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};

/// How far a notification's time may be from ours, in seconds, either way.
const TOLERANCE: u64 = 300;
/// The most signatures that are looked at.
const MOST: usize = 8;

/// Checks a notification.
///
/// # Errors
/// [`Error::Malformed`] for one that is not signed, not with our secret, or not now. Which of these is said: it is
/// of no use to a forger, and tells an operator whether the secret or the clock is wrong.
pub(super) fn check(secret: &str, header: Option<&str>, raw: &[u8], now: Ts) -> Result<()> {
    let bad = |code, detail: &str| Err(Error::Malformed { code, detail: detail.to_owned() });
    let Some(header) = header else { return bad("bad_signature", "there is no Stripe-Signature header") };
    let (mut times, mut signatures) = (Vec::new(), Vec::new());
    for (name, value) in header.split(',').filter_map(|part| part.trim().split_once('=')) {
        match name {
            "t" => times.push(value),
            "v1" if signatures.len() < MOST => signatures.push(value),
            _ => {}
        }
    }
    let [time] = times.as_slice() else {
        return bad("bad_signature", "the Stripe-Signature header has no one time");
    };
    let Ok(seconds) = time.parse::<i64>() else {
        return bad("bad_signature", "the Stripe-Signature header has no time");
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return Err(Error::internal("no HMAC takes this secret"));
    };
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(raw);
    let wanted: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    // Every one is compared, in the same time whatever it is.
    let good =
        signatures.iter().fold(false, |good, one| good | bool::from(one.as_bytes().ct_eq(wanted.as_bytes())));
    if !good {
        return bad("bad_signature", "no signature is of billing.stripe.webhook_secret");
    }
    if seconds.abs_diff(now.seconds()) > TOLERANCE {
        return bad("signature_expired", "it was signed more than five minutes ago, or will be");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_test_secret";
    const BODY: &[u8] = br#"{"id":"evt_test_webhook","object":"event"}"#;

    fn at(seconds: i64) -> Ts {
        Ts::from_micros(seconds * 1_000_000).unwrap()
    }

    fn sign(secret: &str, time: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn code(header: Option<&str>, now: i64) -> &'static str {
        match check(SECRET, header, BODY, at(now)) {
            Ok(()) => "good",
            Err(Error::Malformed { code, .. }) => code,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_the_secret_signed_lately_is_good() {
        let good = sign(SECRET, "1700000000", BODY);
        let other = sign("whsec_other", "1700000000", BODY);
        for (header, now, expected) in [
            (format!("t=1700000000,v1={good}"), 1_700_000_000, "good"),
            (
                format!(
                    "t=1700000000, v1={good}, v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"
                ),
                1_700_000_300,
                "good",
            ),
            (format!("t=1700000000,v1={other},v1={good}"), 1_699_999_700, "good"),
            (format!("t=1700000000,v1={good}"), 1_700_000_301, "signature_expired"),
            (format!("t=1700000000,v1={good}"), 1_699_999_699, "signature_expired"),
            (format!("t=1700000001,v1={good}"), 1_700_000_000, "bad_signature"),
            (format!("t=1700000000,v1={other}"), 1_700_000_000, "bad_signature"),
            (format!("t=1700000000,v0={good}"), 1_700_000_000, "bad_signature"),
            (format!("t=1700000000,v1={}", &good[..63]), 1_700_000_000, "bad_signature"),
            (format!("t=1700000000,t=1700000000,v1={good}"), 1_700_000_000, "bad_signature"),
            (format!("v1={good}"), 1_700_000_000, "bad_signature"),
            ("t=x,v1=".to_owned(), 1_700_000_000, "bad_signature"),
            (String::new(), 1_700_000_000, "bad_signature"),
        ] {
            assert_eq!(code(Some(&header), now), expected, "{header}");
        }
        assert_eq!(code(None, 1_700_000_000), "bad_signature");
    }

    proptest::proptest! {
        #[test]
        fn no_header_breaks_the_reader_or_passes(header in ".{0,200}") {
            proptest::prop_assert_ne!(code(Some(&header), 1_700_000_000), "good");
        }
    }
}
