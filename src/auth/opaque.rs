//! Opaque tokens, for what is handed out once and comes back: a prefix that tells the kind, an id in 26
//! characters, `_`, a secret of 43 base-62 characters (256 bits) and a checksum of 6, as keys have
//! (`auth::secret_key`). Only the SHA-256 of the whole text is kept. Scanners match
//! `tnt_(ref|set)_[0-7][0-9a-hjkmnp-tv-z]{25}_[0-9A-Za-z]{49}`.

use secrecy::SecretString;
use uuid::Uuid;

use super::secret_key::{self, KeyHash};
use crate::kernel::{entropy, id};

const SECRET: usize = 43;
const CHECKSUM: usize = 6;

/// What refresh tokens start with; their id is the session's.
pub const REFRESH: &str = "tnt_ref_";
/// What the tokens start with by which an operator sets a password; their id is the operator's.
pub const SETUP: &str = "tnt_set_";

/// A new token, whole: handed out once, then only its hash remains.
pub struct Opaque {
    /// The whole text.
    pub text: SecretString,
    /// What is stored.
    pub hash: KeyHash,
}

fn checksum(body: &str) -> String {
    entropy::to_base62(crc32fast::hash(body.as_bytes()), CHECKSUM)
}

/// Makes a token of the kind `prefix` about `of`.
#[must_use]
pub fn generate(prefix: &str, of: Uuid) -> Opaque {
    let body = format!("{prefix}{}_{}", id::encode(of), entropy::base62(SECRET));
    let text = format!("{body}{}", checksum(&body));
    Opaque { hash: secret_key::hash(&text), text: SecretString::from(text) }
}

/// The id and the hash of a well-formed token of the kind `prefix`; `None` for anything else, without any
/// look-up. That a token is well-formed says nothing about whether it was ever handed out.
#[must_use]
pub fn parse(prefix: &str, text: &str) -> Option<(Uuid, KeyHash)> {
    let (of, rest) = text.strip_prefix(prefix)?.split_once('_')?;
    if rest.len() != SECRET + CHECKSUM || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (body, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM)?)?;
    (checksum(body) == sum).then_some((id::decode(of)?, secret_key::hash(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_token_reads_back_and_nothing_else_does() {
        let of = id::fresh();
        let token = generate(REFRESH, of);
        let text = token.text.expose_secret();
        assert_eq!(parse(REFRESH, text), Some((of, token.hash)));
        assert_eq!(parse(SETUP, text), None);
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
            assert_eq!(parse(REFRESH, std::str::from_utf8(&bytes).unwrap()), None, "position {at}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(tail: String) {
            let _ = parse(REFRESH, &format!("{REFRESH}{tail}"));
        }
    }
}
