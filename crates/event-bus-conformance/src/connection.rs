//! One connection to a broker: a request, its answer.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::{coordinators, subject};

/// No answer takes longer, even on a machine that compiles beside the tests.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The name that the suite gives itself.
pub const CLIENT_ID: &str = "conformance";

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    /// To the broker that is tested, once it is ready for all that a test may ask.
    ///
    /// # Panics
    /// When it does not listen.
    pub async fn open() -> Self {
        static READY: OnceCell<()> = OnceCell::const_new();
        let mut connection = Self::to(&subject::bootstrap()).await;
        READY.get_or_init(|| Box::pin(coordinators::until_ready(&mut connection))).await;
        connection
    }

    /// To a broker at `host:port`.
    ///
    /// # Panics
    /// When it does not listen.
    pub async fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the broker listens");
        stream.set_nodelay(true).expect("a TCP stream takes the option");
        Self { stream, correlation_id: 0 }
    }

    /// Sends a request in a version and waits for its answer.
    ///
    /// # Panics
    /// When there is no answer, or none of that kind and version.
    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request).await;
        self.answer::<R>(version).await
    }

    /// Sends a request, and leaves its answer for later.
    ///
    /// # Panics
    /// When the broker doesn't take it.
    pub async fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, R::header_version(version)).expect("a header can be written");
        request.encode(&mut frame, version).expect("the request exists in this version");
        self.send_frame(&frame).await.expect("the broker takes the request");
    }

    /// Waits for the answer to the request that was sent last, or first of several.
    ///
    /// # Panics
    /// As [`Self::call`].
    pub async fn answer<R: Request>(&mut self, version: i16) -> R::Response {
        let frame = self.frame().await;
        let mut frame = frame.expect("the broker answers instead of closing the connection");
        let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version));
        let header = header.expect("the answer begins with a header");
        assert!(header.correlation_id <= self.correlation_id, "an answer to no request of ours");
        let answer = R::Response::decode(&mut frame, version)
            .unwrap_or_else(|error| panic!("no answer to API {} v{version}: {error}", R::KEY));
        assert!(!frame.has_remaining(), "{} bytes after the answer", frame.remaining());
        answer
    }

    /// Sends bytes as one frame.
    ///
    /// # Errors
    /// When the broker has closed the connection.
    pub async fn send_frame(&mut self, frame: &[u8]) -> io::Result<()> {
        let length = u32::try_from(frame.len()).expect("a test's frame is small");
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(frame);
        self.send_bytes(&bytes).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the broker has closed the connection.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next frame from the broker.
    ///
    /// # Errors
    /// When the broker has closed the connection.
    ///
    /// # Panics
    /// When the broker stays silent.
    pub async fn frame(&mut self) -> io::Result<Bytes> {
        let read = async {
            let length = self.stream.read_u32().await?;
            let mut frame = vec![0; usize::try_from(length).expect("32 bits fit")];
            self.stream.read_exact(&mut frame).await?;
            Ok(Bytes::from(frame))
        };
        timeout(ANSWER_WITHIN, read)
            .await
            .unwrap_or_else(|_| panic!("no answer within {ANSWER_WITHIN:?}"))
    }
}
