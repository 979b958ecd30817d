//! Addresses of a provider. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;
use serde::Deserialize;

/// An address that nobody listens in on: `https`, or `http` on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    /// As it was written, for providers are told apart by each letter.
    text: String,
    uri: Uri,
}

/// A text that is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("want https://HOST/…, or http:// where HOST is this machine's own (127.0.0.1, localhost)")]
pub struct NotAnAddress;

impl Address {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// With more behind it.
    pub(super) fn with(&self, path: &str) -> Result<Self, NotAnAddress> {
        format!("{}{path}", self.text.trim_end_matches('/')).parse()
    }

    pub(super) fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// The host, an IPv6 address without its brackets.
    pub(super) fn host(&self) -> &str {
        host_of(&self.uri)
    }

    pub(super) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// As the header `Host` has it.
    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    pub(super) fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }
}

fn host_of(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

/// Whether there is a host, and no user before it.
pub(in crate::access) fn names_nobody(uri: &Uri) -> bool {
    uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
}

/// Whether nobody can listen in on what is sent there.
pub(in crate::access) fn is_guarded(uri: &Uri) -> bool {
    let host = host_of(uri);
    let is_here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => is_here,
        _ => false,
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let uri: Uri = text.parse().map_err(|_| NotAnAddress)?;
        if is_guarded(&uri) && names_nobody(&uri) && !text.contains('#') {
            Ok(Self { text: text.to_owned(), uri })
        } else {
            Err(NotAnAddress)
        }
    }
}

impl TryFrom<String> for Address {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_or_on_this_machine() {
        for (text, host, port) in [
            ("https://id.example.com/realms/ops", "id.example.com", 443),
            ("https://id.example.com:8443", "id.example.com", 8443),
            ("http://127.0.0.1:8080/", "127.0.0.1", 8080),
            ("http://[::1]:8080/", "::1", 8080),
            ("http://localhost", "localhost", 80),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host(), address.port()), (host, port), "{text}");
            assert_eq!(address.as_str(), text);
        }
        for text in [
            "",
            "id.example.com",
            "http://id.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "https://ann:secret@id.example.com",
            "https://id.example.com/#a",
            "ftp://localhost",
            "/realms/ops",
        ] {
            assert_eq!(text.parse::<Address>(), Err(NotAnAddress), "{text}");
        }
    }

    #[test]
    fn what_is_behind_an_address_has_one_slash_before_it() {
        for text in ["https://id.example.com/a", "https://id.example.com/a/"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.with("/b").unwrap().as_str(), "https://id.example.com/a/b");
        }
    }
}
