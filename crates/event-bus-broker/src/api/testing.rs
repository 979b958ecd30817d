//! What tests of the APIs ask with: one connection that speaks the protocol, a request at a time.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Broker;

/// A connection to a broker.
pub(crate) struct Client {
    stream: TcpStream,
    next_id: i32,
}

impl Client {
    pub async fn connect(broker: &Broker) -> Self {
        let stream = TcpStream::connect(broker.addr()).await.unwrap();
        Self { stream, next_id: 1 }
    }

    /// Asks and waits for the answer.
    pub async fn ask<R: Request>(&mut self, request: R, version: i16) -> R::Response {
        self.send(&request, version).await;
        self.receive::<R>(version).await
    }

    /// Asks a broker that may have closed the connection; `None` when it has.
    pub async fn try_ask<R: Request>(&mut self, request: &R, version: i16) -> Option<Bytes> {
        self.stream.write_all(&frame(request, version, self.next_id)).await.ok()?;
        self.next_id += 1;
        self.receive_bytes().await
    }

    /// Sends without waiting for an answer.
    pub async fn send<R: Request>(&mut self, request: &R, version: i16) {
        let frame = frame(request, version, self.next_id);
        self.next_id += 1;
        self.send_bytes(&frame).await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next answer, which must be one to such a request.
    pub async fn receive<R: Request>(&mut self, version: i16) -> R::Response {
        let mut answer = self.receive_bytes().await.expect("the broker closed the connection");
        let key = ApiKey::try_from(R::KEY).unwrap();
        ResponseHeader::decode(&mut answer, key.response_header_version(version)).unwrap();
        let response = R::Response::decode(&mut answer, version).unwrap();
        assert!(answer.is_empty(), "{} bytes behind the answer to {key:?}", answer.remaining());
        response
    }

    /// The next answer without its length; `None` when the broker closed the connection.
    pub async fn receive_bytes(&mut self) -> Option<Bytes> {
        let length = self.stream.read_i32().await.ok()?;
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut bytes).await.ok()?;
        Some(bytes.into())
    }
}

/// A request as it stands on the wire.
pub(crate) fn frame<R: Request>(request: &R, version: i16, correlation_id: i32) -> BytesMut {
    let key = ApiKey::try_from(R::KEY).unwrap();
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("test")));
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    header.encode(&mut bytes, key.request_header_version(version)).unwrap();
    request.encode(&mut bytes, version).unwrap();
    let length = i32::try_from(bytes.len() - 4).unwrap();
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}
