//! TLS with a certificate that only those trust who are told of it.

use std::net::SocketAddr;
use std::path::Path;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};
use tokio_native_tls::native_tls::Identity;
use tokio_native_tls::{TlsAcceptor, TlsStream, native_tls};

/// Whom the certificate is of.
const HOST: &str = "localhost";

/// Listens, and speaks TLS.
pub struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

/// The certificate as a file, which an environment's `SSL_CERT_FILE` has trusted.
pub struct Certificate(NamedTempFile);

impl Certificate {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Tls {
    /// On a free port of this machine, under a new certificate.
    pub async fn listen() -> (Self, Certificate) {
        let (certificate, key) = certified().expect("OpenSSL works");
        let file = NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(file.path(), &certificate).expect("it can be written");
        let identity = Identity::from_pkcs8(&certificate, &key).expect("they are of each other");
        let acceptor = native_tls::TlsAcceptor::new(identity).expect("OpenSSL works");
        let listener = TcpListener::bind((HOST, 0)).await.expect("there is a free port");
        (Self { listener, acceptor: acceptor.into() }, Certificate(file))
    }

    /// As those address it who trust it.
    pub fn origin(&self) -> String {
        let port = self.listener.local_addr().expect("it has an address").port();
        format!("https://{HOST}:{port}")
    }
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, address)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A certificate and its key, as PEM.
fn certified() -> Result<(Vec<u8>, Vec<u8>), ErrorStack> {
    let key = PKey::from_rsa(Rsa::generate(2_048)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", HOST)?;
    let name = name.build();
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    let serial = Asn1Integer::from_bn(&*BigNum::from_u32(1)?)?;
    certificate.set_serial_number(&serial)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_pubkey(&key)?;
    let (begin, end) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(1)?);
    certificate.set_not_before(&begin)?;
    certificate.set_not_after(&end)?;
    certificate.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    let host =
        SubjectAlternativeName::new().dns(HOST).build(&certificate.x509v3_context(None, None))?;
    certificate.append_extension(host)?;
    certificate.sign(&key, MessageDigest::sha256())?;
    Ok((certificate.build().to_pem()?, key.private_key_to_pem_pkcs8()?))
}
