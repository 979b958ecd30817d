//! Free ports on the loopback address.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

/// Ports below Linux's range for outgoing connections (32768 and up): one of those might be taken
/// by any client between this check and the server's start.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// As many different free ports as asked for.
///
/// Another process can take one before the server binds it, so a start that fails on a taken port
/// is worth another try with new ports.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    let clock =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let start = clock.wrapping_mul(31).wrapping_add(std::process::id().wrapping_mul(7_919));
    let mut found = [0; N];
    let mut filled = 0;
    for step in 0..COUNT {
        if filled == N {
            break;
        }
        let candidate = FIRST + start.wrapping_add(step) % COUNT;
        let port = u16::try_from(candidate).expect("FIRST + COUNT is below 65536");
        if is_free(port) {
            found[filled] = port;
            filled += 1;
        }
    }
    if filled < N {
        bail!("no {N} free ports between {FIRST} and {} on 127.0.0.1", FIRST + COUNT);
    }
    Ok(found)
}

/// Whether nothing listens on the port.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
