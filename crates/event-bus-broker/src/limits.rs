//! The broker's bounds, each with its reason.

use std::time::Duration;

/// The longest request, as Kafka's `socket.request.max.bytes`. The length is the first thing read of a request,
/// so it is checked before a byte of the rest is waited for.
pub const MAX_FRAME_BYTES: usize = 100 * 1024 * 1024;

/// Up to this length a request does not count against [`MAX_QUEUED_BYTES`]: the connections' number bounds them,
/// and someone who announces long requests and never sends them can't keep others' short ones waiting.
pub const SHORT_FRAME_BYTES: usize = 64 * 1024;

/// What all requests longer than [`SHORT_FRAME_BYTES`] that are being read or answered may have together. A
/// connection whose request would exceed it waits. It is above the longest request, or that would wait for ever.
pub const MAX_QUEUED_BYTES: usize = 256 * 1024 * 1024;

/// How many values (numbers, strings, byte strings) a request may hold, and so how many entries a list. It bounds
/// what a request costs once it is decoded; a commit of 100,000 partitions holds half of it.
pub const MAX_VALUES: usize = 1_000_000;

/// How many connections are served at a time; those above it are closed at once. A laptop's services have dozens.
pub const MAX_CONNECTIONS: usize = 1_000;

/// How many requests of one connection are worked on at a time, where their API allows it. Idempotent producers
/// have at most five unanswered.
pub const MAX_OVERLAPPING: usize = 8;

/// A connection on which nothing was asked for this long is closed, as Kafka's `connections.max.idle.ms`.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// A connection whose client does not go on with its log-in for this long is closed.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the end of a connection may take to be told.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest request of a client that has not logged in; the messages of a log-in are far shorter.
pub const MAX_LOGIN_BYTES: usize = 16 * 1024;

/// A request whose first byte has come has to be complete after this time.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(60);

/// A peer has to take an answer within this time.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long requests that run may go on once the broker was asked to stop.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a broker waits for another one to leave its data directory: one that was just dropped in the same
/// process ends a moment later.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How many partitions there may be in all. Each holds a file open, and no laptop's topics come near.
pub const MAX_PARTITIONS: usize = 10_000;

/// How many buffers between disk and consumers are kept while nobody uses them, as many as are likely to be in use
/// at a time.
pub const MAX_SPARE_WINDOWS: usize = 4;

/// The largest of them: a batch of the default `max.message.bytes`.
pub const MAX_SPARE_WINDOW_BYTES: usize = 1024 * 1024 + 64 * 1024;
