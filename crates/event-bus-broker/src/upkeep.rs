//! What the node does by itself from time to time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::clock::now_ms;
use crate::node::Node;
use crate::transactions;

/// How often transactions that ran out of time are looked for. Kafka takes 10 s; here time-outs of tests are short.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until it is dropped.
pub(crate) async fn run(node: Arc<Node>) {
    let mut retention =
        interval(node.config.retention_check_interval.max(Duration::from_millis(1)));
    // Late is late: what was missed needs no making up for.
    retention.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sweep = interval(SWEEP_INTERVAL);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = retention.tick() => clean(&node).await,
            _ = sweep.tick() => transactions::sweep(&node, now_ms()).await,
        }
    }
}

/// Applies retention and compaction, on another thread: that reads and writes files for longer than a request may wait.
async fn clean(node: &Arc<Node>) {
    let node = node.clone();
    if let Err(error) = tokio::task::spawn_blocking(move || node.topics.clean(now_ms())).await {
        tracing::error!(%error, "retention and compaction ended with a defect");
    }
}
