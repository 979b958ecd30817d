//! A provider's public keys, as JSON Web Keys (RFC 7517, RFC 7518). Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Rsa;
use serde::Deserialize;
use serde_json::Value;

/// A shorter one is no longer trusted: NIST SP 800-131A.
const MIN_RSA_BITS: u32 = 2_048;

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    P256,
    P384,
}

/// A key by which signatures are checked.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    /// The one algorithm that it is for, where that is said.
    pub(super) algorithm: Option<String>,
    pub(super) kind: Kind,
    pub(super) public: PKey<Public>,
}

#[derive(Deserialize)]
struct Written {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a set that sign, and are of kinds that are taken here. Others are passed over, as RFC 7517 (section 5) says.
pub(super) fn read(set: &Value) -> Vec<Key> {
    let all = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let written = all.iter().filter_map(|key| Written::deserialize(key).ok());
    written
        .filter(|key| key.used_for.as_deref().is_none_or(|used_for| used_for == "sig"))
        .filter_map(|key| {
            let (kind, public) = key.public()?;
            Some(Key { id: key.kid, algorithm: key.alg, kind, public })
        })
        .collect()
}

impl Written {
    fn public(&self) -> Option<(Kind, PKey<Public>)> {
        let number = |text: &Option<String>| {
            let bytes = URL_SAFE_NO_PAD.decode(text.as_deref()?).ok()?;
            BigNum::from_slice(&bytes).ok()
        };
        match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => rsa(number(&self.n)?, number(&self.e)?).map(|key| (Kind::Rsa, key)),
            ("EC", Some("P-256")) => {
                let key = ec(Nid::X9_62_PRIME256V1, &number(&self.x)?, &number(&self.y)?);
                Some((Kind::P256, key.ok()?))
            }
            ("EC", Some("P-384")) => {
                let key = ec(Nid::SECP384R1, &number(&self.x)?, &number(&self.y)?);
                Some((Kind::P384, key.ok()?))
            }
            _ => None,
        }
    }
}

fn rsa(modulus: BigNum, exponent: BigNum) -> Option<PKey<Public>> {
    let key = Rsa::from_public_components(modulus, exponent).ok()?;
    let key = PKey::from_rsa(key).ok()?;
    (key.bits() >= MIN_RSA_BITS).then_some(key)
}

fn ec(curve: Nid, x: &BigNum, y: &BigNum) -> Result<PKey<Public>, ErrorStack> {
    let group = EcGroup::from_curve_name(curve)?;
    let key = EcKey::from_public_key_affine_coordinates(&group, x, y)?;
    // That the point is on the curve.
    key.check_key()?;
    PKey::from_ec_key(key)
}
