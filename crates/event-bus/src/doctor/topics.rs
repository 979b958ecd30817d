use std::collections::{BTreeMap, BTreeSet};

use super::{Code, Finding, Observed, Subject, listed};
use crate::catalogue::{Catalogue, Event};
use crate::kafka::admin::{TopicPartition, TopicState};
use crate::names::TopicName;
use crate::topics::{ConfigChange, Difference, Options, Plan, Step, plan};

/// Brokers from which on a cluster has room for copies that outlive one of them.
const BROKERS_FOR_COPIES: usize = 3;

const APPLY: &str = "`event-bus topics apply` brings it to what the catalogue says";

pub(super) fn examine(catalogue: &Catalogue, observed: &Observed) -> Vec<Finding> {
    let plan = plan(catalogue, &observed.cluster, Options::default());
    let expiring: BTreeMap<&TopicName, Finding> =
        catalogue.events().filter_map(|event| expires_first(event, observed)).collect();
    let mut findings = differences(&plan, observed, &expiring);
    findings.extend(expiring.into_values());
    let known = catalogue.topics();
    for topic in &known {
        if let Some(state) = observed.cluster.topics.get(topic) {
            findings.extend(by_itself(topic, state, observed.cluster.brokers));
        }
        findings.extend(copies(topic, observed));
    }
    findings.extend(unknown(catalogue, &known, observed));
    findings
}

/// What `topics plan` finds, each difference under the code of what it does.
fn differences(
    plan: &Plan,
    observed: &Observed,
    expiring: &BTreeMap<&TopicName, Finding>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for step in &plan.steps {
        let topic = step.topic();
        let subject = Subject::Topic(topic.clone());
        match step {
            Step::Create { is_dead_letter, .. } => {
                findings.push(missing(topic, *is_dead_letter, APPLY.to_owned()));
            }
            Step::Extend { from, to, .. } => {
                let what = format!("{topic} has {from} partitions, and the catalogue says {to}");
                findings.push(Finding::new(Code::TooFewPartitions, subject, what, APPLY));
            }
            Step::Configure { configs, .. } => {
                let state = observed.cluster.topics.get(topic);
                let copies = state.map_or(0, |state| i64::from(state.replication));
                let is_told =
                    |code| code == Code::RetentionShorter && expiring.contains_key(step.topic());
                let told = configs.iter().map(|change| (code_of(change, copies), change));
                findings.extend(told.filter(|(code, _)| !is_told(*code)).map(|(code, change)| {
                    Finding::new(code, subject.clone(), sentence(topic, change), APPLY)
                }));
            }
        }
    }
    let differences = plan.refused.iter().chain(&plan.left_alone);
    findings.extend(differences.map(of_difference));
    findings
}

fn missing(topic: &TopicName, is_dead_letter: bool, cure: String) -> Finding {
    let (code, what) = if is_dead_letter {
        (Code::DeadLetterTopicMissing, format!("the dead letter topic {topic} does not exist"))
    } else {
        (Code::TopicMissing, format!("the topic {topic} does not exist"))
    };
    Finding::new(code, Subject::Topic(topic.clone()), what, cure)
}

fn of_difference(difference: &Difference) -> Finding {
    let code = match difference {
        Difference::WouldReorder { .. } => Code::TooFewPartitions,
        Difference::MorePartitions { .. } => Code::MorePartitions,
        Difference::Replication { on_cluster, in_catalogue, .. } if on_cluster > in_catalogue => {
            Code::ConfigDiffers
        }
        Difference::Replication { .. } => Code::Replication,
        Difference::TooFewBrokers { topic, .. } => {
            let is_dead_letter = topic.as_str().ends_with(crate::names::DLT_SUFFIX);
            let cure = format!("`event-bus topics apply`, and {}", difference.cure());
            let found = missing(topic, is_dead_letter, cure);
            return Finding { what: format!("{}: {difference}", found.what), ..found };
        }
    };
    let subject = Subject::Topic(difference.topic().clone());
    Finding::new(code, subject, difference.to_string(), difference.cure())
}

fn code_of(change: &ConfigChange, copies: i64) -> Code {
    let number = |text: &str| text.parse::<i64>().ok();
    let (from, to) = (change.from.as_deref().and_then(number), number(&change.to));
    let is_less = from < to;
    match change.name {
        "cleanup.policy" => Code::Compacted,
        "retention.ms" if is_shorter(from, to) => Code::RetentionShorter,
        "retention.bytes" => Code::RetentionBySize,
        "min.insync.replicas" if from > Some(copies) => Code::Unwritable,
        "min.insync.replicas" => Code::MinInsync,
        "max.message.bytes" if is_less => Code::MessageSize,
        _ => Code::ConfigDiffers,
    }
}

/// Whether one value of `retention.ms` is less than the other; a negative one is for ever.
fn is_shorter(from: Option<i64>, to: Option<i64>) -> bool {
    let length = |millis: Option<i64>| match millis {
        Some(millis) if millis >= 0 => millis,
        Some(_) => i64::MAX,
        None => 0,
    };
    length(from) < length(to)
}

fn sentence(topic: &TopicName, change: &ConfigChange) -> String {
    let ConfigChange { name, from, to } = change;
    let from = from.as_deref().unwrap_or("no value");
    format!("{topic} has {name} = {from}, and it is to be {to}")
}

