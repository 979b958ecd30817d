//! Scripted faults: what the broker does wrong on purpose.
//!
//! The server asks for each request, in the order in which requests are read, what is to become of it.

mod answers;
mod names;
mod parse;
mod refuse;
mod script;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::log::DiskFaults;
use crate::node::Node;

pub use parse::ParseError;
pub(crate) use refuse::refuse;
use script::{Effect, FullDisk, Rebalance, SlowPartition};
pub use script::{Fault, FaultScript, FullUntil, ScriptError, When};

/// What is to become of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How long it waits first.
    pub delay: Duration,
    pub fate: Fate,
}

/// What becomes of a request after its delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// What would become of it anyway.
    #[default]
    Serve,
    /// It is answered with this error.
    Refuse(ResponseError),
    /// Its connection is closed.
    DropBefore,
    /// It is worked on, and its connection is closed.
    DropAfter,
}

/// The faults of a running broker.
#[derive(Debug)]
pub(crate) struct Faults {
    script: FaultScript,
    disk: Arc<DiskFaults>,
    /// How many requests of each API there were; only those are counted that the script is about.
    counts: Mutex<HashMap<ApiKey, u64>>,
}

impl Faults {
    /// The faults of this script, on this disk.
    pub fn new(script: FaultScript, disk: Arc<DiskFaults>) -> Self {
        Self { script, disk, counts: Mutex::default() }
    }

    /// Counts a request and says what is to become of it.
    pub fn on_request(&self, api: ApiKey) -> Verdict {
        if self.script.requests.is_empty() && self.script.full_disk.is_none() {
            return Verdict::default();
        }
        let number = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(api).or_default();
            *count += 1;
            *count
        };
        if let Some(full) = self.script.full_disk
            && api == ApiKey::Produce
            && number == full.from.get()
        {
            self.fill_disk(full);
        }
        let mut verdict = Verdict::default();
        let faults = self.script.requests.iter();
        for fault in faults.filter(|fault| fault.api == api && fault.when.holds(number)) {
            let fate = match fault.effect {
                Effect::Delay(delay) => {
                    verdict.delay += delay;
                    continue;
                }
                Effect::Refuse(error) => Fate::Refuse(error),
                Effect::DropBefore => Fate::DropBefore,
                Effect::DropAfter => Fate::DropAfter,
            };
            if verdict.fate == Fate::Serve {
                verdict.fate = fate;
            }
        }
        verdict
    }

    /// Takes the time that a Produce to these partitions takes longer.
    pub async fn slow_produce<'t>(&self, partitions: impl Iterator<Item = (&'t str, i32)>) {
        self.wait(partitions, |slow| slow.produce).await;
    }

    /// Takes the time that a Fetch from these partitions takes longer.
    pub async fn slow_fetch<'t>(&self, partitions: impl Iterator<Item = (&'t str, i32)>) {
        self.wait(partitions, |slow| slow.fetch).await;
    }

    /// Whether some partition is slow to write to: then Produce requests of a connection can't overlap, for they would
    /// be appended in another order.
    pub fn slows_produce(&self) -> bool {
        self.script.slow.iter().any(|slow| !slow.produce.is_zero())
    }

    async fn wait<'t>(
        &self,
        partitions: impl Iterator<Item = (&'t str, i32)>,
        delay: impl Fn(&SlowPartition) -> Duration,
    ) {
        if self.script.slow.is_empty() {
            return;
        }
        let slowest = partitions.flat_map(|(topic, index)| {
            let is_meant = move |slow: &&SlowPartition| {
                slow.topic == topic && slow.partition.is_none_or(|slow| slow == index)
            };
            self.script.slow.iter().filter(is_meant).map(&delay)
        });
        let slowest = slowest.max().unwrap_or_default();
        if !slowest.is_zero() {
            tokio::time::sleep(slowest).await;
        }
    }

    fn fill_disk(&self, full: FullDisk) {
        match full.until {
            FullUntil::Writes(writes) => self.disk.fail_writes(Some(writes)),
            FullUntil::Never => self.disk.fail_writes(None),
            FullUntil::Elapsed(time) => {
                self.disk.fail_writes(None);
                let disk = self.disk.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    disk.heal();
                });
            }
        }
    }
}

/// Lets groups rebalance as the script says, until it is dropped.
pub(crate) async fn rebalance(node: &Arc<Node>) {
    let mut tasks = tokio::task::JoinSet::new();
    for Rebalance { every, group } in node.faults.script.rebalances.clone() {
        let node = node.clone();
        tasks.spawn(async move {
            let mut ticks = interval_at(Instant::now() + every, every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                node.groups.force_rebalance(group.as_deref());
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}
