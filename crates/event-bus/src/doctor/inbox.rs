use super::{Code, Finding, Observed, Subject};
use crate::catalogue::Catalogue;
use crate::kafka::admin::TopicPartition;
use crate::names::GroupName;

/// What a service's database knows of what a group has handled in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbox {
    /// The consumer group.
    pub group: GroupName,
    /// The partition.
    pub at: TopicPartition,
    /// The least offset that has a row, if there is a row.
    pub first: Option<i64>,
    /// Below which offset everything counts as handled since `event-bus inbox purge`; 0 where nothing was purged.
    pub purged_below: i64,
}

/// Groups whose inbox begins behind what Kafka still has and the group has committed: that would take effect again.
pub(super) fn examine(catalogue: &Catalogue, observed: &Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    for subscription in catalogue.subscriptions() {
        let (group, topic) = (&subscription.consumer.group, &subscription.event.topic);
        let own = observed
            .inboxes
            .iter()
            .filter(|inbox| inbox.group == *group && inbox.at.topic == *topic);
        for inbox in own {
            let Some((from, to)) = gap(inbox, observed) else { continue };
            let what = format!(
                "the inbox of {group} does not know what it has handled in partition {} of {topic} from offset {from} to {}: a reset \
                 there would have it take effect, again if it did already",
                inbox.at.partition,
                to - 1
            );
            let cure = "remove rows by `event-bus inbox purge` alone, which notes what it removes, and keep the topic's retention below \
                        what the inbox keeps; what a reset skipped needs nothing";
            let subject = Subject::Group(group.to_string());
            findings.push(Finding::new(Code::InboxGap, subject, what, cure));
        }
    }
    findings
}

/// The offsets that the group has committed, that the topic still has, and that are before the first row.
fn gap(inbox: &Inbox, observed: &Observed) -> Option<(i64, i64)> {
    let survey = &observed.survey;
    let (topic, partition) =
        (survey.place_of(&inbox.at.topic)?, usize::try_from(inbox.at.partition).ok()?);
    let span = (*survey.topics[topic].partitions.get(partition)?)?;
    let commits = survey.group(inbox.group.as_str())?.committed.as_ref()?;
    let commit =
        commits.iter().find(|found| (found.topic, found.partition) == (topic, partition))?;
    let from = span.start.max(inbox.purged_below);
    let to = inbox.first.unwrap_or(i64::MAX).min(commit.offset);
    (from < to).then_some((from, to))
}
