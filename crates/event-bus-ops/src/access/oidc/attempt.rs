//! One attempt to sign in: what the browser keeps of it, and what follows from that. Pure but for the secret.
//!
//! All that binds the provider's answer to the browser that asked is made of one secret, which is in that browser's cookie:
//! `state`, `nonce` and PKCE's verifier are hashes of it, of which the provider is told none that leads to another.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::rand::rand_bytes;
use sha2::{Digest as _, Sha256};

use super::OidcError;
use crate::access::cross_site::is_same;

/// The cookie of an attempt. Browsers take it from TLS and from loopback only, and from no other host.
pub(crate) const COOKIE: &str = "__Host-event-bus-oidc";
/// Browsers keep a cookie of at most 4,096 bytes: a longer page to go on to is left out.
const MAX_NEXT: usize = 2_800;
const SECRET_BYTES: usize = 32;

/// An attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    secret: String,
    /// The page to go on to. It comes from the browser, and is looked at before it is gone to.
    pub(super) next: String,
    /// Whether it is to prove once more who is signed in.
    pub(super) is_proof: bool,
}

impl Attempt {
    pub(super) fn new(next: &str, is_proof: bool) -> Result<Self, OidcError> {
        let mut secret = [0; SECRET_BYTES];
        rand_bytes(&mut secret).map_err(|error| OidcError::Machine(error.to_string()))?;
        let next = if next.len() <= MAX_NEXT { next.to_owned() } else { String::new() };
        Ok(Self { secret: URL_SAFE_NO_PAD.encode(secret), next, is_proof })
    }

    /// As the browser keeps it.
    pub(super) fn cookie(&self) -> String {
        let kind = if self.is_proof { "prove" } else { "enter" };
        format!("{}.{kind}.{}", self.secret, URL_SAFE_NO_PAD.encode(&self.next))
    }

    /// What the browser kept.
    pub(super) fn read(cookie: &str) -> Option<Self> {
        let mut parts = cookie.splitn(3, '.');
        let (secret, kind, next) = (parts.next()?, parts.next()?, parts.next()?);
        let is_whole =
            URL_SAFE_NO_PAD.decode(secret).is_ok_and(|secret| secret.len() == SECRET_BYTES);
        let next = String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?;
        let is_proof = match kind {
            "prove" => true,
            "enter" => false,
            _ => return None,
        };
        is_whole.then(|| Self { secret: secret.to_owned(), next, is_proof })
    }

    fn hash(&self, of: &str) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!("event-bus oidc {of} {}", self.secret)))
    }

    /// What the provider's answer has to repeat.
    pub(super) fn state(&self) -> String {
        self.hash("state")
    }

    pub(super) fn is_state(&self, state: &str) -> bool {
        is_same(state, &self.state())
    }

    /// What the ID token has to repeat.
    pub(super) fn nonce(&self) -> String {
        self.hash("nonce")
    }

    /// What is shown to have the code exchanged, RFC 7636.
    pub(super) fn verifier(&self) -> String {
        self.hash("verifier")
    }

    /// What the provider is told of that before.
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_goes_through_a_cookie() {
        for (next, is_proof) in [("/events/replays?a=1;b,\"", false), ("", true)] {
            let attempt = Attempt::new(next, is_proof).unwrap();
            let cookie = attempt.cookie();
            assert!(
                cookie.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            );
            assert_eq!(Attempt::read(&cookie), Some(attempt));
        }
        let long = Attempt::new(&"/".repeat(MAX_NEXT + 1), false).unwrap();
        assert_eq!(long.next, "");
        let longest = Attempt::new(&"/".repeat(MAX_NEXT), false).unwrap();
        assert!(COOKIE.len() + 1 + longest.cookie().len() <= 4_096);
        let short = URL_SAFE_NO_PAD.encode([0; SECRET_BYTES - 1]);
        for cookie in ["", "a", "..", &format!("{short}.enter."), &format!("{short}A.other.")] {
            assert_eq!(Attempt::read(cookie), None, "{cookie}");
        }
    }

    #[test]
    fn each_attempt_has_its_own_and_none_leads_to_another() {
        let (one, other) = (Attempt::new("/", false).unwrap(), Attempt::new("/", false).unwrap());
        assert!(one.is_state(&one.state()) && !one.is_state(&other.state()) && !one.is_state(""));
        let all = [&one, &other].map(|one| {
            [one.state(), one.nonce(), one.verifier(), one.challenge(), one.secret.clone()]
        });
        let different: std::collections::BTreeSet<_> = all.iter().flatten().collect();
        assert_eq!(different.len(), 10);
        // RFC 7636, section 4.1.
        assert!((43..=128).contains(&one.verifier().len()));
    }
}
