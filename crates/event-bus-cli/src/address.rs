//! Addresses to listen on, as people write them.

use std::net::{SocketAddr, ToSocketAddrs};

/// Reads `HOST:PORT`. A name that has addresses of both families gives its IPv4 one, which most clients try first.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let found: Vec<SocketAddr> = text
        .to_socket_addrs()
        .map_err(|error| format!("{error}: want HOST:PORT, such as 127.0.0.1:9092"))?
        .collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| "the name has no address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert_eq!(address("127.0.0.1:9092").unwrap().to_string(), "127.0.0.1:9092");
        assert_eq!(address("[::1]:0").unwrap().to_string(), "[::1]:0");
        assert!(address("localhost:80").unwrap().ip().is_loopback());
        assert!(address("9092").is_err() && address("127.0.0.1").is_err());
    }
}
