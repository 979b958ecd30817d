//! What a relay has learnt about its topics.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::dead_letter::error_chain;
use crate::kafka::producer::SendError;
use crate::names::TopicName;

/// How long a missing topic is taken for missing before Kafka is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Topics {
    /// Those that don't exist, and when Kafka was asked.
    missing: HashMap<TopicName, Instant>,
    /// Those whose rows are passed over until the next look, so that none goes whose earlier ones did not.
    passed_over: HashSet<TopicName>,
    /// Up to which row they are sent one by one.
    one_by_one: HashMap<TopicName, i64>,
    /// The last row of each that went in the stream.
    last_of: HashMap<TopicName, i64>,
}

impl Topics {
    /// A look begins: those whose rows need not be looked at now.
    pub(super) fn look(&mut self, now: Instant) -> Vec<TopicName> {
        self.passed_over.clear();
        let is_missing = |asked_at: &Instant| now.saturating_duration_since(*asked_at) < ASK_AGAIN;
        let missing = self.missing.iter().filter(|(_, asked_at)| is_missing(asked_at));
        missing.map(|(topic, _)| topic.clone()).collect()
    }

    /// Whether its rows are passed over until the next look.
    pub(super) fn is_passed_over(&self, topic: &TopicName) -> bool {
        self.passed_over.contains(topic)
    }

    /// It does not exist.
    pub(super) fn miss(&mut self, topic: TopicName, error: &SendError, now: Instant) {
        self.passed_over.insert(topic.clone());
        // Told once, not every second.
        if self.missing.insert(topic, now).is_none() {
            tracing::error!(error = error_chain(error), "events wait in the outbox");
        }
    }

    /// A row of it went in the stream, so it exists.
    pub(super) fn streamed(&mut self, topic: &TopicName, id: i64) {
        self.found(topic);
        match self.last_of.get_mut(topic) {
            Some(last) => *last = id.max(*last),
            None => drop(self.last_of.insert(topic.clone(), id)),
        }
    }

    /// It exists.
    pub(super) fn found(&mut self, topic: &TopicName) {
        if !self.missing.is_empty() {
            self.missing.remove(topic);
        }
    }

    /// Kafka refused a row in company: what was on its way goes alone.
    pub(super) fn goes_one_by_one_now(&mut self, topic: TopicName) {
        if let Some(last) = self.last_of.get(&topic) {
            self.one_by_one.insert(topic, *last);
        }
    }

    pub(super) fn goes_one_by_one(&self, topic: &TopicName, id: i64) -> bool {
        self.one_by_one.get(topic).is_some_and(|last| id <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_topic_is_passed_over_until_the_look_at_which_it_is_asked_for_again() {
        let (mut topics, now) = (Topics::default(), Instant::now());
        let topic = TopicName::new("t").unwrap();
        let error = SendError::UnknownTopic { topic: topic.clone() };
        topics.miss(topic.clone(), &error, now);
        assert!(topics.is_passed_over(&topic));
        assert_eq!(topics.look(now), std::slice::from_ref(&topic));
        assert!(topics.look(now + ASK_AGAIN).is_empty());
        assert!(!topics.is_passed_over(&topic));
        topics.streamed(&topic, 1);
        assert!(topics.look(now).is_empty());
    }

    #[test]
    fn after_a_refusal_in_company_rows_go_alone_as_far_as_the_stream_went() {
        let mut topics = Topics::default();
        let topic = TopicName::new("t").unwrap();
        for id in [4, 9, 7] {
            topics.streamed(&topic, id);
        }
        assert!(!topics.goes_one_by_one(&topic, 4));
        topics.goes_one_by_one_now(topic.clone());
        assert!(topics.goes_one_by_one(&topic, 9));
        assert!(!topics.goes_one_by_one(&topic, 10));
    }
}
