//! Randomness from the operating system, in the shapes the product needs.

use rand::TryRng as _;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Fills an array with random bytes fit for keys.
///
/// Ends the process when the operating system cannot give randomness: nothing safe can go on.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0u8; N];
    if rand::rngs::SysRng.try_fill_bytes(&mut out).is_err() {
        tracing::error!("the operating system gave no randomness");
        std::process::abort();
    }
    out
}

/// Random bits for what must not repeat but opens nothing, such as a request's id: from a generator of this
/// thread, which asks the operating system only now and then. Never for keys.
#[must_use]
pub fn unique() -> u128 {
    rand::random()
}

/// `len` characters of `0-9A-Za-z`, each uniformly drawn: 43 of them carry 256 bits.
#[must_use]
pub fn base62(len: usize) -> String {
    let mut out = String::with_capacity(len);
    while out.len() < len {
        for byte in bytes::<64>() {
            // 248 = 4 × 62: bytes above would favour the first characters.
            if byte < 248 && out.len() < len {
                let at = usize::from(byte % 62);
                out.push(BASE62.get(at).copied().map_or('0', char::from));
            }
        }
    }
    out
}

/// `len` decimal digits, for a code that a person types; 18 at most are random.
#[must_use]
pub fn digits(len: u32) -> String {
    let below = 10u64.saturating_pow(len.min(18));
    let width = usize::try_from(len).unwrap_or(0);
    format!("{:0width$}", u64::from_le_bytes(bytes::<8>()) % below)
}

/// `value` in base 62, left-padded with `0` to `width` characters.
#[must_use]
pub fn to_base62(mut value: u32, width: usize) -> String {
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        let at = usize::try_from(value % 62).unwrap_or(0);
        *digit = BASE62.get(at).copied().unwrap_or(b'0');
        value /= 62;
    }
    digits.into_iter().map(char::from).collect()
}

/// A factor between `1 - spread` and `1 + spread`, for jittered waits.
#[must_use]
pub fn jitter(spread: f64) -> f64 {
    let draw = f64::from(u32::from_le_bytes(bytes::<4>())) / f64::from(u32::MAX);
    1.0 + spread * (2.0 * draw - 1.0)
}
