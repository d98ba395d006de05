//! Amounts as Stripe counts them. For a few currencies its minor unit is not that of ISO 4217, and amounts of three
//! digits behind the point must end in 0.
//!
//! Source: docs.stripe.com/currencies, "Special cases".

use crate::billing::model::money::exponent;
use crate::kernel::error::{Error, Result};
use crate::work::GIVEN_UP;

fn digits(currency: &str) -> u32 {
    match currency.to_ascii_uppercase().as_str() {
        "ISK" | "UGX" => 2,
        "MGA" => 0,
        other => exponent(other),
    }
}

/// Our amount in Stripe's unit.
///
/// # Errors
/// [`Error::Refused`] for an amount that Stripe cannot charge.
pub(super) fn to_stripe(amount: i64, currency: &str) -> Result<i64> {
    let (ours, theirs) = (exponent(currency), digits(currency));
    let refuse =
        || Error::refused(GIVEN_UP, format!("Stripe cannot charge {amount} minor units of {currency}"));
    let scaled = scale(amount, ours, theirs).ok_or_else(refuse)?;
    if theirs == 3 && scaled % 10 != 0 { Err(refuse()) } else { Ok(scaled) }
}

/// Stripe's amount in our unit.
///
/// # Errors
/// [`Error::Malformed`] for an amount that we have no unit for.
pub(super) fn from_stripe(amount: i64, currency: &str) -> Result<i64> {
    scale(amount, digits(currency), exponent(currency)).ok_or_else(|| Error::Malformed {
        code: "bad_amount",
        detail: format!("{amount} of {currency} cannot be counted in its minor unit"),
    })
}

fn scale(amount: i64, from: u32, to: u32) -> Option<i64> {
    let factor = 10i64.checked_pow(from.abs_diff(to))?;
    if to >= from { amount.checked_mul(factor) } else { (amount % factor == 0).then(|| amount / factor) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_odd_currencies_are_counted_as_stripe_does() {
        for (ours, currency, theirs) in [
            (4_900, "EUR", 4_900),
            (500, "JPY", 500),
            (5, "ISK", 500),
            (7, "ugx", 700),
            (300, "MGA", 3),
            (1_230, "KWD", 1_230),
        ] {
            assert_eq!(to_stripe(ours, currency).unwrap(), theirs);
            assert_eq!(from_stripe(theirs, currency).unwrap(), ours);
        }
        assert!(to_stripe(1_234, "KWD").is_err() && to_stripe(301, "MGA").is_err());
        assert!(to_stripe(i64::MAX, "ISK").is_err() && from_stripe(501, "ISK").is_err());
    }
}
