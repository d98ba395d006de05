//! Encryption at rest under the master key: XChaCha20-Poly1305 with a random 192-bit nonce and a
//! purpose bound in as associated data, so that a stored value cannot be moved to another column.
//! Layout: version (1 byte), id of the master key (4 bytes), nonce (24), ciphertext and tag.

use std::sync::Arc;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use super::entropy;
use super::error::{Error, Result};

const VERSION: u8 = 1;
const NONCE: usize = 24;

/// 32 bytes that protect everything stored encrypted. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct MasterKey(zeroize::Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Takes the bytes of a key.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(zeroize::Zeroizing::new(bytes))
    }

    /// A fresh random key.
    #[must_use]
    pub fn generate() -> Self {
        Self::new(entropy::bytes())
    }

    /// The bytes, for writing the key file.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn id(&self) -> [u8; 4] {
        let digest = Sha256::new().chain_update(b"tenantry master key id").chain_update(*self.0).finalize();
        let mut id = [0; 4];
        id.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
        id
    }

    fn derived(&self, purpose: &[u8]) -> [u8; 32] {
        mac(&*self.0, &[b"tenantry derived key ", purpose])
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length; the error arm cannot be reached.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

/// Seals and opens what is stored. The first key seals; all of them open, so that a rotated key's
/// values stay readable.
#[derive(Clone)]
pub struct Vault(Arc<Vec<(MasterKey, [u8; 4], XChaCha20Poly1305)>>);

impl Vault {
    /// A vault that seals under `current` and also opens what `previous` keys sealed.
    #[must_use]
    pub fn new(current: MasterKey, previous: Vec<MasterKey>) -> Self {
        let keys = std::iter::once(current)
            .chain(previous)
            .map(|key| {
                let cipher = XChaCha20Poly1305::new(&key.derived(b"seal").into());
                let id = key.id();
                (key, id, cipher)
            })
            .collect();
        Self(Arc::new(keys))
    }

    /// Encrypts `plain` for `purpose` (for instance `placements.password`).
    ///
    /// # Errors
    /// [`Error::Internal`] when the cipher refuses, which takes a plaintext of many gigabytes.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let Some((_, id, cipher)) = self.0.first() else { return Err(Error::internal("no master key")) };
        let nonce = entropy::bytes::<NONCE>();
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: purpose.as_bytes() })
            .map_err(|_| Error::internal("sealing failed"))?;
        let mut out = Vec::with_capacity(1 + id.len() + NONCE + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Decrypts what [`Vault::seal`] made for the same purpose.
    ///
    /// # Errors
    /// [`Error::Internal`] when the value was sealed under a key that is not configured, or was changed.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>> {
        let parts = sealed.split_first().and_then(|(version, rest)| {
            let (id, rest) = rest.split_first_chunk::<4>()?;
            let (nonce, body) = rest.split_first_chunk::<NONCE>()?;
            (*version == VERSION).then_some((id, nonce, body))
        });
        let Some((id, nonce, body)) = parts else {
            return Err(Error::internal(format!("a sealed value for {purpose} is damaged")));
        };
        let Some((_, _, cipher)) = self.0.iter().find(|(_, known, _)| known == id) else {
            return Err(Error::internal(format!(
                "a stored {purpose} was sealed under another master key: configure secrets.master_key with the key \
                 this store was made with, or list that key in secrets.previous_master_keys"
            )));
        };
        cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: purpose.as_bytes() })
            .map(zeroize::Zeroizing::new)
            .map_err(|_| Error::internal(format!("a sealed value for {purpose} was changed")))
    }

    /// A keyed fingerprint of `bytes`: equal for equal input, useless without the master key. For
    /// comparing request bodies that may hold a password.
    #[must_use]
    pub fn fingerprint(&self, bytes: &[u8]) -> [u8; 32] {
        self.0.first().map_or([0; 32], |(key, ..)| mac(&key.derived(b"fingerprint"), &[bytes]))
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_for_its_purpose_alone_and_survives_rotation() {
        let old = MasterKey::generate();
        let before = Vault::new(old.clone(), vec![]);
        let sealed = before.seal("a", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(before.open("a", &sealed).unwrap().as_slice(), b"secret");
        assert!(before.open("b", &sealed).is_err());
        let after = Vault::new(MasterKey::generate(), vec![old]);
        assert_eq!(after.open("a", &sealed).unwrap().as_slice(), b"secret");
        assert!(Vault::new(MasterKey::generate(), vec![]).open("a", &sealed).is_err());
    }

    #[test]
    fn a_damaged_value_is_an_error() {
        let vault = Vault::new(MasterKey::generate(), vec![]);
        let mut sealed = vault.seal("a", b"secret").unwrap();
        for cut in 0..sealed.len() {
            assert!(vault.open("a", &sealed[..cut]).is_err());
        }
        *sealed.last_mut().unwrap() ^= 1;
        assert!(vault.open("a", &sealed).is_err());
    }
}
