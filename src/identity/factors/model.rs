//! One-time codes: what is shared with an authenticator, and which code is good when. No I/O.

use totp_rs::{Algorithm, Builder, Totp};

use crate::kernel::entropy;
use crate::kernel::error::{Error, Result};

/// Bytes that are shared with the authenticator: 160 bits (RFC 4226, section 4).
pub const SECRET: usize = 20;
/// Recovery codes that are made at once.
pub const RECOVERY_CODES: usize = 10;
/// Characters of a recovery code, without the dash: 25 to the base 2 to the 5th, 100 bits.
const RECOVERY_LENGTH: usize = 20;

/// Six digits, 30 seconds, SHA-1: what every authenticator knows. One step of drift to either side.
fn totp(secret: &[u8], issuer: &str, account: &str) -> Result<Totp> {
    // A colon separates the two in the address; neither may hold one.
    let plain = |text: &str| text.replace(':', " ");
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_skew(1)
        .with_step_duration(30)
        .with_secret(secret.to_vec())
        .with_issuer(Some(plain(issuer)))
        .with_account_name(plain(account))
        .build()
        .map_err(|_| Error::internal("a second factor's secret is damaged"))
}

/// The address that an authenticator takes, as a link or a QR code.
///
/// # Errors
/// [`Error::Internal`].
pub fn address(secret: &[u8], issuer: &str, account: &str) -> Result<String> {
    totp(secret, issuer, account)?.to_url().map_err(|_| Error::internal("no otpauth address"))
}

/// The secret in the base 32 that people can type.
#[must_use]
pub fn typed(secret: &[u8]) -> String {
    totp_rs::Secret::from(secret.to_vec()).to_base32()
}

/// The step of which `code` is good at `now` (seconds since 1970), when that is later than `last`, the step of
/// the code used before: each code is good once.
///
/// # Errors
/// [`Error::Internal`] when the secret is damaged.
pub fn step(secret: &[u8], code: &str, now: i64, last: i64) -> Result<Option<i64>> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let seconds = u64::try_from(now).unwrap_or(0);
    let found = totp(secret, "", "")?.check(&digits, seconds);
    Ok(found.and_then(|step| i64::try_from(step).ok()).filter(|step| *step > last))
}

/// Fresh recovery codes, `xxxxx-xxxxx-xxxxx-xxxxx`.
#[must_use]
pub fn recovery_codes() -> Vec<String> {
    (0..RECOVERY_CODES).map(|_| recovery_code()).collect()
}

fn recovery_code() -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut code = String::with_capacity(RECOVERY_LENGTH + 3);
    for (at, byte) in entropy::bytes::<RECOVERY_LENGTH>().into_iter().enumerate() {
        if at > 0 && at % 5 == 0 {
            code.push('-');
        }
        code.push(LETTERS.get(usize::from(byte % 32)).copied().map_or('0', char::from));
    }
    code
}

/// A recovery code as it is compared: small letters, without what people put between them.
#[must_use]
pub fn normal(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_codes_are_good_in_their_time_and_once() {
        // RFC 6238, appendix B, SHA-1, cut to six digits.
        let secret = b"12345678901234567890";
        for (now, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            let step_then = now / 30;
            assert_eq!(step(secret, code, now, 0).unwrap(), Some(step_then));
            assert_eq!(step(secret, code, now + 30, 0).unwrap(), Some(step_then), "a step late");
            assert_eq!(step(secret, code, now + 90, 0).unwrap(), None, "three steps late");
            assert_eq!(step(secret, code, now, step_then).unwrap(), None, "used");
            assert_eq!(step(secret, code, now, step_then + 1).unwrap(), None, "a later one was used");
        }
        assert_eq!(step(secret, "", 59, 0).unwrap(), None);
        assert_eq!(step(secret, "+87082", 59, 0).unwrap(), None);
        assert_eq!(step(secret, "287 082", 59, 0).unwrap(), Some(1));
    }

    #[test]
    fn an_authenticator_can_read_the_address() {
        let address =
            address(b"12345678901234567890", "https://tenantry.example.com", "ada@example.com").unwrap();
        assert!(address.starts_with("otpauth://totp/"), "{address}");
        assert!(address.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), "{address}");
    }

    #[test]
    fn recovery_codes_differ_and_are_read_as_people_write_them() {
        let codes = recovery_codes();
        assert_eq!(codes.iter().collect::<std::collections::BTreeSet<_>>().len(), RECOVERY_CODES);
        for code in codes {
            assert_eq!(code.len(), 23);
            assert_eq!(normal(&code), normal(&code.to_uppercase().replace('-', " ")));
        }
    }
}
