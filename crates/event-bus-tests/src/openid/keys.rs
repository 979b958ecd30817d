//! Keys by which a provider signs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Value, json};

const WORKS: &str = "OpenSSL works";
/// Of each number of a P-256 signature.
const COORDINATE_BYTES: i32 = 32;

pub struct Key {
    pub id: String,
    /// As the provider shows it.
    pub shown: Value,
    algorithm: &'static str,
    private: PKey<Private>,
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn text(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64(header.to_string()), base64(claims.to_string()))
}

impl Key {
    pub fn rsa(id: &str) -> Self {
        let key = Rsa::generate(2_048).expect(WORKS);
        let shown = json!({
            "kty": "RSA", "kid": id, "use": "sig", "alg": "RS256",
            "n": base64(key.n().to_vec()), "e": base64(key.e().to_vec()),
        });
        let private = PKey::from_rsa(key).expect(WORKS);
        Self { id: id.to_owned(), shown, algorithm: "RS256", private }
    }

    pub fn ec(id: &str) -> Self {
        let (key, [x, y]) = p256().expect(WORKS);
        let shown = json!({ "kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": x, "y": y });
        let private = PKey::from_ec_key(key).expect(WORKS);
        Self { id: id.to_owned(), shown, algorithm: "ES256", private }
    }

    pub fn sign(&self, claims: &Value) -> String {
        let text = text(&json!({ "alg": self.algorithm, "kid": self.id }), claims);
        let signature = signature(&self.private, &text).expect(WORKS);
        let signature = if self.algorithm == "ES256" {
            let signature = EcdsaSig::from_der(&signature).expect(WORKS);
            let number = |number: &openssl::bn::BigNumRef| number.to_vec_padded(COORDINATE_BYTES);
            [number(signature.r()).expect(WORKS), number(signature.s()).expect(WORKS)].concat()
        } else {
            signature
        };
        format!("{text}.{}", base64(signature))
    }

    pub fn unsigned(claims: &Value) -> String {
        format!("{}.", text(&json!({ "alg": "none" }), claims))
    }

    /// Signed by HS256, whose secret is the public key.
    pub fn as_secret(&self, claims: &Value) -> String {
        let text = text(&json!({ "alg": "HS256", "kid": self.id }), claims);
        let public = self.private.public_key_to_pem().expect(WORKS);
        let secret = PKey::hmac(&public).expect(WORKS);
        format!("{text}.{}", base64(signature(&secret, &text).expect(WORKS)))
    }
}

fn signature(key: &PKey<Private>, text: &str) -> Result<Vec<u8>, ErrorStack> {
    Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(text.as_bytes())
}

fn p256() -> Result<(EcKey<Private>, [String; 2]), ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = EcKey::generate(&group)?;
    let (mut x, mut y, mut context) = (BigNum::new()?, BigNum::new()?, BigNumContext::new()?);
    key.public_key().affine_coordinates(&group, &mut x, &mut y, &mut context)?;
    let shown = [x.to_vec_padded(COORDINATE_BYTES)?, y.to_vec_padded(COORDINATE_BYTES)?];
    Ok((key, shown.map(base64)))
}
