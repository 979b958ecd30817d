//! Which series a rule is about: the catalogue's groups and topics, and its topics by a property.

use std::collections::BTreeMap;
use std::time::Duration;

use event_bus::Catalogue;
use event_bus::catalogue::{Event, Retention};
use event_bus::lag::Thresholds;
use event_bus::names::TopicName;

/// Topics with the same thresholds.
pub struct Tier {
    /// The thresholds.
    pub thresholds: Thresholds,
    /// A matcher of PromQL without braces; empty where it is about all topics.
    pub topics: String,
}

/// The matcher of the catalogue's consumer groups.
pub fn groups(catalogue: &Catalogue) -> String {
    format!("consumergroup=~\"{}-.+\"", catalogue.namespace())
}

/// The matcher of the catalogue's dead letter topics.
pub fn dead_letter_topics(catalogue: &Catalogue) -> String {
    format!("topic=~\"{}[.].+[.]dlq\"", catalogue.namespace())
}

/// The matcher of all topics of the catalogue's namespace.
pub fn all_topics(catalogue: &Catalogue) -> String {
    format!("topic=~\"{}[.].+\"", catalogue.namespace())
}

/// The matcher of the catalogue's events.
pub fn event_topics(catalogue: &Catalogue) -> String {
    topics(catalogue.events().map(|event| &event.topic))
}

/// The thresholds that most topics have.
pub fn usual_thresholds(catalogue: &Catalogue) -> Thresholds {
    let mut counts = BTreeMap::<Thresholds, usize>::new();
    for event in catalogue.events() {
        *counts.entry(event.lag).or_default() += 1;
    }
    let usual = counts.into_iter().max_by_key(|(_, count)| *count);
    usual.map(|(thresholds, _)| thresholds).unwrap_or_default()
}

/// The catalogue's topics by their thresholds. The thresholds that most topics have are for all others too, also for
/// those that are not in the catalogue.
pub fn tiers(catalogue: &Catalogue) -> Vec<Tier> {
    let mut topics = BTreeMap::<Thresholds, Vec<String>>::new();
    for event in catalogue.events() {
        topics.entry(event.lag).or_default().push(pattern(event.topic.as_str()));
    }
    let usual = usual_thresholds(catalogue);
    let others: Vec<String> = topics
        .iter()
        .filter(|(of, _)| **of != usual)
        .flat_map(|(_, topics)| topics.clone())
        .collect();
    let all_but =
        if others.is_empty() { String::new() } else { format!("topic!~\"{}\"", others.join("|")) };
    let matcher = |of: Thresholds, topics: Vec<String>| Tier {
        thresholds: of,
        topics: if of == usual {
            all_but.clone()
        } else {
            format!("topic=~\"{}\"", topics.join("|"))
        },
    };
    topics.into_iter().map(|(of, topics)| matcher(of, topics)).collect()
}

/// Events whose topic, or whose dead letter topic, does not keep its records for ever, by how long it does.
pub fn expiring(
    catalogue: &Catalogue,
    retention: fn(&Event) -> Retention,
) -> BTreeMap<Duration, Vec<&Event>> {
    let mut found = BTreeMap::<_, Vec<&Event>>::new();
    for event in catalogue.events() {
        if let Retention::For(duration) = retention(event) {
            found.entry(duration).or_default().push(event);
        }
    }
    found
}

/// A matcher of these topics.
pub fn topics<'a>(topics: impl IntoIterator<Item = &'a TopicName>) -> String {
    let topics = topics.into_iter().map(|topic| pattern(topic.as_str()));
    format!("topic=~\"{}\"", topics.collect::<Vec<_>>().join("|"))
}

/// A topic as a regular expression: of what a name may have, only a dot means something else.
fn pattern(topic: &str) -> String {
    topic.replace('.', "[.]")
}
