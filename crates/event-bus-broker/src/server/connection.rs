//! One connection: requests in, answers out, in order.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::ApiKey;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Body;
use super::frame::{Frame, FrameError, FrameReader};
use super::line::{Begin, Ended, Line};
use super::request::{Request, RequestError, WorkError};
use super::windows::Windows;
use crate::limits::{
    CLOSE_TIMEOUT, FRAME_TIMEOUT, IDLE_TIMEOUT, LOGIN_TIMEOUT, MAX_LOGIN_BYTES, STOP_TIMEOUT,
    WRITE_TIMEOUT,
};
use crate::log::ReadError;
use crate::login::Session;
use crate::node::Node;

/// What may be asked before the log-in.
const BEFORE_LOGIN: [ApiKey; 3] =
    [ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate];

/// What the broker does, as its connections see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// No new requests; what runs is answered.
    Stopping,
}

/// Waits until the broker stops.
pub(crate) async fn stopping(phase: &mut watch::Receiver<Phase>) {
    // An error means that the broker was dropped, which ends this task anyway.
    let _ = phase.wait_for(|phase| *phase == Phase::Stopping).await;
}

/// Why a connection was closed by the broker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloseReason {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Work(#[from] WorkError),
    #[error("the handler of a {0:?} request panicked")]
    Panicked(ApiKey),
    #[error(
        "the answer to a {key:?} request has {length} bytes, more than its length field can say"
    )]
    TooLong { key: ApiKey, length: usize },
    /// The answer's length was told already: it can't become an error. The next fetch gets one.
    #[error("an answer was begun and the rest of it can't be read")]
    Unreadable(#[from] ReadError),
    #[error("the answer can't be written")]
    Write(#[source] std::io::Error),
    #[error("an answer was not taken within {0:?}")]
    Unread(Duration),
    /// Told already, by whoever refused.
    #[error("its client did not log in")]
    Unauthenticated,
}

impl CloseReason {
    /// Whether the broker, not its peer, did something that it should not.
    pub fn is_defect(&self) -> bool {
        match self {
            Self::Panicked(_) | Self::TooLong { .. } => true,
            Self::Work(error) => error.is_defect(),
            Self::Frame(_)
            | Self::Request(_)
            | Self::Unreadable(_)
            | Self::Write(_)
            | Self::Unread(_)
            | Self::Unauthenticated => false,
        }
    }
}

/// An answer on its way to the peer.
struct Answer {
    head: BytesMut,
    body: Body,
}

/// What a request came to: an answer, or none where the protocol has none.
type Outcome = Result<Option<Answer>, WorkError>;

/// What happens next on a connection.
enum Next {
    Frame(Result<Option<Frame>, FrameError>),
    Answer(ApiKey, Ended<Outcome>),
    Idle,
    Stop,
}

/// Serves one connection until its end.
///
/// # Errors
/// When the broker had a reason to close it.
pub(crate) async fn serve<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    (reader, writer): (R, W),
    (peer, session): (SocketAddr, Session),
    node: Arc<Node>,
    queued: Arc<Semaphore>,
    mut phase: watch::Receiver<Phase>,
) -> Result<(), CloseReason> {
    let reader = FrameReader::new(reader, queued, FRAME_TIMEOUT);
    let session = Arc::new(session);
    let mut connection =
        Connection { reader, writer, peer, session, node, line: Line::new(), held: None };
    let ended = connection.run(&mut phase).await;
    tokio::select! {
        () = connection.see_out() => {}
        // What is durable is kept in any case; stopping is not kept waiting for the rest.
        () = async { stopping(&mut phase).await; sleep(STOP_TIMEOUT).await } => {}
    }
    // TLS says that nothing follows; without that its peer takes the end for an attack. It may not listen any more.
    let _ = timeout(CLOSE_TIMEOUT, connection.writer.shutdown()).await;
    ended
}

struct Connection<R, W> {
    reader: FrameReader<R>,
    writer: W,
    peer: SocketAddr,
    session: Arc<Session>,
    node: Arc<Node>,
    line: Line<Outcome>,
    /// A request that was read and has to wait for those before it. While there is one, no other is read.
    held: Option<Request>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    async fn run(&mut self, phase: &mut watch::Receiver<Phase>) -> Result<(), CloseReason> {
        loop {
            match self.next(phase).await {
                Next::Frame(frame) => match frame? {
                    Some(frame) => self.held = Some(self.parsed(frame)?),
                    None => return self.finish(None).await,
                },
                Next::Answer(key, ended) => self.send(key, ended).await?,
                Next::Idle => return Ok(()),
                Next::Stop => return self.finish(Some(Instant::now() + STOP_TIMEOUT)).await,
            }
            self.begin_held().await;
        }
    }

