//! The durable state of all groups: committed offsets, offsets that wait for their transaction, and each group
//! as its last rebalance left it. Pure: `apply` is the only way to change it, for the journal's replay and live.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use entry::{Entry, GroupRecord, MemberRecord, Offset, OffsetAt, PartitionName};

/// Offsets by topic and partition.
type Offsets = BTreeMap<String, BTreeMap<i32, Stamped<Offset>>>;

/// A value and the position of the entry that brought it: a transaction's offset must not overwrite one that was
/// committed after it was staged, and a rewritten journal keeps the order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamped<T> {
    position: u64,
    value: T,
}

/// The durable state of all groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// How many entries were applied.
    position: u64,
    records: BTreeMap<String, Stamped<GroupRecord>>,
    committed: BTreeMap<String, Offsets>,
    /// Staged offsets by producer id.
    staged: BTreeMap<i64, Staged>,
}

/// What one producer's transaction has staged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Staged {
    epoch: i16,
    groups: BTreeMap<String, Offsets>,
}

impl Ledger {
    /// Applies the journal's next entry.
    pub fn apply(&mut self, entry: Entry) {
        self.position += 1;
        match entry {
            Entry::Group(record) => {
                let stamped = Stamped { position: self.position, value: record };
                self.records.insert(stamped.value.group.clone(), stamped);
            }
            Entry::GroupDeleted { group } => {
                self.records.remove(&group);
                self.committed.remove(&group);
                for staged in self.staged.values_mut() {
                    staged.groups.remove(&group);
                }
            }
            Entry::Committed { group, offsets } => {
                let position = self.position;
                put(self.committed.entry(group).or_default(), position, offsets);
            }
            Entry::Staged { group, producer_id, producer_epoch, offsets } => {
                let position = self.position;
                let staged = self.staged.entry(producer_id).or_default();
                staged.epoch = producer_epoch;
                put(staged.groups.entry(group).or_default(), position, offsets);
            }
            Entry::Finished { producer_id, committed } => self.finish(producer_id, committed),
            Entry::OffsetsRemoved { group, partitions } => self.remove(&group, &partitions),
            Entry::TopicsRemoved { topics } => self.remove_topics(&topics),
        }
    }

    fn finish(&mut self, producer_id: i64, committed: bool) {
        let Some(staged) = self.staged.remove(&producer_id) else { return };
        if !committed {
            return;
        }
        for (group, topics) in staged.groups {
            let held = self.committed.entry(group).or_default();
            for (topic, partitions) in topics {
                let held = held.entry(topic).or_default();
                for (partition, offset) in partitions {
                    if held.get(&partition).is_none_or(|other| other.position < offset.position) {
                        held.insert(partition, offset);
                    }
                }
            }
        }
    }

    fn remove(&mut self, group: &str, partitions: &[PartitionName]) {
        let staged = self.staged.values_mut().filter_map(|staged| staged.groups.get_mut(group));
        for offsets in self.committed.get_mut(group).into_iter().chain(staged) {
            for PartitionName { topic, partition } in partitions {
                if let Some(held) = offsets.get_mut(topic) {
                    held.remove(partition);
                }
            }
        }
        self.prune();
    }

    fn remove_topics(&mut self, topics: &[String]) {
        let staged = self.staged.values_mut().flat_map(|staged| staged.groups.values_mut());
        for offsets in self.committed.values_mut().chain(staged) {
            offsets.retain(|topic, _| !topics.contains(topic));
        }
        self.prune();
    }

    /// Forgets maps that ran empty: a group without offsets has none.
    fn prune(&mut self) {
        let staged = self.staged.values_mut().map(|staged| &mut staged.groups);
        for groups in std::iter::once(&mut self.committed).chain(staged) {
            for offsets in groups.values_mut() {
                offsets.retain(|_, partitions| !partitions.is_empty());
            }
            groups.retain(|_, offsets| !offsets.is_empty());
        }
    }

    /// The entries that give this ledger again, in the order of the ones that they stand for.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<(u64, Entry)> = Vec::new();
        for Stamped { position, value } in self.records.values() {
            entries.push((*position, Entry::Group(value.clone())));
        }
        for (group, offsets) in &self.committed {
            for (position, offsets) in by_position(offsets) {
                let entry = Entry::Committed { group: group.clone(), offsets };
                entries.push((position, entry));
            }
        }
        for (producer_id, staged) in &self.staged {
            for (group, offsets) in &staged.groups {
                for (position, offsets) in by_position(offsets) {
                    let entry = Entry::Staged {
                        group: group.clone(),
                        producer_id: *producer_id,
                        producer_epoch: staged.epoch,
                        offsets,
                    };
                    entries.push((position, entry));
                }
            }
        }
        entries.sort_by_key(|(position, _)| *position);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Each group as its last rebalance left it.
    pub fn records(&self) -> impl Iterator<Item = &GroupRecord> {
        self.records.values().map(|stamped| &stamped.value)
    }

    /// The ids of groups that have offsets, committed or staged.
    pub fn groups_with_offsets(&self) -> impl Iterator<Item = &str> {
        let staged = self.staged.values().flat_map(|staged| staged.groups.keys());
        self.committed.keys().chain(staged).map(String::as_str)
    }

    /// The committed offset of a partition.
    pub fn offset(&self, group: &str, topic: &str, partition: i32) -> Option<&Offset> {
        Some(&self.committed.get(group)?.get(topic)?.get(&partition)?.value)
    }

    /// All committed offsets of a group, by topic.
    pub fn offsets<'a>(
        &'a self,
        group: &str,
    ) -> impl Iterator<Item = (&'a str, impl Iterator<Item = (i32, &'a Offset)>)> {
        self.committed.get(group).into_iter().flatten().map(|(topic, partitions)| {
            let partitions = partitions.iter().map(|(index, stamped)| (*index, &stamped.value));
            (topic.as_str(), partitions)
        })
    }

    /// Whether an open transaction may yet change this partition's offset.
    pub fn is_staged(&self, group: &str, topic: &str, partition: i32) -> bool {
        self.staged.values().any(|staged| {
            let offsets = staged.groups.get(group).and_then(|topics| topics.get(topic));
            offsets.is_some_and(|partitions| partitions.contains_key(&partition))
        })
    }

    /// Whether an open transaction has staged anything for this group.
    pub fn has_staged(&self, group: &str) -> bool {
        self.staged.values().any(|staged| staged.groups.contains_key(group))
    }

    /// Whether this producer has staged offsets, and in which epoch.
    pub fn staged_epoch(&self, producer_id: i64) -> Option<i16> {
        self.staged.get(&producer_id).map(|staged| staged.epoch)
    }

    /// The topics that any group has offsets of.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let staged = self.staged.values().flat_map(|staged| staged.groups.values());
        self.committed.values().chain(staged).flat_map(BTreeMap::keys).map(String::as_str)
    }
}

fn put(into: &mut Offsets, position: u64, offsets: Vec<OffsetAt>) {
    for OffsetAt { topic, partition, offset } in offsets {
        into.entry(topic).or_default().insert(partition, Stamped { position, value: offset });
    }
}

/// Offsets by the position of the entry that brought them.
fn by_position(offsets: &Offsets) -> BTreeMap<u64, Vec<OffsetAt>> {
    let mut found: BTreeMap<u64, Vec<OffsetAt>> = BTreeMap::new();
    for (topic, partitions) in offsets {
        for (partition, stamped) in partitions {
            found.entry(stamped.position).or_default().push(OffsetAt {
                topic: topic.clone(),
                partition: *partition,
                offset: stamped.value.clone(),
            });
        }
    }
    found
}
