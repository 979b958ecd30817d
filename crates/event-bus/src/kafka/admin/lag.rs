use std::collections::BTreeMap;

use super::{Admin, AdminError, Offsets, Position, TopicPartition};
use crate::dead_letter::error_chain;
use crate::lag::{GroupLag, PartitionOffsets, PartitionReading, Reading, of_partition};
use crate::names::{GroupName, TopicName};

impl Admin {
    /// How far each of these groups is behind on its topic. A topic that does not exist has no partitions.
    ///
    /// # Errors
    /// When no broker answered, or a group's coordinator refused. An error of one partition stays with that partition.
    pub async fn lag(
        &self,
        groups: &[(GroupName, TopicName)],
    ) -> Result<Vec<GroupLag>, AdminError> {
        // In this order, so that a group which goes on meanwhile is not ahead of the log.
        let mut committed = BTreeMap::new();
        for (group, _) in groups {
            if !committed.contains_key(group) {
                committed.insert(group.clone(), self.committed_offsets(group).await?);
            }
        }
        let cluster = self.cluster().await?;
        let mut topics: Vec<&TopicName> = groups.iter().map(|(_, topic)| topic).collect();
        topics.sort();
        topics.dedup();
        let partitions: Vec<_> =
            topics.into_iter().flat_map(|topic| cluster.partitions(topic)).collect();
        let ends = self.offsets(Position::End, partitions.clone()).await?;
        let starts = self.offsets(Position::Start, partitions).await?;
        let lags = groups.iter().map(|(group, topic)| GroupLag {
            group: group.clone(),
            topic: topic.clone(),
            partitions: cluster
                .partitions(topic)
                .map(|partition| reading(&partition, committed.get(group), &starts, &ends))
                .collect(),
        });
        Ok(lags.collect())
    }
}

fn reading(
    partition: &TopicPartition,
    committed: Option<&Offsets>,
    starts: &Offsets,
    ends: &Offsets,
) -> PartitionReading {
    let at = |offsets: &Offsets| offsets.get(partition).cloned().unwrap_or(Ok(None));
    let committed = committed.map_or(Ok(None), at);
    let (log_start, log_end) = (at(starts), at(ends));
    let reading = (|| {
        let offsets = PartitionOffsets {
            committed: committed.clone()?,
            log_start: log_start.clone()?.unwrap_or(0),
            log_end: log_end.clone()?.unwrap_or(0),
        };
        Ok(Reading::Known(of_partition(offsets)))
    })();
    PartitionReading {
        partition: partition.partition,
        committed: committed.ok().flatten(),
        log_start: log_start.ok().flatten(),
        log_end: log_end.ok().flatten(),
        reading: reading
            .unwrap_or_else(|error: AdminError| Reading::Unknown { error: error_chain(&error) }),
    }
}