    /// A request, if its client may ask anything yet.
    fn parsed(&self, frame: Frame) -> Result<Request, CloseReason> {
        let is_known = self.session.principal().is_some();
        if !is_known && frame.bytes.len() > MAX_LOGIN_BYTES {
            return Err(RequestError::LongBeforeLogin(frame.bytes.len()).into());
        }
        let request = Request::parse(frame, &self.node.faults)?;
        if is_known || BEFORE_LOGIN.contains(&request.api.key) {
            return Ok(request);
        }
        Err(RequestError::BeforeLogin(request.api.key).into())
    }

    async fn next(&mut self, phase: &mut watch::Receiver<Phase>) -> Next {
        let idle = self.line.is_empty();
        let is_known = self.session.principal().is_some();
        let patience = if is_known { IDLE_TIMEOUT } else { LOGIN_TIMEOUT };
        tokio::select! {
            biased;
            (key, ended) = poll_fn(|cx| self.line.poll_next(cx)), if !idle => Next::Answer(key, ended),
            () = stopping(phase) => Next::Stop,
            frame = self.reader.next(), if self.held.is_none() => Next::Frame(frame),
            () = sleep(patience), if idle => Next::Idle,
        }
    }

    /// Starts the request that was read last, up to where it first waits, if its turn has come.
    async fn begin_held(&mut self) {
        let faults = &self.node.faults;
        let is_next = |held: &mut Request| self.line.admits(held.overlaps(faults));
        let Some(request) = self.held.take_if(is_next) else { return };
        let mut head = BytesMut::with_capacity(9);
        head.put_i32(0);
        head.put_i32(request.correlation_id);
        if request.api.response_header_version(request.version) >= 1 {
            // No tagged fields.
            head.put_u8(0);
        }
        let (key, waits) = (request.api.key, request.api.waits);
        let overlaps = request.overlaps(faults);
        let working = request.work(self.node.clone(), (self.peer, self.session.clone()));
        let work = Box::pin(async move { Ok(working.await?.map(|body| Answer { head, body })) });
        let mut begin = Some(Begin { key, work, overlaps, waits });
        poll_fn(|cx| {
            if let Some(begin) = begin.take() {
                self.line.begin(begin, cx);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Lets what runs come to its end after the last request was read.
    async fn finish(&mut self, deadline: Option<Instant>) -> Result<(), CloseReason> {
        while !self.line.is_empty() {
            let next = poll_fn(|cx| match self.line.poll_next(cx) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                // Who waits for records or other members learns as much from the end of the connection.
                Poll::Pending if self.line.only_waits() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            let next = match deadline {
                Some(deadline) => timeout_at(deadline, next).await.unwrap_or_default(),
                None => next.await,
            };
            let Some((key, ended)) = next else { break };
            self.send(key, ended).await?;
            self.begin_held().await;
        }
        Ok(())
    }

    async fn send(&mut self, key: ApiKey, ended: Ended<Outcome>) -> Result<(), CloseReason> {
        let Ended::With(outcome) = ended else { return Err(CloseReason::Panicked(key)) };
        let Some(Answer { mut head, body }) = outcome? else { return Ok(()) };
        let length = head.len() - 4 + body.len();
        let length = i32::try_from(length).map_err(|_| CloseReason::TooLong { key, length })?;
        head[..4].copy_from_slice(&length.to_be_bytes());
        let writing =
            timeout(WRITE_TIMEOUT, write(&mut self.writer, head, body, &self.node.windows));
        tokio::select! {
            biased;
            written = writing => written.unwrap_or(Err(CloseReason::Unread(WRITE_TIMEOUT))),
            // A peer that is slow to read must not keep what it wrote from becoming visible to others.
            never = poll_fn(|cx| self.line.poll_all(cx)) => match never {},
        }?;
        if self.session.has_failed() { Err(CloseReason::Unauthenticated) } else { Ok(()) }
    }

    /// Lets handlers come to their end whose peer is gone or has broken the protocol: what they have begun, such as an
    /// append that is to be acknowledged and shown, is not left half done. Those that only wait are dropped.
    async fn see_out(&mut self) {
        while !self.line.only_waits() {
            poll_fn(|cx| self.line.poll_next(cx)).await;
        }
    }
}

/// Writes an answer. What is read from the disk for it goes along with what stands before it, so that the peer is not
/// woken for a few bytes.
async fn write<W: AsyncWrite + Unpin>(
    writer: &mut W,
    mut head: BytesMut,
    body: Body,
    windows: &Windows,
) -> Result<(), CloseReason> {
    if !body.stretches.is_empty() {
        let mut window = windows.take();
        for (before, mut stretch) in body.stretches {
            head.extend_from_slice(&before);
            while let Some(piece) = stretch.next(&mut window)? {
                let mut bytes = (&head[..]).chain(piece);
                writer.write_all_buf(&mut bytes).await.map_err(CloseReason::Write)?;
                head.clear();
            }
        }
        windows.give(window);
    }
    writer.write_all_buf(&mut head.chain(body.rest)).await.map_err(CloseReason::Write)?;
    // TLS keeps what is to be encrypted together.
    writer.flush().await.map_err(CloseReason::Write)
}

#[cfg(test)]
mod tests;
