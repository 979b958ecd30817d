//! Whether a browser sends a request for a page of ours, or for one of somebody else's. Pure.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use sha2::{Digest as _, Sha256};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Whether both headers in which browsers tell where a request comes from say that it is from here. Browsers send the
/// first with each request that is no GET, and the second with each where TLS or loopback guards it.
pub(crate) fn is_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    let origin = headers.get(ORIGIN).and_then(|value| value.to_str().ok());
    let origin = origin.and_then(|origin| origin.split_once("://"));
    let is_same_host = matches!((origin, host), (Some((_, at)), Some(host)) if at == host);
    is_same_host && matches!(text(SEC_FETCH_SITE), None | Some("same-origin"))
}

/// What a session's forms carry, which nobody else's page knows.
pub(crate) fn token_of(session: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(format!("event-bus csrf {session}")).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether both are the same, in a time that does not tell where they differ.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one.bytes().zip(other.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_pages_of_ours_may_send_forms() {
        let (host, origin) = (("host", "bus:9300"), ("origin", "http://bus:9300"));
        let site = |site| (SEC_FETCH_SITE, site);
        assert!(is_own(&headers(&[host, origin])));
        assert!(is_own(&headers(&[host, ("origin", "https://bus:9300"), site("same-origin")])));
        for list in [
            &[host][..],
            &[host, ("origin", "null")],
            &[host, ("origin", "http://bus")],
            &[host, ("origin", "http://bus:9300.evil")],
            &[origin],
            &[host, origin, site("cross-site")],
            &[host, origin, site("same-site")],
            &[host, origin, site("none")],
            &[host, site("same-origin")],
        ] {
            assert!(!is_own(&headers(list)), "{list:?}");
        }
    }

    #[test]
    fn the_token_is_the_sessions_own() {
        assert_ne!(token_of("a"), token_of("b"));
        assert!(
            is_same(&token_of("a"), &token_of("a")) && !is_same(&token_of("a"), &token_of("b"))
        );
        assert!(!is_same("", "a"));
    }
}
