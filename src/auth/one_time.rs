//! Secrets that are mailed and work once. A token is 256 random bits, which nobody guesses: its SHA-256 is
//! kept. A code is eight digits that a person types: tries are counted where it is kept, and what is kept is
//! a keyed fingerprint, useless without the master key.

use subtle::ConstantTimeEq as _;

use super::secret_key;
use crate::kernel::entropy;
use crate::kernel::vault::Vault;

/// Characters of a token behind its prefix.
const TOKEN: usize = 43;
/// Digits of a code.
const CODE: u32 = 8;

/// Wrong codes that are taken before a fresh one must be asked for.
pub const TRIES: i32 = 5;

/// What a token is for; its text begins with the word.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Accepts an invitation.
    Invitation,
    /// Sets a new password.
    PasswordReset,
}

impl Purpose {
    fn prefix(self) -> &'static str {
        match self {
            Self::Invitation => "tnt_inv_",
            Self::PasswordReset => "tnt_rst_",
        }
    }
}

/// A fresh token and what is kept of it.
#[must_use]
pub fn token(purpose: Purpose) -> (String, Vec<u8>) {
    let text = format!("{}{}", purpose.prefix(), entropy::base62(TOKEN));
    let hash = token_hash(&text);
    (text, hash)
}

/// What is kept of a token.
#[must_use]
pub fn token_hash(text: &str) -> Vec<u8> {
    secret_key::hash(text.trim()).to_vec()
}

/// A fresh code.
#[must_use]
pub fn code() -> String {
    entropy::digits(CODE)
}

/// What is kept of a code that was sent about `subject`.
#[must_use]
pub fn code_hash(vault: &Vault, subject: impl std::fmt::Display, code: &str) -> Vec<u8> {
    let digits: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    vault.fingerprint(format!("code:{subject}:{digits}").as_bytes()).to_vec()
}

/// Whether two hashes are equal, in the same time whatever they hold.
#[must_use]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::vault::MasterKey;

    #[test]
    fn a_code_holds_for_its_subject_and_blanks_do_not_matter() {
        let vault = Vault::new(MasterKey::generate(), vec![]);
        let code = code();
        assert!(code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
        let kept = code_hash(&vault, "a", &code);
        let (left, right) = code.split_at(4);
        assert!(same(&kept, &code_hash(&vault, "a", &format!(" {left} {right}"))));
        assert!(!same(&kept, &code_hash(&vault, "b", &code)));
        assert_ne!(token(Purpose::Invitation).0, token(Purpose::Invitation).0);
    }
}
