//! Letters: what is said to whom, before it is put into words. No I/O.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::clock::Ts;
use crate::kernel::id::TenantId;
use crate::words;

words! {
    /// What a letter is about; also the name of its templates.
    LetterKind as "LetterKind", "kind of letter" {
        /// The code that confirms a signup's address.
        ConfirmSignup = "confirm_signup",
        /// The same, to somebody who has an account already.
        ConfirmSignupKnown = "confirm_signup_known",
        /// The token that sets a new password.
        ResetPassword = "reset_password",
        /// The password was changed.
        PasswordChanged = "password_changed",
        /// The code that confirms a new address.
        ConfirmEmail = "confirm_email",
        /// The address was changed; goes to the old one.
        EmailChanged = "email_changed",
        /// An invitation to a tenant.
        Invitation = "invitation",
        /// An invoice is unpaid, and what follows from it.
        PaymentOverdue = "payment_overdue",
        /// A webhook endpoint was disabled because nothing arrives there.
        WebhookDisabled = "webhook_disabled",
    }
}

/// Words that every letter may use.
const COMMON: [&str; 3] = ["product", "url", "to"];

impl LetterKind {
    /// The words that its templates may use, besides the common ones.
    #[must_use]
    pub fn own_words(self) -> &'static [&'static str] {
        match self {
            Self::ConfirmSignup | Self::ConfirmSignupKnown => &["code", "signup_id", "slug", "expires_in"],
            Self::ResetPassword => &["token", "expires_in"],
            Self::ConfirmEmail => &["code", "expires_in"],
            Self::PasswordChanged | Self::EmailChanged => &[],
            Self::Invitation => &["organization", "role", "token", "expires_in"],
            Self::PaymentOverdue => &["slug", "plan", "since", "now", "next"],
            Self::WebhookDisabled => &["slug", "endpoint", "since", "error"],
        }
    }

    /// All words that its templates may use.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        COMMON.into_iter().chain(self.own_words().iter().copied())
    }
}

/// A letter: its kind, its reader, and the words that are filled in. Holds codes: sealed at rest, never logged.
#[derive(Clone, Serialize, Deserialize)]
pub struct Letter {
    /// What it is about.
    pub kind: LetterKind,
    /// Whom it goes to.
    pub to: String,
    /// What is filled in.
    pub words: BTreeMap<String, String>,
}

/// A letter about to be posted.
pub struct NewMail {
    /// The letter.
    pub letter: Letter,
    /// Whose matter it is; it goes with the tenant.
    pub tenant: Option<TenantId>,
    /// When it is no longer worth delivering.
    pub expires_at: Ts,
}

impl Letter {
    /// A letter of this kind.
    #[must_use]
    pub fn new(kind: LetterKind, to: &str, words: &[(&str, String)]) -> Self {
        let words = words.iter().map(|(name, word)| ((*name).to_owned(), one_line(word))).collect();
        Self { kind, to: to.to_owned(), words }
    }
}

/// Text of others in one line of bounded length, so that it cannot pass for more of the letter.
fn one_line(text: &str) -> String {
    let plain = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    plain.take(200).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A length of time in words: `45 minutes`, `7 days`.
#[must_use]
pub fn in_words(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    let (number, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7_199 => (seconds / 60, "minute"),
        7_200..=172_799 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn words_of_others_stay_in_their_line() {
        let letter = Letter::new(
            LetterKind::Invitation,
            "a@b.example",
            &[("organization", "A\r\nBcc: x\n\nHi".into())],
        );
        assert_eq!(letter.words["organization"], "A Bcc: x Hi");
    }

    #[test]
    fn times_are_told_in_their_unit() {
        for (seconds, words) in [
            (1, "1 second"),
            (90, "90 seconds"),
            (3_600, "60 minutes"),
            (86_400, "24 hours"),
            (604_800, "7 days"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
