//! The text of keys: `tnt_live_…` (a tenant's API key), `tnt_svc_…` (a service key) and `tnt_opr_…` (an
//! operator key), then the key's id in 26 characters, `_`, a secret of 43 base-62 characters (256 bits)
//! and a checksum of 6 (CRC-32 of all before it), so that a mistyped or made-up key is refused before
//! any look-up and secret scanners can match: `tnt_(live|svc|opr)_[0-7][0-9a-hjkmnp-tv-z]{25}_[0-9A-Za-z]{49}`.
//! At rest only the SHA-256 of the whole text is kept: with 256 random bits there is nothing to stretch.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::kernel::entropy;
use crate::kernel::id::{self, KeyId};
use crate::words;

const SECRET: usize = 43;
const CHECKSUM: usize = 6;

words! {
    /// Whose key it is.
    KeyKind as "KeyKind", "kind of key" {
        /// A tenant's API key.
        Tenant = "tenant",
        /// A key of the operator's application plane.
        Service = "service",
        /// An operator's key.
        Operator = "operator",
    }
}

impl KeyKind {
    /// What keys of this kind start with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Tenant => "tnt_live_",
            Self::Service => "tnt_svc_",
            Self::Operator => "tnt_opr_",
        }
    }
}

/// A new key, whole: shown once, then only its hash remains.
pub struct NewKey {
    /// The id inside the text.
    pub id: KeyId,
    /// The whole text.
    pub text: SecretString,
    /// What lists show: the text up to the first characters of the id.
    pub prefix: String,
    /// What is stored.
    pub hash: KeyHash,
}

/// SHA-256 of a key's text.
pub type KeyHash = [u8; 32];

/// Hashes a credential for look-up.
#[must_use]
pub fn hash(text: &str) -> KeyHash {
    Sha256::digest(text.as_bytes()).into()
}

/// Makes a key of `kind`.
#[must_use]
pub fn generate(kind: KeyKind) -> NewKey {
    let id = KeyId::mint();
    let body = format!("{}{}_{}", kind.prefix(), id::encode(id.uuid()), entropy::base62(SECRET));
    let text = format!("{body}{}", checksum(&body));
    NewKey { id, prefix: shown(&text), hash: hash(&text), text: SecretString::from(text) }
}

/// A key given from outside (the bootstrap operator key), whatever its shape.
#[must_use]
pub fn adopt(text: &SecretString) -> NewKey {
    let exposed = text.expose_secret();
    let id = parse(exposed).map_or_else(KeyId::mint, |(_, id)| id);
    NewKey { id, prefix: shown(exposed), hash: hash(exposed), text: text.clone() }
}

/// Enough of a key to recognise it by, and no more: the kind and part of the id.
fn shown(text: &str) -> String {
    if parse(text).is_some() { text.chars().take(20).collect() } else { "(given)".to_owned() }
}

fn checksum(body: &str) -> String {
    entropy::to_base62(crc32fast::hash(body.as_bytes()), CHECKSUM)
}

/// Whether `text` claims to be a key of ours, well-formed or not.
#[must_use]
pub fn looks_like_key(text: &str) -> bool {
    KeyKind::ALL.iter().copied().any(|kind| text.starts_with(kind.prefix()))
}

/// Reads kind and id out of a well-formed key with a right checksum; `None` for anything else, without
/// any look-up.
#[must_use]
pub fn parse(text: &str) -> Option<(KeyKind, KeyId)> {
    let kind = KeyKind::ALL.iter().copied().find(|kind| text.starts_with(kind.prefix()))?;
    let (id, rest) = text.strip_prefix(kind.prefix())?.split_once('_')?;
    if rest.len() != SECRET + CHECKSUM || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (body, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM)?)?;
    (checksum(body) == sum).then_some((kind, KeyId::from_uuid(id::decode(id)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_reads_back_and_any_changed_letter_is_refused() {
        for kind in KeyKind::ALL {
            let key = generate(kind);
            let text = key.text.expose_secret();
            assert_eq!(parse(text), Some((kind, key.id)));
            assert!(text.starts_with(&key.prefix) && key.prefix.len() == 20);
            for at in 0..text.len() {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
                assert_eq!(parse(std::str::from_utf8(&bytes).unwrap()), None, "position {at}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(tail: String) {
            let _ = parse(&tail);
            let _ = parse(&format!("tnt_live_{tail}"));
        }
    }
}
