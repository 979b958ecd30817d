//! What an ID token says, and whether that is for us: OpenID Connect Core 1.0, section 3.1.3.7. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::OidcError;
use crate::access::cross_site::is_same;

/// Clocks are apart by at most so much.
const SKEW: SignedDuration = SignedDuration::from_secs(60);
/// A token is made when the code is exchanged: an older one is no answer to that.
const OLDEST: SignedDuration = SignedDuration::from_secs(10 * 60);
/// OpenID Connect Core 1.0, section 2: a longer one is no subject.
const MAX_SUBJECT_BYTES: usize = 255;
/// What a user is called, by what of it is there first. The subject is left where none is.
const LABELS: [&str; 3] = ["preferred_username", "email", "upn"];

type Claims = Map<String, Value>;

/// What is asked of a token.
pub(super) struct Wanted<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    /// The password has to be given within this time, where that is asked.
    pub(super) proved_within: Option<Duration>,
    pub(super) now: Timestamp,
}

/// Whom a token is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) subject: String,
    /// What to call this one.
    pub(super) label: String,
    /// When the password was given, 1970 where that is not said.
    pub(super) proved_at: Timestamp,
}

/// Whom a token is about that is for this client and this attempt, and of now.
pub(super) fn check(claims: &Claims, wanted: &Wanted<'_>) -> Result<Identity, OidcError> {
    is_for_us(claims, wanted)?;
    is_of_now(claims, wanted.now)?;
    let subject = text(claims, "sub").filter(|subject| !subject.is_empty());
    let subject = subject.filter(|subject| subject.len() <= MAX_SUBJECT_BYTES);
    let subject = subject.ok_or_else(|| untrusted("it says of nobody that it is about them"))?;
    let proved_at = time(claims, "auth_time")?;
    if let Some(within) = wanted.proved_within {
        let Some(at) = proved_at else {
            return Err(OidcError::NotProved("it does not tell when".to_owned()));
        };
        let since = wanted.now.duration_since(at);
        if since >= SignedDuration::try_from(within).unwrap_or(SignedDuration::ZERO) {
            return Err(OidcError::NotProved(format!("but {} seconds ago", since.as_secs())));
        }
    }
    let label = LABELS.iter().find_map(|name| text(claims, name).filter(|text| !text.is_empty()));
    Ok(Identity {
        subject: subject.to_owned(),
        label: label.unwrap_or(subject).to_owned(),
        // The provider's clock may be ahead by a little.
        proved_at: proved_at.unwrap_or(Timestamp::UNIX_EPOCH).min(wanted.now),
    })
}

fn is_for_us(claims: &Claims, wanted: &Wanted<'_>) -> Result<(), OidcError> {
    if text(claims, "iss") != Some(wanted.issuer) {
        return Err(untrusted("it is of another provider"));
    }
    let audience: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audience.contains(&wanted.client_id) {
        return Err(untrusted("it is for another client"));
    }
    let is_ours = match claims.get("azp") {
        None => audience.len() == 1,
        Some(party) => party.as_str() == Some(wanted.client_id),
    };
    if !is_ours {
        return Err(untrusted("it was given to another client"));
    }
    if !text(claims, "nonce").is_some_and(|nonce| is_same(nonce, wanted.nonce)) {
        return Err(untrusted("it is of another sign-in"));
    }
    Ok(())
}

fn is_of_now(claims: &Claims, now: Timestamp) -> Result<(), OidcError> {
    let needed = |name: &str| {
        time(claims, name)?.ok_or_else(|| untrusted(&format!("it does not tell {name}")))
    };
    let (expires, made) = (needed("exp")?, needed("iat")?);
    let apart = |what: &str, by: SignedDuration| {
        Err(OidcError::Clocks(format!("{what} by {} seconds", by.abs().as_secs())))
    };
    let since_end = now.duration_since(expires);
    if since_end >= SKEW {
        return apart("the ID token is over", since_end);
    }
    let age = now.duration_since(made);
    if age < -SKEW {
        return apart("the ID token is of the future", age);
    }
    if age > OLDEST {
        return apart("the ID token is old", age);
    }
    match time(claims, "nbf")?.map(|at| now.duration_since(at)) {
        Some(since) if since < -SKEW => apart("the ID token is of the future", since),
        _ => Ok(()),
    }
}

/// The groups that a token tells; `None` where it tells none, not even that there are none. The claim is a list or one
/// text, under a name or, with a `/` before it, at a JSON pointer.
pub(super) fn groups<'c>(claims: &'c Claims, claim: &str) -> Option<Vec<&'c str>> {
    let found = match claim.strip_prefix('/') {
        None => claims.get(claim),
        Some(pointer) => {
            let (first, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
            let inner = claims.get(&unescaped(first));
            if rest.is_empty() {
                inner
            } else {
                inner.and_then(|one| one.pointer(&format!("/{rest}")))
            }
        }
    };
    // Anybody can have written an address into their account that nobody looked at.
    let is_unverified =
        claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true));
    match found? {
        _ if is_unverified => None,
        Value::String(one) => Some(vec![one]),
        Value::Array(many) => Some(many.iter().filter_map(Value::as_str).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// RFC 6901, section 4.
fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

fn text<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
}

/// Seconds since 1970, which may have a fraction: RFC 7519, section 2.
fn time(claims: &Claims, name: &str) -> Result<Option<Timestamp>, OidcError> {
    let Some(said) = claims.get(name) else { return Ok(None) };
    let wrong = || untrusted(&format!("{name} is no time"));
    let seconds = match (said.as_i64(), said.as_f64()) {
        (Some(seconds), _) => seconds,
        #[expect(clippy::cast_possible_truncation, reason = "a cast keeps within the bounds")]
        (None, Some(seconds)) if seconds.is_finite() => seconds.floor() as i64,
        _ => return Err(wrong()),
    };
    Timestamp::from_second(seconds).map(Some).map_err(|_| wrong())
}

fn untrusted(why: &str) -> OidcError {
    OidcError::Untrusted(why.to_owned())
}

#[cfg(test)]
mod tests;
