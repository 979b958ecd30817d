//! What the node does by itself from time to time.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{MissedTickBehavior, interval};

use crate::node::Node;

/// Runs until it is dropped.
pub(crate) async fn run(node: Arc<Node>) {
    let mut retention =
        interval(node.config.retention_check_interval.max(Duration::from_millis(1)));
    // Late is late: what was missed needs no making up for.
    retention.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        retention.tick().await;
        let cleaned = node.clone();
        // It reads and writes files for longer than a request may wait.
        let cleaning = tokio::task::spawn_blocking(move || cleaned.topics.clean(now_ms()));
        if let Err(error) = cleaning.await {
            tracing::error!(%error, "retention and compaction ended with a defect");
        }
    }
}

/// The time that records are stamped with, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
