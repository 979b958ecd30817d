use kafka_protocol::messages::{ListGroupsRequest, MetadataRequest};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::api::testing::frame;
use crate::config::Config;
use crate::limits::MAX_QUEUED_BYTES;
use crate::node::ClusterInfo;

/// A connection to a node, through a pipe that holds so many bytes.
fn connect(
    capacity: usize,
) -> (DuplexStream, watch::Sender<Phase>, JoinHandle<Result<(), CloseReason>>) {
    let cluster =
        ClusterInfo { id: "id".to_owned(), node_id: 1, host: "host".to_owned(), port: 9092 };
    let node = Arc::new(Node::load(Config::default(), cluster, None).unwrap());
    let (peer, stream) = duplex(capacity);
    let (reader, writer) = tokio::io::split(stream);
    let queued = Arc::new(Semaphore::new(MAX_QUEUED_BYTES));
    let reader = FrameReader::new(reader, queued, FRAME_TIMEOUT);
    let (phase, mut stopping) = watch::channel(Phase::Running);
    let peer_address = SocketAddr::from(([127, 0, 0, 1], 9));
    let session = Arc::new(Session::anonymous());
    let mut connection = Connection {
        reader,
        writer,
        peer: peer_address,
        session,
        node,
        line: Line::new(),
        held: None,
    };
    let serving = tokio::spawn(async move { connection.run(&mut stopping).await });
    (peer, phase, serving)
}

async fn correlation_id(peer: &mut DuplexStream) -> i32 {
    let length = peer.read_i32().await.unwrap();
    let mut answer = vec![0; usize::try_from(length).unwrap()];
    peer.read_exact(&mut answer).await.unwrap();
    (&answer[..]).get_i32()
}

#[tokio::test]
async fn many_requests_at_once_are_answered_in_their_order() {
    let (mut peer, _phase, serving) = connect(1024 * 1024);
    for id in 0..50 {
        let bytes = match id % 2 {
            0 => frame(&MetadataRequest::default(), 12, id),
            _ => frame(&ListGroupsRequest::default(), 4, id),
        };
        peer.write_all(&bytes).await.unwrap();
    }
    for id in 0..50 {
        assert_eq!(correlation_id(&mut peer).await, id);
    }
    drop(peer);
    serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_its_answers_is_left() {
    let (mut peer, _phase, serving) = connect(64);
    let sending = tokio::spawn(async move {
        for id in 0..50 {
            if peer.write_all(&frame(&MetadataRequest::default(), 12, id)).await.is_err() {
                break;
            }
        }
        pending_read(peer).await;
    });
    assert!(matches!(serving.await.unwrap(), Err(CloseReason::Unread(_))));
    sending.abort();
}

/// Holds the peer's end open without reading it.
async fn pending_read(peer: DuplexStream) {
    std::future::pending::<()>().await;
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_its_time() {
    let (peer, _phase, serving) = connect(1024);
    let begun = Instant::now();
    serving.await.unwrap().unwrap();
    assert!(begun.elapsed() >= IDLE_TIMEOUT);
    drop(peer);
}

#[tokio::test]
async fn a_stop_answers_what_was_asked_and_closes() {
    let (mut peer, phase, serving) = connect(1024 * 1024);
    peer.write_all(&frame(&MetadataRequest::default(), 12, 5)).await.unwrap();
    assert_eq!(correlation_id(&mut peer).await, 5);
    phase.send_replace(Phase::Stopping);
    serving.await.unwrap().unwrap();
    assert!(peer.read_u8().await.is_err());
}

#[tokio::test]
async fn bytes_that_are_no_request_close_the_connection() {
    let (mut peer, _phase, serving) = connect(1024);
    let mut bytes = frame(&MetadataRequest::default(), 12, 5);
    // The list of topics announces more than there is.
    let last = bytes.len() - 4;
    bytes[last] = 0x7f;
    peer.write_all(&bytes).await.unwrap();
    assert!(matches!(serving.await.unwrap(), Err(CloseReason::Work(_))));
}
