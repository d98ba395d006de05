//! Amounts in minor units: what the minor unit of a currency is, and how an amount is written for people.

/// Currencies (ISO 4217) whose minor unit is not a hundredth, with the digits behind the point.
const ODD: &[(&str, u32)] = &[
    ("BIF", 0),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("ISK", 0),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("PYG", 0),
    ("RWF", 0),
    ("UGX", 0),
    ("UYI", 0),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
    ("BHD", 3),
    ("IQD", 3),
    ("JOD", 3),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("TND", 3),
    ("CLF", 4),
    ("UYW", 4),
];

/// Digits behind the point.
#[must_use]
pub fn exponent(currency: &str) -> u32 {
    ODD.iter().find(|(code, _)| code.eq_ignore_ascii_case(currency)).map_or(2, |(_, digits)| *digits)
}

/// An amount with its currency, for people: `1,234.50 EUR`, `1,200 JPY`, `-0.005 KWD`.
#[must_use]
pub fn written(amount: i64, currency: &str) -> String {
    let digits = exponent(currency);
    let unit = 10u64.pow(digits);
    let (whole, rest) = (amount.unsigned_abs() / unit, amount.unsigned_abs() % unit);
    let sign = if amount < 0 { "-" } else { "" };
    let width = usize::try_from(digits).unwrap_or(0);
    let point = if digits == 0 { String::new() } else { format!(".{rest:0width$}") };
    format!("{sign}{}{point} {}", grouped(whole), currency.to_ascii_uppercase())
}

fn grouped(whole: u64) -> String {
    let digits = whole.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_currency_has_its_own_minor_unit() {
        for (amount, currency, shown) in [
            (0, "EUR", "0.00 EUR"),
            (5, "usd", "0.05 USD"),
            (4_900, "EUR", "49.00 EUR"),
            (123_456_789, "EUR", "1,234,567.89 EUR"),
            (-1, "EUR", "-0.01 EUR"),
            (1_200, "JPY", "1,200 JPY"),
            (-999, "JPY", "-999 JPY"),
            (1_000_000, "KWD", "1,000.000 KWD"),
            (-5, "KWD", "-0.005 KWD"),
            (10_001, "CLF", "1.0001 CLF"),
            (i64::MIN, "JPY", "-9,223,372,036,854,775,808 JPY"),
            (i64::MAX, "EUR", "92,233,720,368,547,758.07 EUR"),
        ] {
            assert_eq!(written(amount, currency), shown);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(amount: i64, which in 0..4usize) {
            let currency = ["EUR", "JPY", "KWD", "CLF"][which];
            let digits: String = written(amount, currency).chars().filter(|c| c.is_ascii_digit() || *c == '-').collect();
            proptest::prop_assert_eq!(digits.parse::<i64>().unwrap(), amount);
        }
    }
}
