//! Which topics a group's members subscribe to. The metadata is the clients' own; the broker reads only the prefix
//! that all versions share: version, then the topics' names.

use std::collections::BTreeSet;

use bytes::{Buf, Bytes};

use super::validate::CONSUMER;
use super::{Group, Phase};

impl Group {
    /// The topics of all members; none if the group doesn't say or says it in a way that can't be read.
    pub(super) fn subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if self.protocol_type.as_deref() != Some(CONSUMER) {
            return None;
        }
        let protocol = self.protocol.as_deref();
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(topics_of(member.metadata(protocol))?);
        }
        Some(topics)
    }

    /// Whether the members use this topic. Consumers whose subscription can't be read may use any.
    pub fn uses(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.phase != Phase::Empty && self.protocol_type.as_deref() == Some(CONSUMER),
        }
    }
}

/// The topics in a consumer's subscription.
fn topics_of(mut metadata: Bytes) -> Option<Vec<String>> {
    let _version = metadata.try_get_i16().ok()?;
    let count = usize::try_from(metadata.try_get_i32().ok()?).ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(metadata.try_get_i16().ok()?).ok()?;
        if metadata.remaining() < length {
            return None;
        }
        topics.push(String::from_utf8(metadata.copy_to_bytes(length).to_vec()).ok()?);
    }
    Some(topics)
}
