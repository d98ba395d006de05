//! The text of keys: `tnt_live_…` and `tnt_test_…` (a tenant's API key, by its environment), `tnt_svc_…` (a
//! service key) and `tnt_opr_…` (an operator key), then the key's id in 26 characters, `_`, a secret of 43
//! base-62 characters (256 bits) and a checksum of 6 (CRC-32 of all before it), so that a mistyped or made-up
//! key is refused before any look-up. What secret scanners match is in `docs/SECURITY.md`; a test holds it
//! against keys made here.
//! At rest only the SHA-256 of the whole text is kept: with 256 random bits there is nothing to stretch.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::kernel::entropy;
use crate::kernel::id::{self, KeyId};
use crate::words;

const SECRET: usize = 43;
const CHECKSUM: usize = 6;
/// How much of a key lists show.
pub const SHOWN: usize = 20;

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

words! {
    /// What a key is for.
    Environment as "Environment", "environment" {
        /// Real use.
        Live = "live",
        /// Trying things out.
        Test = "test",
    }
}

impl KeyKind {
    /// What keys of this kind start with. Only a tenant's tells its environment: it is the one that gets
    /// into many hands.
    #[must_use]
    pub fn prefix(self, environment: Environment) -> &'static str {
        match (self, environment) {
            (Self::Tenant, Environment::Live) => "tnt_live_",
            (Self::Tenant, Environment::Test) => "tnt_test_",
            (Self::Service, _) => "tnt_svc_",
            (Self::Operator, _) => "tnt_opr_",
        }
    }

    /// The kind of a text that starts as keys do, and what follows.
    fn of(text: &str) -> Option<(Self, &str)> {
        Self::ALL.iter().find_map(|kind| {
            let rest =
                Environment::ALL.iter().find_map(|environment| text.strip_prefix(kind.prefix(*environment)));
            rest.map(|rest| (*kind, rest))
        })
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
pub fn generate(kind: KeyKind, environment: Environment) -> NewKey {
    let id = KeyId::mint();
    let body = format!("{}{}_{}", kind.prefix(environment), id::encode(id.uuid()), entropy::base62(SECRET));
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
    if parse(text).is_some() { text.chars().take(SHOWN).collect() } else { "(given)".to_owned() }
}

fn checksum(body: &str) -> String {
    entropy::to_base62(crc32fast::hash(body.as_bytes()), CHECKSUM)
}

/// Whether `text` claims to be a key of ours, well-formed or not.
#[must_use]
pub fn looks_like_key(text: &str) -> bool {
    KeyKind::of(text).is_some()
}

/// The environment that the text of a tenant's key tells.
#[must_use]
pub fn environment(text: &str) -> Option<Environment> {
    Environment::ALL.into_iter().find(|of| text.starts_with(KeyKind::Tenant.prefix(*of)))
}

/// Reads kind and id out of a well-formed key with a right checksum; `None` for anything else, without
/// any look-up.
#[must_use]
pub fn parse(text: &str) -> Option<(KeyKind, KeyId)> {
    let (kind, rest) = KeyKind::of(text)?;
    let (id, rest) = rest.split_once('_')?;
    if rest.len() != SECRET + CHECKSUM || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (body, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM)?)?;
    (checksum(body) == sum).then_some((kind, KeyId::from_uuid(id::decode(id)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Vec<(KeyKind, NewKey)> {
        let each = KeyKind::ALL.into_iter().flat_map(|kind| Environment::ALL.map(|of| (kind, of)));
        each.map(|(kind, environment)| (kind, generate(kind, environment))).collect()
    }

    #[test]
    fn a_new_key_reads_back_and_any_changed_letter_is_refused() {
        for (kind, key) in one_of_each() {
            let text = key.text.expose_secret();
            assert_eq!(parse(text), Some((kind, key.id)));
            assert!(text.starts_with(&key.prefix) && key.prefix.len() == SHOWN);
            for at in 0..text.len() {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
                assert_eq!(parse(std::str::from_utf8(&bytes).unwrap()), None, "position {at}");
            }
            for turned in
                [text.to_uppercase(), text.chars().rev().collect(), format!("{text}0"), format!("0{text}")]
            {
                assert_eq!(parse(&turned), None);
            }
        }
    }

    #[test]
    fn the_pattern_for_secret_scanners_matches_every_key_and_nothing_shorter() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/SECURITY.md")).unwrap();
        let pattern = page.lines().find(|line| line.starts_with("tnt_(?")).expect("docs/SECURITY.md has it");
        let whole = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
        let within = regex::Regex::new(pattern).unwrap();
        for (_, key) in one_of_each() {
            let text = key.text.expose_secret();
            assert!(whole.is_match(text), "{}", key.prefix);
            let line = format!("export API_KEY=\"{text}\" # for the nightly job");
            assert_eq!(within.find(&line).unwrap().as_str(), text);
            assert!(!within.is_match(&text[..text.len() - 1]));
        }
        for not in ["tnt_live_", "tnt_live_key", "tnt_live_01k00000000000000000000000_short"] {
            assert!(!within.is_match(not));
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
