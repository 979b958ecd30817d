//! Reads the partitions of a fetch, and waits until there is enough.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ProducerId;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, PartitionData};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::PartitionAnswer;
use crate::partition::{Isolation, Partition, PartitionRead, Records, Slice};

/// The most that one fetch is answered, whatever it asks for (`fetch.max.bytes` of Kafka's broker).
const MAX_FETCH_BYTES: usize = 55 * 1024 * 1024;

/// How much is read, and how long is waited for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub max_wait: Duration,
    pub isolation: Isolation,
}

/// One partition to read.
#[derive(Debug)]
pub(crate) struct Target {
    pub index: i32,
    pub fetch_offset: i64,
    pub max_bytes: i32,
    /// An error when there is nothing to read from.
    pub partition: Result<Arc<Partition>, ResponseError>,
}

/// The answers of one pass over the partitions.
struct Pass {
    answers: Vec<PartitionAnswer>,
    bytes: usize,
    has_error: bool,
}

/// Reads the partitions in their order. Waits until they have `min_bytes`, one has an error, or the time is up.
pub(crate) async fn collect(targets: &[Target], limits: Limits) -> Vec<PartitionAnswer> {
    let deadline = Instant::now() + limits.max_wait;
    let min_bytes = usize::try_from(limits.min_bytes).unwrap_or(0);
    let suffices = |pass: &Pass| targets.is_empty() || pass.has_error || pass.bytes >= min_bytes;
    let pass = read(targets, limits);
    if limits.max_wait.is_zero() || suffices(&pass) {
        return pass.answers;
    }
    let notify = Arc::new(Notify::new());
    let partitions = || targets.iter().filter_map(|target| target.partition.as_ref().ok());
    let _followers: Vec<_> =
        partitions().map(|partition| partition.follow(notify.clone())).collect();
    loop {
        // What came between the last pass and now did not wake anybody, so each round begins with a look.
        let before: u64 = partitions().map(|partition| partition.shown_bytes()).sum();
        let pass = read(targets, limits);
        if suffices(&pass) {
            return pass.answers;
        }
        // Reading again is only worth it when enough may have come, or a topic was deleted. The end of a transaction
        // may uncover any number of bytes.
        loop {
            if timeout_at(deadline, notify.notified()).await.is_err() {
                return read(targets, limits).answers;
            }
            let now: u64 = partitions().map(|partition| partition.shown_bytes()).sum();
            let came = usize::try_from(now.saturating_sub(before)).unwrap_or(usize::MAX);
            if limits.isolation == Isolation::Committed
                || pass.bytes.saturating_add(came) >= min_bytes
                || partitions().any(|partition| partition.is_closed())
            {
                break;
            }
        }
    }
}

fn read(targets: &[Target], limits: Limits) -> Pass {
    let mut left = usize::try_from(limits.max_bytes).unwrap_or(0).min(MAX_FETCH_BYTES);
    let mut pass = Pass { answers: Vec::with_capacity(targets.len()), bytes: 0, has_error: false };
    for target in targets {
        let slice = Slice {
            from: target.fetch_offset,
            max_bytes: usize::try_from(target.max_bytes).unwrap_or(0).min(left),
            // A batch that is larger than the bounds must not stop its consumer for ever.
            at_least_one: pass.bytes == 0,
            isolation: limits.isolation,
        };
        let read = match &target.partition {
            Ok(partition) => partition.read(slice).map_err(|error| error.response_error()),
            Err(error) => Err(*error),
        };
        let answer = match read {
            Ok(read) => {
                left = left.saturating_sub(read.records.len());
                pass.bytes += read.records.len();
                answer(target.index, read)
            }
            Err(error) => {
                pass.has_error = true;
                refusal(target.index, error)
            }
        };
        pass.answers.push(answer);
    }
    pass
}

fn answer(index: i32, read: PartitionRead) -> PartitionAnswer {
    let aborted = read.aborted.map(|aborted| {
        let aborted = aborted.into_iter().map(|aborted| {
            AbortedTransaction::default()
                .with_producer_id(ProducerId(aborted.producer_id))
                .with_first_offset(aborted.first_offset)
        });
        aborted.collect()
    });
    let (held, stretch) = match read.records {
        Records::Held(bytes) => (bytes, None),
        Records::OnDisk(stretch) => (Bytes::new(), Some(stretch)),
    };
    let data = PartitionData::default()
        .with_partition_index(index)
        .with_high_watermark(read.bounds.high_watermark)
        .with_last_stable_offset(read.bounds.last_stable)
        .with_log_start_offset(read.bounds.log_start)
        .with_aborted_transactions(aborted)
        .with_records(Some(held));
    PartitionAnswer { data, stretch }
}

fn refusal(index: i32, error: ResponseError) -> PartitionAnswer {
    PartitionData::default()
        .with_partition_index(index)
        .with_error_code(error.code())
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_aborted_transactions(None)
        .with_records(Some(Bytes::new()))
        .into()
}
