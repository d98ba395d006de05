//! Passwords: argon2id with 19 MiB, two passes and one lane (OWASP Password Storage Cheat Sheet, its
//! second recommended setting), on the blocking pool, no more at once than there are cores.

use std::sync::OnceLock;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::db::run_blocking;
use crate::kernel::error::{Error, Result};

/// Memory in KiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over it.
const PASSES: u32 = 2;
/// Lanes.
const LANES: u32 = 1;

fn argon2() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Guesses that a password must at least withstand. The few thousand most used ones take far fewer.
const GUESSES: u64 = 1_000_000;

/// Whether a new password will do.
///
/// # Errors
/// What is wrong with it: too short, or too easy to guess (one of the most used ones, a date, a pattern of keys,
/// the person's own address, or little more than such).
pub fn strong(password: &str, email: &str, least: usize) -> Result<(), String> {
    if password.chars().count() < least {
        return Err(format!("must have at least {least} characters"));
    }
    let parts: Vec<&str> = std::iter::once(email)
        .chain(email.split(['@', '.', '+', '-', '_']))
        .filter(|part| !part.is_empty())
        .collect();
    if zxcvbn::zxcvbn(password, &parts).guesses() < GUESSES {
        let why = "is too easy to guess: choose one that is not common and does not follow from the address";
        return Err(why.to_owned());
    }
    Ok(())
}

/// What [`strong`] says against a new password, asked off the async threads. `None` when nothing is wrong.
///
/// # Errors
/// [`Error::Internal`] when the check ended early.
pub async fn weakness(password: SecretString, email: &str, least: usize) -> Result<Option<String>> {
    let email = email.to_owned();
    run_blocking(move || Ok(strong(password.expose_secret(), &email, least).err())).await
}

fn turns() -> &'static Semaphore {
    static TURNS: OnceLock<Semaphore> = OnceLock::new();
    TURNS.get_or_init(|| Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)))
}

/// Hashes a password into PHC text (`$argon2id$v=19$…`) with a fresh salt.
///
/// # Errors
/// [`Error::Internal`] when the operating system gives no randomness or memory.
pub async fn hash(password: SecretString) -> Result<String> {
    let _turn = turns().acquire().await.map_err(Error::internal)?;
    run_blocking(move || {
        let hash = argon2()?.hash_password(password.expose_secret().as_bytes()).map_err(Error::internal)?;
        Ok(hash.to_string())
    })
    .await
}

/// Whether `password` is the one that `stored` was made from. `None` for stored (no such person) takes
/// just as long and answers false, so that time does not tell who exists.
///
/// # Errors
/// [`Error::Internal`] when `stored` is no PHC text.
pub async fn verify(password: SecretString, stored: Option<String>) -> Result<bool> {
    let _turn = turns().acquire().await.map_err(Error::internal)?;
    run_blocking(move || {
        let argon2 = argon2()?;
        let Some(stored) = stored else {
            argon2.hash_password(password.expose_secret().as_bytes()).map_err(Error::internal)?;
            return Ok(false);
        };
        let parsed = PasswordHash::new(&stored).map_err(Error::internal)?;
        Ok(argon2.verify_password(password.expose_secret().as_bytes(), &parsed).is_ok())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_attackers_try_first_is_refused() {
        let weak =
            async |text: &str| weakness(text.to_owned().into(), "ada.lovelace@example.com", 8).await.unwrap();
        for text in [
            "password",
            "Password1",
            "12345678",
            "qwertyuiop",
            "iloveyou1",
            "aaaaaaaaaaaa",
            "letmein123",
            "ada.lovelace@example.com",
            "Lovelace1",
            "trustno1!",
            "sunshine1",
            "19840612",
        ] {
            assert!(weak(text).await.is_some_and(|why| why.contains("easy")), "{text}");
        }
        assert!(weak("short").await.unwrap().contains("at least 8"));
        for text in ["correct horse battery", "tuqXe-ronga-9", "Über den Wolken 42"] {
            assert_eq!(weak(text).await, None, "{text}");
        }
    }

    #[tokio::test]
    async fn the_right_password_and_no_other() {
        let stored = hash("correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify("correct horse".into(), Some(stored.clone())).await.unwrap());
        assert!(!verify("wrong horse".into(), Some(stored)).await.unwrap());
        assert!(!verify("correct horse".into(), None).await.unwrap());
    }
}
