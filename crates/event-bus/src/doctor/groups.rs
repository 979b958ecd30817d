use std::collections::{BTreeMap, BTreeSet};

use super::{Code, Finding, Observed, Subject, listed};
use crate::catalogue::{Catalogue, Subscription};
use crate::kafka::admin::{GroupOffsets, Span, TopicPartition};
use crate::lag::{Level, PartitionOffsets, Standing, of_partition};

pub(super) fn examine(catalogue: &Catalogue, observed: &Observed) -> Vec<Finding> {
    let mut findings = unknown(catalogue, observed);
    for subscription in catalogue.subscriptions() {
        let group = observed.survey.group(subscription.consumer.group.as_str());
        if group.is_some() || observed.survey.has_all_groups {
            findings.extend(without_members(subscription, group));
        }
        let Some(committed) = committed(subscription, group, observed) else { continue };
        findings.extend(offsets(subscription, &committed, observed));
    }
    findings
}

/// Groups that begin as this namespace's do. One of another namespace whose name begins with this one's is that one's.
fn unknown(catalogue: &Catalogue, observed: &Observed) -> Vec<Finding> {
    let known: BTreeSet<&str> =
        catalogue.subscriptions().map(|found| found.consumer.group.as_str()).collect();
    let own = format!("{}-", catalogue.namespace());
    let topics = observed.cluster.topics.keys();
    let others: BTreeSet<String> = topics
        .filter_map(|topic| topic.as_str().split_once('.'))
        .filter(|(namespace, _)| namespace.starts_with(&own))
        .map(|(namespace, _)| format!("{namespace}-"))
        .collect();
    let names = observed.survey.groups.iter().map(|group| group.name.as_str());
    let unknown = names.filter(|name| {
        name.starts_with(&own)
            && !known.contains(name)
            && !others.iter().any(|other| name.starts_with(other))
    });
    let finding = |name: &str| {
        let what =
            format!("{name} is a group of this namespace, and the catalogue does not have it");
        let cure = "add its subscription to the catalogue, or, once nobody uses it, remove it with Kafka's own kafka-consumer-groups";
        Finding::new(Code::UnknownGroup, Subject::Group(name.to_owned()), what, cure)
    };
    unknown.map(finding).collect()
}

fn without_members(
    subscription: Subscription<'_>,
    group: Option<&GroupOffsets>,
) -> Option<Finding> {
    let (consumer, topic) = (subscription.consumer, &subscription.event.topic);
    let what = match group {
        None => {
            format!("{} does not exist: nobody has ever handled {topic} for it", consumer.group)
        }
        Some(GroupOffsets { members: Some(0), .. }) => {
            format!("{} has no members: nobody handles {topic} for it", consumer.group)
        }
        // Of a group that is of another kind nobody tells how many are in it.
        Some(_) => return None,
    };
    let cure = format!("start the service {}", consumer.service);
    let subject = Subject::Group(consumer.group.to_string());
    Some(Finding::new(Code::GroupWithoutMembers, subject, what, cure))
}

/// What a group has committed in each partition of its topic; `None` where nobody told.
fn committed(
    subscription: Subscription<'_>,
    group: Option<&GroupOffsets>,
    observed: &Observed,
) -> Option<Vec<(i32, Span, Option<i64>)>> {
    let place = observed.survey.place_of(&subscription.event.topic)?;
    let commits: BTreeMap<usize, i64> = match group {
        // A broker that did not tell its groups may have it.
        None if !observed.survey.has_all_groups => return None,
        None => BTreeMap::new(),
        Some(group) => {
            let commits = group.committed.as_ref()?.iter();
            let of_topic = commits.filter(|commit| commit.topic == place);
            of_topic.map(|commit| (commit.partition, commit.offset)).collect()
        }
    };
    let partitions = observed.survey.topics[place].partitions.iter().enumerate();
    let told = partitions.filter_map(|(partition, span)| {
        let number = i32::try_from(partition).ok()?;
        Some((number, (*span)?, commits.get(&partition).copied()))
    });
    Some(told.collect())
}

fn offsets(
    subscription: Subscription<'_>,
    partitions: &[(i32, Span, Option<i64>)],
    observed: &Observed,
) -> Vec<Finding> {
    let (event, group) = (subscription.event, &subscription.consumer.group);
    let topic = &event.topic;
    let (mut lag, mut lost) = (0, 0);
    let (mut below, mut beyond, mut overtaken) = (Vec::new(), Vec::new(), Vec::new());
    for (partition, span, committed) in partitions {
        let known = of_partition(PartitionOffsets {
            committed: *committed,
            log_start: span.start,
            log_end: span.end,
        });
        lag += known.lag;
        lost += known.lost;
        match known.standing {
            Standing::BelowLogStart => below.push(*partition),
            Standing::BeyondLogEnd => beyond.push(*partition),
            Standing::Committed | Standing::NeverCommitted => {}
        }
        let next = committed.unwrap_or(span.start).max(span.start);
        let at = TopicPartition { topic: topic.clone(), partition: *partition };
        let safe_from = observed.safe_from.get(&at);
        if safe_from.is_some_and(|safe| next < safe.unwrap_or(span.stable).min(span.stable)) {
            overtaken.push(*partition);
        }
    }
    let finding = |code, what, cure: String| {
        Finding::new(code, Subject::Group(group.to_string()), what, cure)
    };
    let mut findings = Vec::new();
    if !below.is_empty() {
        let what = format!(
            "retention took {lost} events of {topic} that {group} had not handled, in {}",
            listed(&below)
        );
        let cure = format!(
            "write down which, `event-bus groups reset {group} --to earliest`, and have them published \
             again from their source: docs/runbooks/EventBusEventsLost.md"
        );
        findings.push(finding(Code::EventsLost, what, cure));
    }
    if !beyond.is_empty() {
        let what = format!(
            "{group} has committed behind the end of {topic} in {}: the topic was made anew, or lost what it had",
            listed(&beyond)
        );
        let cure = format!(
            "stop its service, `event-bus groups reset {group} --to earliest`, and start it: its inbox skips what took effect"
        );
        findings.push(finding(Code::CommitBeyondEnd, what, cure));
    }
    findings.extend(behind(subscription, lag));
    if !overtaken.is_empty() {
        let what = format!(
            "{topic} is about to remove events that {group} has not handled, in {}",
            listed(&overtaken)
        );
        let cure = format!(
            "let the catalogue keep {topic} longer and `event-bus topics apply`, now; then see to the group"
        );
        findings.push(finding(Code::RetentionOvertakes, what, cure));
    }
    findings
}

fn behind(subscription: Subscription<'_>, lag: u64) -> Option<Finding> {
    let (event, group) = (subscription.event, &subscription.consumer.group);
    if event.lag.level(lag) != Level::Critical {
        return None;
    }
    let (topic, critical) = (&event.topic, event.lag.critical);
    let what = format!("{group} is {lag} events behind on {topic}, more than {critical}");
    let cure = format!(
        "`event-bus groups lag {group} --partitions` tells where; docs/runbooks/EventBusLagCritical.md what to do"
    );
    Some(Finding::new(Code::GroupBehind, Subject::Group(group.to_string()), what, cure))
}
