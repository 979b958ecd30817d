//! Requests as bytes: a length of four bytes, then that many.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::limits::{MAX_FRAME_BYTES, SHORT_FRAME_BYTES};

/// How much is asked of the socket at a time. Buffers grow with what came, not with what was announced.
const READ_BYTES: usize = 16 * 1024;

/// Why no request could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a request of {0} bytes was announced, at most {MAX_FRAME_BYTES} are taken")]
    Length(i32),
    #[error("the connection ended inside a request")]
    Torn,
    #[error("a request was begun and not completed within {0:?}")]
    Slow(Duration),
    #[error("the connection can't be read")]
    Read(#[source] io::Error),
}

/// What a long request takes of the bytes that all requests may hold together; given back when it is dropped.
pub(crate) type Share = OwnedSemaphorePermit;

/// A request's bytes.
#[derive(Debug)]
pub(crate) struct Frame {
    pub bytes: Bytes,
    pub share: Option<Share>,
}

/// Reads requests off one connection. A read that is given up loses nothing.
pub(crate) struct FrameReader<R> {
    source: R,
    buffer: BytesMut,
    queued: Arc<Semaphore>,
    share: Option<Share>,
    patience: Duration,
    /// When the request that has begun must be complete.
    deadline: Option<Instant>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// `queued` holds a permit for each byte of long requests; a request that has begun must be complete after
    /// `patience`.
    pub fn new(source: R, queued: Arc<Semaphore>, patience: Duration) -> Self {
        Self { source, buffer: BytesMut::new(), queued, share: None, patience, deadline: None }
    }

    /// The next request; `None` when the peer has closed the connection.
    ///
    /// # Errors
    /// When the connection broke, the peer is too slow, or what it announced is no length of a request.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if !self.buffer.is_empty() && self.deadline.is_none() {
                self.deadline = Some(Instant::now() + self.patience);
            }
            let missing = match self.announced()? {
                Some(length) => {
                    self.take_share(length).await?;
                    if self.buffer.len() >= 4 + length {
                        return Ok(Some(self.take(length)));
                    }
                    4 + length - self.buffer.len()
                }
                None => 4,
            };
            self.buffer.reserve(missing.min(READ_BYTES));
            let read = self.source.read_buf(&mut self.buffer);
            let read = match self.deadline {
                Some(deadline) => {
                    timeout_at(deadline, read).await.map_err(|_| FrameError::Slow(self.patience))?
                }
                None => read.await,
            };
            match read.map_err(FrameError::Read)? {
                0 if self.buffer.is_empty() => return Ok(None),
                0 => return Err(FrameError::Torn),
                _ => {}
            }
        }
    }

    /// The length of the request at the front, once its four bytes are there.
    fn announced(&self) -> Result<Option<usize>, FrameError> {
        let Some(mut length) = self.buffer.get(..4) else { return Ok(None) };
        let length = length.get_i32();
        match usize::try_from(length) {
            Ok(bytes) if bytes <= MAX_FRAME_BYTES => Ok(Some(bytes)),
            _ => Err(FrameError::Length(length)),
        }
    }

    async fn take_share(&mut self, length: usize) -> Result<(), FrameError> {
        if length <= SHORT_FRAME_BYTES || self.share.is_some() {
            return Ok(());
        }
        let permits = u32::try_from(length).map_err(|_| FrameError::Length(i32::MAX))?;
        let share = self.queued.clone().acquire_many_owned(permits).await;
        self.share = Some(share.expect("the semaphore of queued bytes is never closed"));
        // The wait was ours, not the peer's.
        self.deadline = Some(Instant::now() + self.patience);
        Ok(())
    }

    fn take(&mut self, length: usize) -> Frame {
        self.buffer.advance(4);
        self.deadline = None;
        Frame { bytes: self.buffer.split_to(length).freeze(), share: self.share.take() }
    }
}
