//! Signatures of ID tokens, as compact JSON Web Signatures (RFC 7515). Pure.
//!
//! The algorithm is the token's word, so it is only ever one of a list, and a key takes none but those of its own kind: no
//! public key is ever a secret, and there is no `none`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Verifier};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::{Key, Kind};

/// A token has at most so many bytes.
const MAX_BYTES: usize = 64 * 1024;

/// A token that nobody vouches for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unverified {
    #[error("it is no signed token")]
    Malformed,
    #[error("it is signed by {0:?}, which is not taken here")]
    Algorithm(String),
    #[error("it is signed by a key that the provider does not show")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// What has to be understood; nothing is.
    crit: Option<Value>,
}

/// How a token is signed.
#[derive(Clone, Copy)]
struct Algorithm {
    name: &'static str,
    kind: Kind,
    digest: fn() -> MessageDigest,
    padding: Padding,
}

const fn algorithm(
    name: &'static str,
    kind: Kind,
    digest: fn() -> MessageDigest,
    padding: Padding,
) -> Algorithm {
    Algorithm { name, kind, digest, padding }
}

/// All that are taken: RFC 7518, section 3.1.
const ALGORITHMS: [Algorithm; 8] = [
    algorithm("RS256", Kind::Rsa, MessageDigest::sha256, Padding::PKCS1),
    algorithm("RS384", Kind::Rsa, MessageDigest::sha384, Padding::PKCS1),
    algorithm("RS512", Kind::Rsa, MessageDigest::sha512, Padding::PKCS1),
    algorithm("PS256", Kind::Rsa, MessageDigest::sha256, Padding::PKCS1_PSS),
    algorithm("PS384", Kind::Rsa, MessageDigest::sha384, Padding::PKCS1_PSS),
    algorithm("PS512", Kind::Rsa, MessageDigest::sha512, Padding::PKCS1_PSS),
    algorithm("ES256", Kind::P256, MessageDigest::sha256, Padding::NONE),
    algorithm("ES384", Kind::P384, MessageDigest::sha384, Padding::NONE),
];

/// What a token says, if one of these keys signed it.
pub(super) fn verify(token: &str, keys: &[Key]) -> Result<Map<String, Value>, Unverified> {
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Unverified::Malformed);
    };
    if token.len() > MAX_BYTES {
        return Err(Unverified::Malformed);
    }
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Unverified::Malformed);
    let said: Header =
        serde_json::from_slice(&decoded(header)?).map_err(|_| Unverified::Malformed)?;
    let algorithm = ALGORITHMS.iter().find(|one| one.name == said.alg);
    let algorithm = *algorithm.ok_or_else(|| Unverified::Algorithm(cut(&said.alg)))?;
    if said.crit.is_some() {
        return Err(Unverified::Malformed);
    }
    let fits = |key: &&Key| {
        key.kind == algorithm.kind
            && key.algorithm.as_deref().is_none_or(|one| one == algorithm.name)
            && (said.kid.is_none() || key.id == said.kid)
    };
    let mut fitting = keys.iter().filter(fits).peekable();
    if fitting.peek().is_none() {
        return Err(Unverified::UnknownKey);
    }
    let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
    let signature = decoded(signature)?;
    if !fitting.any(|key| algorithm.is_signed(key, signed, &signature).unwrap_or(false)) {
        return Err(Unverified::Signature);
    }
    serde_json::from_slice(&decoded(payload)?).map_err(|_| Unverified::Malformed)
}

impl Algorithm {
    fn is_signed(self, key: &Key, signed: &[u8], signature: &[u8]) -> Result<bool, ErrorStack> {
        let mut verifier = Verifier::new((self.digest)(), &key.public)?;
        let coordinate_bytes = match self.kind {
            Kind::Rsa => {
                verifier.set_rsa_padding(self.padding)?;
                if self.padding == Padding::PKCS1_PSS {
                    // RFC 7518, section 3.5: as long as the digest.
                    verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
                }
                return verifier.verify_oneshot(signature, signed);
            }
            Kind::P256 => 32,
            Kind::P384 => 48,
        };
        if signature.len() != 2 * coordinate_bytes {
            return Ok(false);
        }
        // OpenSSL takes both numbers as DER.
        let (r, s) = signature.split_at(coordinate_bytes);
        let (r, s) = (BigNum::from_slice(r)?, BigNum::from_slice(s)?);
        let signature = EcdsaSig::from_private_components(r, s)?.to_der()?;
        verifier.verify_oneshot(&signature, signed)
    }
}

fn cut(text: &str) -> String {
    text.chars().take(20).collect()
}

#[cfg(test)]
mod tests;
