//! Passwords: which are taken, and their argon2id hashes.

use std::collections::BTreeSet;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

/// NIST SP 800-63B-4, section 3.1.1.2: the shortest where nothing else proves who somebody is.
const MIN_CHARACTERS: usize = 15;
/// A longer one would be work for whoever is asked to hash it.
const MAX_BYTES: usize = 256;
/// Fewer different characters are a pattern, and what passwords of this length that many people choose have.
const MIN_DIFFERENT: usize = 6;

/// OWASP's cheat sheet on storing passwords: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// So many are hashed at once, each of which takes that memory.
const AT_ONCE: usize = 2;
static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// Of a password that nobody has: so that an unknown name takes as long as a wrong password. Parameters as above.
const OF_NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXRoaW5ncmFuZG9t$\
    Zm9ydHkgdHdvIGlzIG5vdCBhIHBhc3N3b3JkIGhhc2g";

/// A password that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Too short.
    #[error(
        "a password has at least {MIN_CHARACTERS} characters: some words in a row are easy to remember"
    )]
    Short,
    /// Too long.
    #[error("a password has at most {MAX_BYTES} bytes")]
    Long,
    /// Too few different characters.
    #[error("a password has at least {MIN_DIFFERENT} different characters")]
    Plain,
    /// It says whose it is.
    #[error("a password is not made of the user's name")]
    Named,
}

/// A hash that could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// By the algorithm.
    #[error("the password could not be hashed: {0}")]
    Hash(password_hash::Error),
    /// What is stored is no PHC string.
    #[error("the stored hash can't be read")]
    Stored,
    /// The process ends.
    #[error("the process ends")]
    Ended,
}

/// Whether a password may be this user's.
///
/// # Errors
/// Why not.
pub fn check(password: &str, user: &str) -> Result<(), Unfit> {
    let different: BTreeSet<char> = password.chars().collect();
    let rest = password.to_lowercase().replace(&user.to_lowercase(), "");
    match password {
        _ if password.len() > MAX_BYTES => Err(Unfit::Long),
        _ if password.chars().count() < MIN_CHARACTERS => Err(Unfit::Short),
        _ if different.len() < MIN_DIFFERENT => Err(Unfit::Plain),
        _ if rest.chars().count() * 2 < password.chars().count() => Err(Unfit::Named),
        _ => Ok(()),
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
    let params = params.expect("the constants are within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Hashes a password, with a salt of its own, as a PHC string.
///
/// # Errors
/// See [`HashError`].
pub async fn hash(password: String) -> Result<String, HashError> {
    on_a_thread(move || {
        let hash: PasswordHash =
            argon2().hash_password(password.as_bytes()).map_err(HashError::Hash)?;
        Ok(hash.to_string())
    })
    .await
}

/// Whether a password is the one of this hash. Where there is none, it is not, after as much work.
///
/// # Errors
/// See [`HashError`].
pub async fn verify(password: String, hash: Option<String>) -> Result<bool, HashError> {
    on_a_thread(move || {
        let known = hash.is_some();
        let hash = hash.as_deref().unwrap_or(OF_NOBODY);
        let hash = PasswordHash::new(hash).map_err(|_| HashError::Stored)?;
        // A longer one was never taken, so that this tells nothing.
        let password = password.as_bytes();
        let password = &password[..password.len().min(MAX_BYTES + 1)];
        Ok(argon2().verify_password(password, &hash).is_ok() && known)
    })
    .await
}

/// It takes some 20 ms, in which a thread of the runtime would serve nobody.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
) -> Result<T, HashError> {
    let _turn = TURNS.acquire().await.map_err(|_| HashError::Ended)?;
    tokio::task::spawn_blocking(work).await.map_err(|_| HashError::Ended)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_easy_to_guess_is_not_taken() {
        for (password, why) in [
            ("fourteen chars", Unfit::Short),
            ("aaaaabbbbbcccccddddd", Unfit::Plain),
            ("annabelleannabelle1", Unfit::Named),
            (&*"long word ".repeat(30), Unfit::Long),
        ] {
            assert_eq!(check(password, "annabelle"), Err(why), "{password}");
        }
        assert_eq!(check("correct horse battery", "ann"), Ok(()));
        assert_eq!(check("дюжина понедельников", "ann"), Ok(()));
    }

    #[tokio::test]
    async fn a_hash_is_of_its_password_alone_and_nobody_has_none() {
        let password = || "correct horse battery".to_owned();
        let hashed = hash(password()).await.unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert_ne!(hash(password()).await.unwrap(), hashed, "salted");
        assert!(verify(password(), Some(hashed.clone())).await.unwrap());
        assert!(!verify("correct horse batterz".to_owned(), Some(hashed)).await.unwrap());
        assert!(!verify(password(), None).await.unwrap());
        assert!(PasswordHash::new(OF_NOBODY).unwrap().hash.is_some(), "and so is work");
    }
}
