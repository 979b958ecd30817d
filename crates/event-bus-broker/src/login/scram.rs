//! SCRAM (RFC 5802) with SHA-256 (RFC 7677) and SHA-512, the server's side. A step at a time, nothing is awaited.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::memcmp;
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use super::users::Users;

/// As Kafka's, and the least that RFC 7677 allows.
const ITERATIONS: usize = 4096;
const SALT_BYTES: usize = 24;
const NONCE_BYTES: usize = 24;
/// The longest message of a client that is read.
const MAX_MESSAGE_BYTES: usize = 4 * 1024;

/// The mechanisms that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Sha256,
    Sha512,
}

impl Mechanism {
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    fn digest(self) -> MessageDigest {
        match self {
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }

    fn hash(self, bytes: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        Ok(hash(self.digest(), bytes)?.to_vec())
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let key = PKey::hmac(key)?;
        let mut signer = Signer::new(self.digest(), &key)?;
        signer.update(text)?;
        signer.sign_to_vec()
    }
}

/// What checks a password, and what proves to its owner that we know it. The password does not follow from it.
#[derive(Clone)]
pub(super) struct Credential {
    salt: [u8; SALT_BYTES],
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Credential {
    pub fn new(mechanism: Mechanism, password: &[u8]) -> Result<Self, ErrorStack> {
        let mut salt = [0; SALT_BYTES];
        openssl::rand::rand_bytes(&mut salt)?;
        Self::salted(mechanism, password, salt)
    }

    fn salted(
        mechanism: Mechanism,
        password: &[u8],
        salt: [u8; SALT_BYTES],
    ) -> Result<Self, ErrorStack> {
        let mut salted = vec![0; mechanism.digest().size()];
        pbkdf2_hmac(password, &salt, ITERATIONS, mechanism.digest(), &mut salted)?;
        let stored_key = mechanism.hash(&mechanism.hmac(&salted, b"Client Key")?)?;
        let server_key = mechanism.hmac(&salted, b"Server Key")?;
        Ok(Self { salt, stored_key, server_key })
    }
}

/// Why a client is not who it says. Its own texts are not repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScramError {
    #[error("its message is not one of SCRAM")]
    Malformed,
    #[error("it wants what is not served: channel binding, or to act for another user")]
    Unsupported,
    #[error("user {0:?} is not known, or the password is wrong")]
    Refused(String),
    #[error("OpenSSL failed")]
    Crypto(#[from] ErrorStack),
}

/// A log-in that has begun: the client has to prove that it knows the password.
pub(crate) struct Challenge {
    mechanism: Mechanism,
    user: String,
    credential: Credential,
    gs2_header: String,
    nonce: String,
    /// What the proof is of, up to the client's last message.
    said: String,
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Challenge {
    /// Answers a client's first message.
    ///
    /// # Errors
    /// When it is none.
    pub fn begin(
        mechanism: Mechanism,
        users: &Users,
        message: &[u8],
    ) -> Result<(Self, Vec<u8>), ScramError> {
        let mut nonce = [0; NONCE_BYTES];
        openssl::rand::rand_bytes(&mut nonce)?;
        Self::begin_with(mechanism, users, message, &BASE64.encode(nonce))
    }

    fn begin_with(
        mechanism: Mechanism,
        users: &Users,
        message: &[u8],
        server_nonce: &str,
    ) -> Result<(Self, Vec<u8>), ScramError> {
        // `n,a=…,n=USER,r=NONCE`, where `n,a=…,` is the GS2 header.
        let message = text(message)?;
        let (flag, rest) = message.split_once(',').ok_or(ScramError::Malformed)?;
        let (other, bare) = rest.split_once(',').ok_or(ScramError::Malformed)?;
        if !matches!(flag, "n" | "y") || bare.starts_with("m=") {
            return Err(ScramError::Unsupported);
        }
        let mut attributes = bare.split(',');
        let user = attributes.next().and_then(|user| user.strip_prefix("n="));
        let user = user.and_then(unescaped).ok_or(ScramError::Malformed)?;
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        let nonce = nonce.filter(|nonce| !nonce.is_empty()).ok_or(ScramError::Malformed)?;
        if !other.is_empty() && other.strip_prefix("a=").and_then(unescaped) != Some(user.clone()) {
            return Err(ScramError::Unsupported);
        }
        let nonce = format!("{nonce}{server_nonce}");
        let credential = users.credential(&user, mechanism).clone();
        let answer = format!("r={nonce},s={},i={ITERATIONS}", BASE64.encode(credential.salt));
        let (gs2_header, said) = (format!("{flag},{other},"), format!("{bare},{answer}"));
        Ok((Self { mechanism, user, credential, gs2_header, nonce, said }, answer.into_bytes()))
    }

    /// Checks a client's last message: gives the user's name, and the proof that we knew the password, too.
    ///
    /// # Errors
    /// When the client does not prove it.
    pub fn finish(self, message: &[u8]) -> Result<(String, Vec<u8>), ScramError> {
        // `c=HEADER,r=NONCE,p=PROOF`
        let message = text(message)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut attributes = without_proof.split(',');
        let header = attributes.next().and_then(|header| header.strip_prefix("c="));
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        if header != Some(BASE64.encode(&self.gs2_header).as_str())
            || nonce != Some(self.nonce.as_str())
        {
            return Err(ScramError::Malformed);
        }
        let proof = BASE64.decode(proof).map_err(|_| ScramError::Malformed)?;
        let Self { mechanism, credential, said, .. } = &self;
        let said = format!("{said},{without_proof}");
        let signature = mechanism.hmac(&credential.stored_key, said.as_bytes())?;
        if proof.len() != signature.len() {
            return Err(ScramError::Malformed);
        }
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        if !memcmp::eq(&mechanism.hash(&client_key)?, &credential.stored_key) {
            return Err(ScramError::Refused(self.user));
        }
        let signature = mechanism.hmac(&credential.server_key, said.as_bytes())?;
        Ok((self.user, format!("v={}", BASE64.encode(signature)).into_bytes()))
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    let message = Some(message).filter(|message| message.len() <= MAX_MESSAGE_BYTES);
    message.and_then(|message| str::from_utf8(message).ok()).ok_or(ScramError::Malformed)
}

/// A name without its escapes.
fn unescaped(name: &str) -> Option<String> {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, escape)) = rest.split_once('=') {
        plain.push_str(before);
        plain.push(match escape.get(..2)? {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        rest = &escape[2..];
    }
    plain.push_str(rest);
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn users() -> Users {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "alice:s3cret\na=b,c:x\n").unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        Users::read(file.path()).unwrap()
    }

    /// A client's proof, as RFC 5802 makes it from the password.
    fn proof(mechanism: Mechanism, password: &str, first: &str, answer: &str) -> String {
        let part = |name: &str| answer.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
        let salt = BASE64.decode(part("s=")).unwrap();
        let mut salted = vec![0; mechanism.digest().size()];
        let (password, digest) = (password.as_bytes(), mechanism.digest());
        pbkdf2_hmac(password, &salt, part("i=").parse().unwrap(), digest, &mut salted).unwrap();
        let key = mechanism.hmac(&salted, b"Client Key").unwrap();
        let stored = mechanism.hash(&key).unwrap();
        let last = format!("c=biws,r={}", part("r="));
        let said = format!("{first},{answer},{last}");
        let signature = mechanism.hmac(&stored, said.as_bytes()).unwrap();
        let proof: Vec<u8> = key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        format!("{last},p={}", BASE64.encode(proof))
    }

    fn log_in(mechanism: Mechanism, user: &str, password: &str) -> Result<String, ScramError> {
        let first = format!("n={user},r=abc");
        let message = format!("n,,{first}");
        let (challenge, answer) = Challenge::begin(mechanism, &users(), message.as_bytes())?;
        let answer = String::from_utf8(answer).unwrap();
        let proof = proof(mechanism, password, &first, &answer);
        challenge.finish(proof.as_bytes()).map(|(user, _)| user)
    }

    #[test]
    fn who_knows_the_password_is_let_in_and_nobody_else() {
        for mechanism in Mechanism::ALL {
            assert_eq!(log_in(mechanism, "alice", "s3cret").unwrap(), "alice");
            assert_eq!(log_in(mechanism, "a=3Db=2Cc", "x").unwrap(), "a=b,c");
            for (user, password) in [("alice", "other"), ("mallory", "s3cret")] {
                let refused = log_in(mechanism, user, password).unwrap_err();
                assert!(matches!(refused, ScramError::Refused(_)), "{refused}");
            }
        }
    }

    /// The example of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_rfc_is_reproduced() {
        let mechanism = Mechanism::Sha256;
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let mut salted = vec![0; 32];
        pbkdf2_hmac(b"pencil", &salt, 4096, mechanism.digest(), &mut salted).unwrap();
        let key = mechanism.hmac(&salted, b"Client Key").unwrap();
        let stored_key = mechanism.hash(&key).unwrap();
        let server_key = mechanism.hmac(&salted, b"Server Key").unwrap();
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let said =
            format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let challenge = Challenge {
            mechanism,
            user: "user".to_owned(),
            credential: Credential { salt: [0; SALT_BYTES], stored_key, server_key },
            gs2_header: "n,,".to_owned(),
            nonce: nonce.to_owned(),
            said,
        };
        let last = format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let (user, answer) = challenge.finish(last.as_bytes()).unwrap();
        assert_eq!(user, "user");
        assert_eq!(answer, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let users = users();
        let begin = |message: &[u8]| Challenge::begin(Mechanism::Sha256, &users, message);
        for wrong in [
            &b""[..],
            b"n",
            b"n,",
            b"n,,",
            b"n,,n=",
            b"n,,n=alice",
            b"n,,n=a=b,r=x",
            b"n,,r=x,n=alice",
            b"n,,n=alice,r=",
            b"\xff\xfe",
        ] {
            assert!(matches!(begin(wrong), Err(ScramError::Malformed)), "{wrong:?}");
        }
        for wrong in
            [&b"p=tls-unique,,n=alice,r=x"[..], b"n,a=bob,n=alice,r=x", b"n,,m=x,n=alice,r=x"]
        {
            assert!(matches!(begin(wrong), Err(ScramError::Unsupported)), "{wrong:?}");
        }
        for wrong in [&b""[..], b"c=biws", b"c=biws,r=x,p=AAAA", b"p=", b"c=biws,r=,p=!"] {
            let (challenge, _) = begin(b"n,,n=alice,r=x").unwrap();
            assert!(matches!(challenge.finish(wrong), Err(ScramError::Malformed)), "{wrong:?}");
        }
    }
}
