//! Signing, as Standard Webhooks has it: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::kernel::clock::Ts;
use crate::kernel::entropy;

/// What a secret's text begins with.
const PREFIX: &str = "whsec_";

/// A secret that an endpoint shares with us. Sealed at rest, never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its text, `whsec_…`.
    pub text: String,
    /// When it was made.
    pub created_at: Ts,
    /// Until when it signs; the newest for good.
    pub expires_at: Option<Ts>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret(***, until {:?})", self.expires_at)
    }
}

impl Secret {
    /// A fresh one of 256 bits.
    #[must_use]
    pub fn fresh(now: Ts) -> Self {
        let text = format!("{PREFIX}{}", STANDARD.encode(entropy::bytes::<32>()));
        Self { text, created_at: now, expires_at: None }
    }

    /// Whether it signs at `now`.
    #[must_use]
    pub fn signs(&self, now: Ts) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }

    fn signature(&self, message: &str) -> Option<String> {
        let key = STANDARD.decode(self.text.strip_prefix(PREFIX)?).ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(message.as_bytes());
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

/// The value of `webhook-signature`: one signature for each secret that still signs, the newest first.
#[must_use]
pub fn signatures(secrets: &[Secret], id: &str, now: Ts, body: &str) -> String {
    let message = format!("{id}.{}.{body}", now.seconds());
    let all: Vec<String> = secrets
        .iter()
        .filter(|secret| secret.signs(now))
        .filter_map(|secret| secret.signature(&message))
        .collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn secret(text: &str, expires_at: Option<Ts>) -> Secret {
        Secret { text: text.to_owned(), created_at: Ts::EPOCH, expires_at }
    }

    /// The example that the specification's own libraries are tested with.
    #[test]
    fn the_known_example_is_signed_alike() {
        let one = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None);
        let at = Ts::from_micros(1_614_265_330_000_000).unwrap();
        let signed = signatures(&[one], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn all_that_have_not_expired_sign() {
        let now = Ts::EPOCH.plus(Duration::from_secs(100));
        let (new, old) = (Secret::fresh(now), secret("whsec_AAAA", Some(now.plus(Duration::from_secs(1)))));
        let gone = secret("whsec_BBBB", Some(now));
        assert_eq!(new.text.len(), 6 + 44);
        assert_eq!(signatures(&[new.clone(), old, gone], "a", now, "{}").split(' ').count(), 2);
        assert!(!format!("{new:?}").contains(&new.text));
    }
}