/// A dead letter topic that forgets sooner than its topic does, as they are on the cluster.
fn expires_first<'a>(event: &'a Event, observed: &Observed) -> Option<(&'a TopicName, Finding)> {
    let millis = |topic| {
        let state = observed.cluster.topics.get(topic)?;
        state.configs.get("retention.ms")?.parse::<i64>().ok()
    };
    let (letters, topic) = (&event.dead_letter_topic, &event.topic);
    let (kept, events_kept) = (millis(letters)?, millis(topic)?);
    if !is_shorter(Some(kept), Some(events_kept)) {
        return None;
    }
    let events_kept = if events_kept < 0 { "for ever".to_owned() } else { in_words(events_kept) };
    let what = format!(
        "{letters} keeps dead letters {}, and {topic} keeps its events {events_kept}",
        in_words(kept)
    );
    let subject = Subject::Topic(letters.clone());
    Some((letters, Finding::new(Code::DeadLettersExpireFirst, subject, what, APPLY)))
}

fn in_words(millis: i64) -> String {
    const HOUR: i64 = 60 * 60 * 1000;
    match millis {
        millis if millis >= 2 * 24 * HOUR => format!("{} days", millis / (24 * HOUR)),
        millis if millis >= 2 * HOUR => format!("{} hours", millis / HOUR),
        millis => format!("{} seconds", millis / 1000),
    }
}

/// What is bad practice whatever the catalogue says.
fn by_itself(topic: &TopicName, state: &TopicState, brokers: usize) -> Vec<Finding> {
    let finding =
        |code, what, cure: &str| Finding::new(code, Subject::Topic(topic.clone()), what, cure);
    let mut findings = Vec::new();
    let config = |name: &str| state.configs.get(name).map(String::as_str);
    if config("unclean.leader.election.enable") == Some("true") {
        let what = format!(
            "{topic} has unclean.leader.election.enable = true: a broker that lacks acknowledged events may become its leader"
        );
        let cure = "set it to false on the topic or the brokers, with Kafka's own kafka-configs";
        findings.push(finding(Code::UncleanElection, what, cure));
    }
    let min: Option<i32> = config("min.insync.replicas").and_then(|min| min.parse().ok());
    let copies = state.replication;
    if brokers >= BROKERS_FOR_COPIES && (copies == 1 || min == Some(1)) {
        let what = format!(
            "{topic} acknowledges an event that one broker has, of {brokers} that there are: its loss loses the event"
        );
        let cure = "let the catalogue say replication = 3 and min-insync-replicas = 2, then `event-bus topics apply` and, for \
                    copies, kafka-reassign-partitions";
        findings.push(finding(Code::SingleCopy, what, cure));
    }
    if copies > 1 && min == Some(copies) {
        let what = format!(
            "{topic} needs all {copies} copies for each event: nothing can be published while a broker is away"
        );
        let cure = "let the catalogue say a min-insync-replicas below replication, then `event-bus topics apply`";
        findings.push(finding(Code::NoSpareReplica, what, cure));
    }
    findings
}

fn copies(topic: &TopicName, observed: &Observed) -> Vec<Finding> {
    let first = TopicPartition { topic: topic.clone(), partition: 0 };
    let own =
        || observed.layout.partitions.range(&first..).take_while(|(at, _)| at.topic == *topic);
    let headless: Vec<i32> = own()
        .filter(|(_, replicas)| replicas.leader.is_none())
        .map(|(at, _)| at.partition)
        .collect();
    let behind: Vec<i32> = own()
        .filter(|(_, replicas)| replicas.leader.is_some() && replicas.in_sync < replicas.all)
        .map(|(at, _)| at.partition)
        .collect();
    let mut findings = Vec::new();
    if !headless.is_empty() {
        let what =
            format!("{topic} has no leader for {}: it can't be written or read", listed(&headless));
        let cure = "bring the broker back that has its last copy in sync; unclean leader election would lose acknowledged events";
        findings.push(Finding::new(Code::NoLeader, Subject::Topic(topic.clone()), what, cure));
    }
    if !behind.is_empty() {
        let what = format!("{topic} has copies out of sync in {}", listed(&behind));
        let cure =
            "look for the broker that is away, full or slow; what it lacks it copies by itself";
        findings.push(Finding::new(
            Code::UnderReplicated,
            Subject::Topic(topic.clone()),
            what,
            cure,
        ));
    }
    findings
}

fn unknown(catalogue: &Catalogue, known: &[TopicName], observed: &Observed) -> Vec<Finding> {
    let known: BTreeSet<&TopicName> = known.iter().collect();
    let prefix = format!("{}.", catalogue.namespace());
    let of_namespace =
        observed.cluster.topics.keys().filter(|topic| topic.as_str().starts_with(&prefix));
    let unknown = of_namespace.filter(|topic| !known.contains(topic)).map(|topic| {
        let what = format!("{topic} is a topic of this namespace, and the catalogue does not have it");
        let cure = "add its event to the catalogue, or, once nobody uses it, remove it with Kafka's own kafka-topics";
        Finding::new(Code::UnknownTopic, Subject::Topic(topic.clone()), what, cure)
    });
    unknown.collect()
}
