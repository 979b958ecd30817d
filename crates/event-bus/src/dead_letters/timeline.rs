//! What happened to an event, and how far the groups are that consume it.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Found;
use super::told::{Sources, Told};
use crate::audit::{Action, Deed};
use crate::catalogue::Catalogue;
use crate::envelope::Envelope;
use crate::kafka::Record;
use crate::kafka::admin::{Admin, AdminError, Position, TopicPartition};
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::names::{GroupName, TopicName};
use crate::replay::{Outcome, OutcomeReport};

/// The clocks of a consumer and of a broker differ by less.
const CLOCKS_MS: i64 = 60_000;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What, in a sentence.
    pub what: String,
}

/// How far a group is with an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The group.
    pub group: GroupName,
    /// Whether it has settled the event where it was published: handled it, skipped it as a duplicate, or given it up as
    /// dead. `false` also where the group has committed nothing.
    pub has_settled: bool,
}

/// What happened to the event of a dead letter whose lineage this is, the first thing first. `record` is one of its dead
/// letters, where there still is one.
///
/// # Errors
/// When Kafka does not answer.
pub async fn timeline(
    admin: &Admin,
    catalogue: &Catalogue,
    lineage: &[&Found],
    record: Option<&Record>,
) -> Result<Vec<Moment>, ReadError> {
    let sources = Sources::of(catalogue);
    let ids: HashSet<Uuid> = lineage.iter().map(|found| found.letter.id).collect();
    let mut moments: Vec<Moment> = lineage.iter().flat_map(|found| deaths(found)).collect();
    moments.extend(record.and_then(published));
    // Nothing was decided about it, nor became of it, before it failed.
    let failed = lineage.iter().map(|found| found.letter.first_failed_at.as_millisecond()).min();
    let since = Position::At(failed.unwrap_or(0) - CLOCKS_MS);
    let mut topics: Vec<TopicName> = sources.of_decisions().into_iter().cloned().collect();
    let cluster = admin.cluster_with(&topics).await?;
    topics.retain(|topic| cluster.topics.contains_key(topic));
    if !topics.is_empty() {
        let mut reader = Reader::start_with(admin, &topics, since, Until::CaughtUp).await?;
        while let Some(records) = reader.next().await? {
            for record in records {
                match sources.read(&record) {
                    Ok(Told::Deed(deed)) => moments.extend(decided(&deed, &ids)),
                    Ok(Told::Outcome(report)) if ids.contains(&report.dlq_id) => {
                        moments.push(told(&report));
                    }
                    // What others wrote there happened to nothing of ours.
                    Ok(Told::Outcome(_) | Told::Letter(_) | Told::Audited) | Err(_) => {}
                }
            }
        }
    }
    moments.sort_by_key(|moment| moment.at);
    // What was sent twice is told twice.
    moments.dedup();
    Ok(moments)
}

/// How far each group is that consumes the event of a dead letter.
///
/// # Errors
/// When Kafka does not answer.
pub async fn reached(
    admin: &Admin,
    catalogue: &Catalogue,
    found: &Found,
) -> Result<Vec<Reached>, AdminError> {
    let letter = &found.letter;
    let Some(event) = catalogue.event_of_topic(letter.topic.as_str()) else {
        return Ok(Vec::new());
    };
    let at = TopicPartition { topic: letter.topic.clone(), partition: letter.partition };
    let mut reached = Vec::with_capacity(event.consumers.len());
    for consumer in &event.consumers {
        let committed = admin.committed_offsets(&consumer.group).await?.remove(&at);
        let committed = committed.transpose()?.flatten();
        let has_settled = committed.is_some_and(|committed| committed > letter.offset);
        reached.push(Reached { group: consumer.group.clone(), has_settled });
    }
    Ok(reached)
}

fn published(record: &Record) -> Option<Moment> {
    let envelope = Envelope::parse(record.value.as_deref()?).ok()?;
    let what = format!("{} published it", envelope.service);
    Some(Moment { at: envelope.occurred_at, what })
}

fn deaths(found: &Found) -> [Moment; 2] {
    let letter = &found.letter;
    let dead = format!(
        "{} gave it up after {} attempts ({}): {}",
        letter.group, letter.attempts, letter.reason, letter.message
    );
    let failed = format!("{} failed for the first time", letter.group);
    [
        Moment { at: letter.first_failed_at, what: failed },
        Moment { at: letter.failed_at, what: format!("{dead} [{}]", letter.id) },
    ]
}

fn decided(deed: &Deed, ids: &HashSet<Uuid>) -> Option<Moment> {
    let letter = deed.letters.iter().find(|letter| ids.contains(letter))?;
    let verb = match deed.action {
        Action::Replay => "replayed",
        Action::Discard => "discarded",
        Action::Restore => "restored",
        Action::Reset | Action::Redrive | Action::Note | Action::RemoveNote | Action::NotDone => {
            return None;
        }
    };
    let why = deed.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    Some(Moment { at: deed.at, what: format!("{} {verb} it{why} [{letter}]", deed.by) })
}

fn told(report: &OutcomeReport) -> Moment {
    let what = match report.outcome {
        Outcome::Processed => "its replay took effect",
        Outcome::Duplicate => "its replay had nothing to do, for it had its effect",
        Outcome::DeadAgain => "its replay died",
        Outcome::OutOfTurn => "its replay did nothing, for others of its key come first",
    };
    let what = format!("{} told that {what} [{}]", report.service, report.dlq_id);
    Moment { at: report.at, what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::letter::tests::dead;
    use crate::dead_letters::{Letter, State};

    #[test]
    fn what_happened_is_told_by_whom_and_why() {
        let record = dead(7, "no money", "2026-01-02T00:00:00Z");
        let letter = Letter::read(&record).unwrap();
        let (id, found) = (letter.id, Found { letter, state: State::Open });
        assert_eq!(published(&record).unwrap().what, "retailer published it");
        let [_, death] = deaths(&found);
        assert!(death.what.contains("4 attempts (retries-exhausted): no money"), "{death:?}");
        let deed = Deed::about_letters(Action::Discard, vec![id], "ann", Some("spam"));
        let moment = decided(&deed, &[id].into()).unwrap();
        assert_eq!(moment.what, format!("ann discarded it: spam [{id}]"));
        assert_eq!(decided(&deed, &[Uuid::nil()].into()), None);
    }
}
