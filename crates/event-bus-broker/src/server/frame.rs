//! Requests as bytes: a length of four bytes, then that many.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::limits::{MAX_FRAME_BYTES, SHORT_FRAME_BYTES};

/// How much is asked of the socket at first, and then as much as came already. Buffers grow with what came, not with
/// what was announced.
const READ_BYTES: usize = 16 * 1024;

/// How long a buffer is kept for the next request. While requests follow each other and those before are no longer held,
/// all of them come through the same memory; a connection at rest has none.
const KEEP_BUFFER: Duration = Duration::from_secs(1);

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
    /// The buffer holds more memory than a new one would.
    is_large: bool,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// `queued` holds a permit for each byte of long requests; a request that has begun must be complete after
    /// `patience`.
    pub fn new(source: R, queued: Arc<Semaphore>, patience: Duration) -> Self {
        Self {
            source,
            buffer: BytesMut::new(),
            queued,
            share: None,
            patience,
            deadline: None,
            is_large: false,
        }
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
            self.buffer.reserve(missing.min(READ_BYTES.max(self.buffer.len())));
            self.is_large |= self.buffer.capacity() > READ_BYTES;
            let read = self.source.read_buf(&mut self.buffer);
            let read = match self.deadline {
                Some(deadline) => {
                    timeout_at(deadline, read).await.map_err(|_| FrameError::Slow(self.patience))?
                }
                None if self.is_large => match timeout(KEEP_BUFFER, read).await {
                    Ok(read) => read,
                    Err(_) => {
                        self.buffer = BytesMut::new();
                        self.is_large = false;
                        continue;
                    }
                },
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::limits::MAX_QUEUED_BYTES;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn reader(queued: &Arc<Semaphore>) -> (DuplexStream, FrameReader<DuplexStream>) {
        let (peer, source) = duplex(1024 * 1024);
        (peer, FrameReader::new(source, queued.clone(), PATIENCE))
    }

    fn frame(length: usize) -> Vec<u8> {
        let announced = i32::try_from(length).unwrap().to_be_bytes();
        [&announced[..], &vec![7; length]].concat()
    }

    #[tokio::test]
    async fn requests_are_read_one_by_one_however_they_arrive() {
        let (mut peer, mut reader) = reader(&Arc::new(Semaphore::new(MAX_QUEUED_BYTES)));
        let bytes = [frame(3), frame(0), frame(40_000)].concat();
        let writing = tokio::spawn(async move {
            for piece in bytes.chunks(1_001) {
                peer.write_all(piece).await.unwrap();
            }
        });
        for length in [3, 0, 40_000] {
            assert_eq!(reader.next().await.unwrap().unwrap().bytes.len(), length);
        }
        writing.await.unwrap();
        assert!(reader.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_length_that_is_none_is_refused_before_anything_is_waited_for() {
        for length in [-1, i32::MIN, i32::MAX, 100 * 1024 * 1024 + 1] {
            let (mut peer, mut reader) = reader(&Arc::new(Semaphore::new(MAX_QUEUED_BYTES)));
            peer.write_all(&length.to_be_bytes()).await.unwrap();
            assert!(matches!(reader.next().await, Err(FrameError::Length(_))));
        }
    }

    #[tokio::test]
    async fn what_is_announced_and_does_not_come_takes_no_memory() {
        let (mut peer, mut reader) = reader(&Arc::new(Semaphore::new(MAX_QUEUED_BYTES)));
        let announced = i32::try_from(MAX_FRAME_BYTES).unwrap();
        peer.write_all(&announced.to_be_bytes()).await.unwrap();
        peer.write_all(&[0; 100]).await.unwrap();
        assert!(timeout_at(Instant::now(), reader.next()).await.is_err());
        assert!(reader.buffer.capacity() <= 2 * READ_BYTES + 104);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_begun_has_to_be_completed_in_time() {
        let (mut peer, mut reader) = reader(&Arc::new(Semaphore::new(MAX_QUEUED_BYTES)));
        peer.write_all(&frame(10)[..6]).await.unwrap();
        let begun = Instant::now();
        assert!(matches!(reader.next().await, Err(FrameError::Slow(_))));
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    #[tokio::test]
    async fn a_connection_that_ends_inside_a_request_is_torn() {
        let (mut peer, mut reader) = reader(&Arc::new(Semaphore::new(MAX_QUEUED_BYTES)));
        peer.write_all(&frame(10)[..6]).await.unwrap();
        drop(peer);
        assert!(matches!(reader.next().await, Err(FrameError::Torn)));
    }

    #[tokio::test]
    async fn long_requests_come_through_the_same_memory_once_those_before_are_dropped() {
        let (mut peer, mut reader) = reader(&Arc::new(Semaphore::new(MAX_QUEUED_BYTES)));
        let mut places = Vec::new();
        for _ in 0..3 {
            peer.write_all(&frame(700_000)).await.unwrap();
            places.push(reader.next().await.unwrap().unwrap().bytes.as_ptr());
        }
        assert_eq!(places[1], places[2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_at_rest_holds_no_memory() {
        let (mut peer, mut reader) = reader(&Arc::new(Semaphore::new(MAX_QUEUED_BYTES)));
        peer.write_all(&frame(700_000)).await.unwrap();
        drop(reader.next().await.unwrap());
        let rest = Instant::now() + 2 * KEEP_BUFFER;
        assert!(timeout_at(rest, reader.next()).await.is_err());
        assert!(reader.buffer.capacity() <= READ_BYTES);
    }

    #[tokio::test]
    async fn long_requests_wait_until_others_are_answered_and_short_ones_do_not() {
        let queued = Arc::new(Semaphore::new(100_000));
        let (mut first_peer, mut first) = reader(&queued);
        let (mut second_peer, mut second) = reader(&queued);
        first_peer.write_all(&frame(70_000)).await.unwrap();
        let held = first.next().await.unwrap().unwrap();
        second_peer.write_all(&frame(70_000)).await.unwrap();
        assert!(timeout_at(Instant::now(), second.next()).await.is_err());
        first_peer.write_all(&frame(10)).await.unwrap();
        assert_eq!(first.next().await.unwrap().unwrap().bytes.len(), 10);
        drop(held);
        assert_eq!(second.next().await.unwrap().unwrap().bytes.len(), 70_000);
    }
}
