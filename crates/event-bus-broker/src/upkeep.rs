//! What the node does by itself from time to time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::clock::now_ms;
use crate::faults;
use crate::node::Node;
use crate::transactions;

/// How often transactions that ran out of time are looked for. Kafka takes 10 s; here time-outs of tests are short.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until it is dropped.
pub(crate) async fn run(node: Arc<Node>) {
    tokio::join!(keep_retention(&node), keep_time_of_transactions(&node), faults::rebalance(&node));
}

/// Applies retention and compaction, on another thread: that reads and writes files for longer than a request may wait.
async fn keep_retention(node: &Arc<Node>) {
    let mut ticks = interval(node.config.retention_check_interval.max(Duration::from_millis(1)));
    // Late is late: what was missed needs no making up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let node = node.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || node.topics.clean(now_ms())).await {
            tracing::error!(%error, "retention and compaction ended with a defect");
        }
    }
}

async fn keep_time_of_transactions(node: &Node) {
    let mut ticks = interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        transactions::sweep(node, now_ms()).await;
    }
}
