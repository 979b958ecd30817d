use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Code, Finding, Observed, Subject, listed};
use crate::catalogue::Catalogue;
use crate::names::TopicName;

/// How far ahead of this machine's clock a record's time may be, in milliseconds.
const AHEAD_MAX_MILLIS: i64 = 60_000;

pub(super) fn examine(catalogue: &Catalogue, observed: &Observed, now: Timestamp) -> Vec<Finding> {
    let mut findings = from_the_future(catalogue, observed, now);
    let configs = observed.broker_configs.iter();
    let makes = |configs: &BTreeMap<String, String>| {
        configs.get("auto.create.topics.enable").is_some_and(|value| value == "true")
    };
    findings.extend(configs.filter(|(_, configs)| makes(configs)).map(|(id, _)| {
        let what = format!(
            "broker {id} has auto.create.topics.enable = true: a mistyped topic is made, without copies and dead letter topic"
        );
        let cure = "set it to false in the broker's server.properties, and restart it";
        Finding::new(Code::AutoCreate, Subject::Broker(*id), what, cure)
    }));
    findings
}

/// Records have the times of their publishers' clocks; one that is ahead of ours tells of a clock that is wrong, theirs or
/// ours. A topic is told once.
fn from_the_future(catalogue: &Catalogue, observed: &Observed, now: Timestamp) -> Vec<Finding> {
    let now = now.as_millisecond();
    let mut ahead: BTreeMap<&TopicName, (Vec<i32>, i64)> = BTreeMap::new();
    for (at, time) in &observed.newest {
        let millis = time.saturating_sub(now);
        if millis > AHEAD_MAX_MILLIS {
            let (partitions, most) = ahead.entry(&at.topic).or_default();
            partitions.push(at.partition);
            *most = (*most).max(millis);
        }
    }
    let finding = |(topic, (partitions, most)): (&TopicName, (Vec<i32>, i64))| {
        let publisher = match catalogue.event_of_topic(topic.as_str()) {
            Some(event) => format!("of the service {}", event.producer),
            None => "of whoever writes there".to_owned(),
        };
        let what = format!(
            "{topic} has records that are {} seconds ahead of this machine's clock, in {}",
            most / 1000,
            listed(&partitions)
        );
        let cure = format!(
            "have NTP set the clocks {publisher} and of this machine; retention keeps such records too long, and `--from TIME` finds \
             too many"
        );
        Finding::new(Code::ClockAhead, Subject::Topic(topic.clone()), what, cure)
    };
    ahead.into_iter().map(finding).collect()
}
