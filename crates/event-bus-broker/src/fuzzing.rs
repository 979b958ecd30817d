//! Where fuzzers come in: any bytes as what clients send, as batches, and as what a crash left of a log. None may
//! panic, and nothing damaged may be served. The targets are in `fuzz/`; ordinary tests call the same functions.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::ApiKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::{Semaphore, watch};

use crate::api;
use crate::config::Config;
use crate::limits::MAX_QUEUED_BYTES;
use crate::log::{BatchHeader, Log, LogSettings, records};
use crate::login::Session;
use crate::metadata::{Mode, NewTopic};
use crate::node::{ClusterInfo, NODE_ID, Node};
use crate::server::Phase;
use crate::server::connection;

/// The topic that fuzzed requests find.
const TOPIC: &str = "t";

/// How much of answers is held for the peer, which reads all.
const PIPE_BYTES: usize = 64 * 1024;

/// Sends bytes to a broker as a client would. When the first is odd, the next two choose an API and a version and the
/// rest is the request's body, so that more than the header is reached.
///
/// # Panics
/// When a handler panics, which is a defect.
pub fn frames(bytes: &[u8]) {
    match bytes {
        [first, api, version, body @ ..] if first % 2 == 1 => {
            exchange(&request(*api, *version, body));
        }
        _ => exchange(bytes),
    }
}

/// Reads bytes as batches of records, as they are produced.
///
/// # Panics
/// When reading panics, which is a defect.
pub fn batches(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(header) = BatchHeader::check(rest) {
        // What they say is the caller's business; here they have to come to an end.
        let _ = records::check(&header, rest);
        rest = &rest[header.bytes..];
    }
}

/// Opens a log whose only segment holds these bytes, and reads all of it. What can be read is whole batches that pass
/// their check, or the log is refused.
///
/// # Panics
/// When opening or reading panics or shows a damaged batch, which are defects.
pub fn recovery(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("fuzzing needs a directory for its files");
    let segment = dir.path().join("00000000000000000000.log");
    std::fs::write(segment, bytes).expect("fuzzing needs to write files");
    let Ok(log) = Log::open(Some(dir.path()), LogSettings::default(), |_| {}) else { return };
    let Ok(served) = log.read(log.start_offset(), log.end_offset(), usize::MAX, true) else {
        return;
    };
    let mut rest = &served[..];
    while !rest.is_empty() {
        let header = BatchHeader::check(rest).expect("what is served passes its check");
        rest = &rest[header.bytes..];
    }
}

/// A request of one of the APIs that are served, with this body.
fn request(api: u8, version: u8, body: &[u8]) -> BytesMut {
    let served = api::registry().values().collect::<Vec<_>>();
    let api = served[usize::from(api) % served.len()];
    let version =
        api.versions.start() + i16::from(version) % (api.versions.end() - api.versions.start() + 1);
    framed(api.key, version, body)
}

fn framed(key: ApiKey, version: i16, body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    bytes.put_i16(key as i16);
    bytes.put_i16(version);
    bytes.put_i32(1);
    // No client id.
    bytes.put_i16(-1);
    if key.request_header_version(version) >= 2 {
        bytes.put_u8(0);
    }
    bytes.put_slice(body);
    let length = i32::try_from(bytes.len() - 4).expect("fuzzed requests are short");
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// Sends bytes to a new broker in memory and reads its answers until it closes the connection.
fn exchange(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("fuzzing needs a runtime");
    runtime.block_on(async {
        let cluster = ClusterInfo {
            id: "fuzz".to_owned(),
            node_id: NODE_ID,
            host: "localhost".to_owned(),
            port: 9092,
        };
        let node =
            Arc::new(Node::load(Config::default(), cluster, None).expect("nothing is loaded"));
        let topic = NewTopic::new(TOPIC, 2, std::collections::BTreeMap::new()).expect("a topic");
        node.topics.create(topic, Mode::Apply).await.expect("there is no topic yet");
        let (peer, stream) = duplex(PIPE_BYTES);
        let (mut answers, mut requests) = tokio::io::split(peer);
        let (reader, writer) = tokio::io::split(stream);
        let queued = Arc::new(Semaphore::new(MAX_QUEUED_BYTES));
        let (_phase, stopping) = watch::channel(Phase::Running);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let serving = connection::serve(
            (reader, writer),
            (peer, Session::anonymous()),
            node,
            queued,
            stopping,
        );
        let asking = async {
            // The broker may close the connection before it has read all.
            let _ = requests.write_all(bytes).await;
            let _ = requests.shutdown().await;
        };
        let listening = async {
            let mut told = Vec::new();
            let _ = answers.read_to_end(&mut told).await;
        };
        let (closed, (), ()) = tokio::join!(serving, asking, listening);
        assert!(!closed.is_err_and(|reason| reason.is_defect()), "a handler panicked");
    });
}

#[cfg(test)]
mod tests;
