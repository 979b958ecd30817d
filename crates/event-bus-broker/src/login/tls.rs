//! TLS, by the OpenSSL that the Kafka client of the same program has already; and who a client's certificate says it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::ssl::{
    Ssl, SslAcceptor, SslContext, SslFiletype, SslMethod, SslSessionCacheMode, SslVerifyMode,
};
use openssl::x509::store::X509Lookup;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509Name, X509NameRef};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

/// How long a client may take for the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The files that TLS is made of, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The broker's certificate, and those behind it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who signs the certificates of clients; `None`: clients need none.
    pub client_ca: Option<PathBuf>,
    /// The list of those that were revoked, signed by the same.
    pub revoked: Option<PathBuf>,
}

/// TLS that is ready to be spoken.
#[derive(Clone)]
pub struct Tls {
    context: SslContext,
    names_clients: bool,
}

/// Why TLS can't be spoken with these files.
#[derive(Debug, thiserror::Error)]
#[error("{what} {} can't be used: it has to be a file of PEM{hint}", .path.display())]
pub struct TlsError {
    what: &'static str,
    path: PathBuf,
    hint: &'static str,
    source: ErrorStack,
}

/// Why a client has no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the TLS handshake failed: {0}")]
    Failed(String),
    #[error("the TLS handshake did not end within {HANDSHAKE_TIMEOUT:?}")]
    Slow,
}

impl Tls {
    /// Reads the files. With `needs_certificate` nobody is let in who has none.
    ///
    /// # Errors
    /// When one of them is not what it has to be.
    pub fn open(files: &TlsFiles, needs_certificate: bool) -> Result<Self, TlsError> {
        let TlsFiles { certificate, key, client_ca, revoked } = files;
        let wrong = |what, path: &Path, hint| {
            let path = path.to_owned();
            move |source| TlsError { what, path: path.clone(), hint, source }
        };
        let server = wrong("the certificate", certificate, ", the broker's own first");
        let mut acceptor =
            SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).map_err(&server)?;
        acceptor.set_certificate_chain_file(certificate).map_err(&server)?;
        let of_key = wrong("the key", key, ", and of the certificate");
        acceptor.set_private_key_file(key, SslFiletype::PEM).map_err(&of_key)?;
        acceptor.check_private_key().map_err(&of_key)?;
        // A session that is taken up again would need its certificate kept; a handshake costs little here.
        acceptor.set_session_cache_mode(SslSessionCacheMode::OFF);
        acceptor.set_num_tickets(0).map_err(&server)?;
        if let Some(ca) = client_ca {
            let of_ca = wrong("the clients' authority", ca, "");
            acceptor.set_ca_file(ca).map_err(&of_ca)?;
            let names = X509Name::load_client_ca_file(ca).map_err(&of_ca)?;
            acceptor.set_client_ca_list(names);
            let mut mode = SslVerifyMode::PEER;
            if needs_certificate {
                mode |= SslVerifyMode::FAIL_IF_NO_PEER_CERT;
            }
            acceptor.set_verify(mode);
        }
        if let Some(list) = revoked {
            let of_list = wrong("the list of revoked certificates", list, "");
            let store = acceptor.cert_store_mut();
            let lookup = store.add_lookup(X509Lookup::file()).map_err(&of_list)?;
            lookup.load_crl_file(list, SslFiletype::PEM).map_err(&of_list)?;
            store.set_flags(X509VerifyFlags::CRL_CHECK).map_err(&of_list)?;
        }
        let context = acceptor.build().into_context();
        Ok(Self { context, names_clients: client_ca.is_some() })
    }

    /// Whether clients have certificates.
    pub fn names_clients(&self) -> bool {
        self.names_clients
    }

    /// Shakes hands. Gives the client's principal, too, where it has a certificate.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<(SslStream<TcpStream>, Option<String>), HandshakeError> {
        let failed = |error: &dyn fmt::Display| HandshakeError::Failed(error.to_string());
        let ssl = Ssl::new(&self.context).map_err(|error| failed(&error))?;
        let mut stream = SslStream::new(ssl, stream).map_err(|error| failed(&error))?;
        let accepted = timeout(HANDSHAKE_TIMEOUT, Pin::new(&mut stream).accept()).await;
        accepted.map_err(|_| HandshakeError::Slow)?.map_err(|error| failed(&error))?;
        let certificate = self.names_clients.then(|| stream.ssl().peer_certificate()).flatten();
        let principal = certificate.map(|certificate| principal(certificate.subject_name()));
        Ok((stream, principal))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("names_clients", &self.names_clients).finish_non_exhaustive()
    }
}

/// A certificate's subject as Kafka names it: `User:CN=shop,O=Corner`, the last part first (RFC 2253).
fn principal(name: &X509NameRef) -> String {
    let parts = name.entries().map(|entry| {
        let nid = entry.object().nid();
        let key = match nid.short_name() {
            Ok(name) if nid != Nid::UNDEF => name.to_owned(),
            _ => entry.object().to_string(),
        };
        let value = entry.data().to_string().unwrap_or_default();
        format!("{key}={}", escaped(&value))
    });
    let mut parts: Vec<String> = parts.collect();
    parts.reverse();
    format!("User:{}", parts.join(","))
}

fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(value.len());
    for (at, c) in value.chars().enumerate() {
        let is_edge_space = c == ' ' && (at == 0 || at == last);
        if ",+\"\\<>;".contains(c) || is_edge_space || (at == 0 && c == '#') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use openssl::x509::X509NameBuilder;

    use super::*;

    #[test]
    fn a_subject_is_a_principal_as_kafka_writes_it() {
        let mut name = X509NameBuilder::new().unwrap();
        for (key, value) in [("C", "GB"), ("O", "Corner, Ltd"), ("OU", "#1"), ("CN", "shop")] {
            name.append_entry_by_text(key, value).unwrap();
        }
        let name = name.build();
        assert_eq!(principal(&name), r"User:CN=shop,OU=\#1,O=Corner\, Ltd,C=GB");
    }
}
