//! Offsets that nobody uses any more expire, and a group that has nothing left is forgotten.

use std::sync::Arc;

use super::ledger::{Entry, Offset, PartitionName};
use super::settings::millis;
use super::state::{Group, Phase};
use super::{Shared, State};

impl Shared {
    /// Looks through all groups. What can't be written stays for the next time.
    pub(super) fn sweep(self: &Arc<Self>, state: &mut State, now_ms: i64) {
        let retention_ms = millis(self.settings.offsets_retention);
        let mut entries = Vec::new();
        for (id, group) in &state.groups {
            let (expired, kept) = state.expired(id, group, now_ms, retention_ms);
            let is_idle = kept == 0
                && group.phase() == Phase::Empty
                && !state.ledger.has_staged(id)
                && !state.in_flight.concerns(id);
            if is_idle {
                entries.push(Entry::GroupDeleted { group: id.clone() });
            } else if !expired.is_empty() {
                entries.push(Entry::OffsetsRemoved { group: id.clone(), partitions: expired });
            }
        }
        for entry in entries {
            let deleted = match &entry {
                Entry::GroupDeleted { group } => Some(group.clone()),
                _ => None,
            };
            // An error is logged where it happens, and whether it gets durable is seen at the next sweep.
            if self.write(state, entry).is_ok()
                && let Some(id) = deleted
            {
                state.groups.remove(&id);
            }
        }
    }
}

impl State {
    /// The partitions of a group whose offsets have expired, and how many stay.
    fn expired(
        &self,
        id: &str,
        group: &Group,
        now_ms: i64,
        retention_ms: i64,
    ) -> (Vec<PartitionName>, usize) {
        let mut expired = Vec::new();
        let mut kept = 0;
        for (topic, partitions) in self.ledger.offsets(id) {
            for (partition, offset) in partitions {
                let is_over = has_expired(group, topic, offset, now_ms, retention_ms);
                if is_over && !self.ledger.is_staged(id, topic, partition) {
                    expired.push(PartitionName { topic: topic.to_owned(), partition });
                } else {
                    kept += 1;
                }
            }
        }
        (expired, kept)
    }
}

fn has_expired(
    group: &Group,
    topic: &str,
    offset: &Offset,
    now_ms: i64,
    retention_ms: i64,
) -> bool {
    let Some(base_ms) = group.retention_base_ms(topic, offset.committed_at_ms) else {
        return false;
    };
    match offset.expires_at_ms {
        Some(at_ms) => now_ms >= at_ms,
        None => now_ms.saturating_sub(base_ms) >= retention_ms,
    }
}
