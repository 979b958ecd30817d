//! As much of Kafka's protocol as it takes to ask a broker whether it answers.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// A broker that has started answers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A reply to the question below is some hundred bytes.
const MAX_REPLY_BYTES: u32 = 65_536;

/// Metadata, version 4, of no topic: the length of what follows, `api_key`, `api_version`,
/// `correlation_id`, an empty `client_id`, an empty array of topics, and no automatic creation.
const ASK_FOR_BROKERS: [u8; 19] = [0, 0, 0, 15, 0, 3, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];

/// Whether a broker on this port answers and counts at least one broker in its cluster.
pub fn answers(port: u16) -> bool {
    broker_count(port).is_ok_and(|count| count > 0)
}

fn broker_count(port: u16) -> io::Result<i32> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&ASK_FOR_BROKERS)?;

    let size = read_u32(&mut stream)?;
    let correlation_id = read_u32(&mut stream)?;
    let _throttle_ms = read_u32(&mut stream)?;
    if size > MAX_REPLY_BYTES || correlation_id != 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a Kafka broker"));
    }
    read_u32(&mut stream).map(u32::cast_signed)
}

fn read_u32(stream: &mut TcpStream) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}
