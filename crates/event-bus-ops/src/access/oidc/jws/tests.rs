use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::json;

use super::*;
use crate::access::oidc::keys;

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa(bits: u32) -> (PKey<Private>, Value) {
    let key = Rsa::generate(bits).unwrap();
    let shown = json!({
        "kty": "RSA", "kid": "rsa", "use": "sig",
        "n": base64(&key.n().to_vec()), "e": base64(&key.e().to_vec()),
    });
    (PKey::from_rsa(key).unwrap(), shown)
}

fn ec(curve: Nid, name: &str) -> (PKey<Private>, Value) {
    let group = EcGroup::from_curve_name(curve).unwrap();
    let key = EcKey::generate(&group).unwrap();
    let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
    let mut context = openssl::bn::BigNumContext::new().unwrap();
    key.public_key().affine_coordinates(&group, &mut x, &mut y, &mut context).unwrap();
    let bytes = i32::try_from(group.degree().div_ceil(8)).unwrap();
    let number = |number: &BigNum| base64(&number.to_vec_padded(bytes).unwrap());
    let shown = json!({ "kty": "EC", "kid": name, "crv": name, "x": number(&x), "y": number(&y) });
    (PKey::from_ec_key(key).unwrap(), shown)
}

fn signed(header: &Value, key: &PKey<Private>) -> String {
    let said = base64(json!({ "sub": "ann" }).to_string().as_bytes());
    let text = format!("{}.{said}", base64(header.to_string().as_bytes()));
    let name = header["alg"].as_str().unwrap();
    let algorithm = ALGORITHMS.iter().find(|one| one.name == name).unwrap();
    let mut signer = Signer::new((algorithm.digest)(), key).unwrap();
    if algorithm.kind == Kind::Rsa {
        signer.set_rsa_padding(algorithm.padding).unwrap();
        if algorithm.padding == Padding::PKCS1_PSS {
            signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
        }
    }
    let signature = signer.sign_oneshot_to_vec(text.as_bytes()).unwrap();
    let signature = match algorithm.kind {
        Kind::Rsa => signature,
        Kind::P256 | Kind::P384 => {
            let bytes = if algorithm.kind == Kind::P256 { 32 } else { 48 };
            let signature = EcdsaSig::from_der(&signature).unwrap();
            let parts = [signature.r(), signature.s()];
            parts.map(|part| part.to_vec_padded(bytes).unwrap()).concat()
        }
    };
    format!("{text}.{}", base64(&signature))
}

#[test]
fn a_signature_of_each_algorithm_is_taken_with_its_own_key_alone() {
    let (of_rsa, rsa) = rsa(2_048);
    let (of_p256, p256) = ec(Nid::X9_62_PRIME256V1, "P-256");
    let (of_p384, p384) = ec(Nid::SECP384R1, "P-384");
    let others = json!([{ "kty": "oct", "k": "AAAA" }, { "kty": "OKP", "crv": "Ed25519" }, 7]);
    let mut all = others.as_array().unwrap().clone();
    all.extend([rsa.clone(), p256.clone(), p384.clone()]);
    let keys = keys::read(&json!({ "keys": all }));
    assert_eq!(keys.len(), 3, "others are passed over");
    let (_, other_rsa) = self::rsa(2_048);
    let (_, other_p256) = ec(Nid::X9_62_PRIME256V1, "P-256");
    let (_, other_p384) = ec(Nid::SECP384R1, "P-384");
    let strangers = keys::read(&json!({ "keys": [other_rsa, other_p256, other_p384] }));
    for algorithm in ALGORITHMS {
        let (private, id) = match algorithm.kind {
            Kind::Rsa => (&of_rsa, "rsa"),
            Kind::P256 => (&of_p256, "P-256"),
            Kind::P384 => (&of_p384, "P-384"),
        };
        for header in
            [json!({ "alg": algorithm.name }), json!({ "alg": algorithm.name, "kid": id })]
        {
            let token = signed(&header, private);
            assert_eq!(verify(&token, &keys).unwrap()["sub"], "ann", "{header}");
            assert_eq!(verify(&token, &strangers), Err(Unverified::Signature), "{header}");
            let (head, tail) = token.rsplit_once('.').unwrap();
            let (header, _) = head.split_once('.').unwrap();
            let other = format!("{header}.{}.{tail}", base64(b"{\"sub\":\"eve\"}"));
            assert_eq!(verify(&other, &keys), Err(Unverified::Signature));
        }
        let unknown = signed(&json!({ "alg": algorithm.name, "kid": "other" }), private);
        assert_eq!(verify(&unknown, &keys), Err(Unverified::UnknownKey));
    }
}

#[test]
fn neither_no_signature_nor_a_secret_is_taken_for_one() {
    let (private, shown) = rsa(2_048);
    let keys = keys::read(&json!({ "keys": [shown] }));
    let said = base64(b"{\"sub\":\"ann\"}");
    for name in ["none", "None", "HS256", "RS1", "rs256", ""] {
        let token = format!("{}.{said}.", base64(json!({ "alg": name }).to_string().as_bytes()));
        assert_eq!(verify(&token, &keys), Err(Unverified::Algorithm(name.to_owned())));
    }
    // The public key as a secret.
    let text = format!("{}.{said}", base64(b"{\"alg\":\"HS256\",\"kid\":\"rsa\"}"));
    let secret = PKey::hmac(&private.public_key_to_pem().unwrap()).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &secret).unwrap();
    let signature = signer.sign_oneshot_to_vec(text.as_bytes()).unwrap();
    let token = format!("{text}.{}", base64(&signature));
    assert_eq!(verify(&token, &keys), Err(Unverified::Algorithm("HS256".to_owned())));
    let critical = signed(&json!({ "alg": "RS256", "crit": ["exp"] }), &private);
    assert_eq!(verify(&critical, &keys), Err(Unverified::Malformed));
    let whole = signed(&json!({ "alg": "RS256" }), &private);
    for token in ["", "a", "a.b", "a.b.c", &format!("{whole}.a"), &format!("{whole}=")] {
        assert_eq!(verify(token, &keys), Err(Unverified::Malformed), "{token}");
    }
}

#[test]
fn a_key_is_for_its_algorithm_its_use_and_long_enough() {
    let (private, shown) = rsa(2_048);
    let with = |name: &str, value: &str| {
        let mut shown = shown.clone();
        shown[name] = json!(value);
        keys::read(&json!({ "keys": [shown] }))
    };
    let token = signed(&json!({ "alg": "RS256" }), &private);
    assert!(verify(&token, &with("alg", "RS256")).is_ok());
    assert_eq!(verify(&token, &with("alg", "RS512")), Err(Unverified::UnknownKey));
    assert!(with("use", "enc").is_empty());
    assert!(with("n", "AQAB").is_empty());
    let (_, short) = rsa(1_024);
    assert!(keys::read(&json!({ "keys": [short] })).is_empty());
    let off_its_curve = json!({ "kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ" });
    assert!(keys::read(&json!({ "keys": [off_its_curve] })).is_empty());
    assert!(keys::read(&json!({})).is_empty());
}
