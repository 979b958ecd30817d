//! Where browsers find the panel.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

use super::oidc;

/// Where browsers find the panel, such as `https://events.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Uri);

/// A text that is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("want https://HOST or http://HOST:PORT, with nothing behind it")]
pub struct NotAnOrigin;

impl Origin {
    /// Whether nobody can listen in on what is sent there: `https`, or `http` on this machine.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        oidc::is_guarded(&self.0)
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| NotAnOrigin)?;
        let is_http = matches!(uri.scheme_str(), Some("https" | "http"));
        let is_bare = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
        if is_http && oidc::names_nobody(&uri) && is_bare && !text.contains('#') {
            Ok(Self(uri))
        } else {
            Err(NotAnOrigin)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.to_string().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_nothing_behind_it() {
        for (text, is_guarded) in [
            ("https://events.example.com", true),
            ("https://events.example.com:8443/", true),
            ("http://127.0.0.1:9300", true),
            ("http://events.example.com", false),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!(
                (origin.to_string().as_str(), origin.is_guarded()),
                (text.trim_end_matches('/'), is_guarded)
            );
        }
        for text in ["", "events", "ftp://a", "https://a/b", "https://a?b", "https://a@b"] {
            assert_eq!(text.parse::<Origin>(), Err(NotAnOrigin), "{text}");
        }
    }
}
