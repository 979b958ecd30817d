use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

use super::cases::{
    Case, Maker, NEIGHBOUR, POISON, SCHEMA_INVALID, SCHEMA_INVALID_AGAIN, Wanted, envelope,
};
use super::letter::{Told, faults};
use super::round::Round;
use super::{Check, ProbeError, Trial, TrialError, Verdict};
use crate::dead_letter::{Reason, dlq_id};
use crate::envelope::OutgoingRecord;
use crate::kafka::Record;
use crate::names::EventId;
use crate::replay::{Original, Outcome, Replay};

/// Where all retries together take less, it can't be told whether others waited for them.
const LONG_RETRIES: Duration = Duration::from_secs(2);
/// The wait before effects are counted again.
const PAUSE: Duration = Duration::from_millis(200);

/// Tries a running consumer. `probe` counts the effects that an event has had.
///
/// # Errors
/// When the trial can't be made; what the consumer does wrong is no error.
pub async fn drive(
    trial: &Trial<'_>,
    probe: impl AsyncFn(EventId) -> Result<u64, ProbeError>,
) -> Result<Vec<Check>, TrialError> {
    let mut maker = Maker::of(trial)?;
    let mut round = Round::open(trial).await?;
    // A probe that can't count would make all of this wait in vain.
    count(&probe, EventId::at(jiff::Timestamp::now())).await?;
    let attempts = u32::try_from(trial.subscription.consumer.retry.len()).unwrap_or(u32::MAX);
    let mut sent = Vec::new();
    for case in maker.cases(round.partitions, attempts.saturating_add(1))? {
        let first = round.send(&case.record).await?;
        for _ in 1..case.times {
            round.send(&case.record).await?;
        }
        sent.push(Sent::of(case, first));
    }
    let mut driver = Driver { trial, round: &mut round, probe, expected: BTreeSet::new() };
    let mut checks = vec![driver.neighbour(&sent).await?];
    let left = driver.round.settled().await?;
    checks.extend(driver.first_round(&sent).await?);
    checks.extend(driver.replays(&sent, &mut maker).await?);
    checks.extend(driver.at_last(&sent, left).await?);
    Ok(checks)
}

async fn count(
    probe: &impl AsyncFn(EventId) -> Result<u64, ProbeError>,
    id: EventId,
) -> Result<u64, TrialError> {
    probe(id).await.map_err(TrialError::Probe)
}

/// A case that was sent.
struct Sent {
    case: Case,
    record: Record,
    /// As the consumer's inbox knows it.
    event_id: EventId,
}

impl Sent {
    fn of(case: Case, record: Record) -> Self {
        let Record { topic, partition, offset, timestamp_ms, value, .. } = &record;
        let of_position = || {
            let value = value.as_deref().unwrap_or_default();
            EventId::of_position(topic, *partition, *offset, *timestamp_ms, value)
        };
        let event_id = match case.wanted {
            Wanted::Effect(id) => id.unwrap_or_else(of_position),
            // What can't be read, or has the id of another event, is known by its position.
            Wanted::Dead { reason, .. } => match reason {
                Reason::RetriesExhausted
                | Reason::WrongTopic
                | Reason::UnsupportedVersion
                | Reason::SchemaInvalid => case.record.event_id,
                _ => of_position(),
            },
        };
        Self { case, record, event_id }
    }

    fn check(&self, faults: Vec<String>) -> Check {
        Check { name: self.case.name, what: self.case.what, verdict: Verdict::of(faults) }
    }
}

struct Driver<'d, 'a, P> {
    trial: &'a Trial<'a>,
    round: &'d mut Round<'a>,
    probe: P,
    /// The ids of the dead letters that there are to be.
    expected: BTreeSet<String>,
}

impl<P: AsyncFn(EventId) -> Result<u64, ProbeError>> Driver<'_, '_, P> {
    fn dlq_id(&self, record: &Record) -> Uuid {
        dlq_id(&self.trial.subscription.consumer.group, record)
    }

    /// How many effects an event has, once it has as many as wanted, or it is time.
    async fn effects(
        &mut self,
        id: EventId,
        wanted: u64,
        deadline: Instant,
    ) -> Result<u64, TrialError> {
        loop {
            let effects = count(&self.probe, id).await?;
            if effects >= wanted || Instant::now() >= deadline {
                return Ok(effects);
            }
            self.round.listen(PAUSE).await?;
        }
    }

    /// Whether others get past what fails.
    async fn neighbour(&mut self, sent: &[Sent]) -> Result<Check, TrialError> {
        let (name, what) = (
            "isolation",
            "an event of another key in its partition takes effect while poison waits for its retries",
        );
        let find = |name| sent.iter().find(|sent: &&Sent| sent.case.name == name);
        let (Some(poison), Some(neighbour)) = (find(POISON), find(NEIGHBOUR)) else {
            let why = "no poison was given, or tenants make no key of this event".to_owned();
            return Ok(Check { name, what, verdict: Verdict::NotTried(why) });
        };
        let waits: Duration = self.trial.subscription.consumer.retry.iter().sum();
        if waits < LONG_RETRIES {
            let why = format!("all retries together take {waits:?}, which is too short to tell");
            return Ok(Check { name, what, verdict: Verdict::NotTried(why) });
        }
        let deadline = self.round.deadline();
        let effects = self.effects(neighbour.event_id, 1, deadline).await?;
        let letter = self.dlq_id(&poison.record).to_string();
        let verdict = Verdict::of(if effects == 0 {
            vec!["it had no effect in time".to_owned()]
        } else if self.round.letters.contains_key(&letter) {
            vec!["it took effect only when the poison was dead".to_owned()]
        } else {
            Vec::new()
        });
        Ok(Check { name, what, verdict })
    }

    /// What became of each case.
    async fn first_round(&mut self, sent: &[Sent]) -> Result<Vec<Check>, TrialError> {
        let dead = sent.iter().filter(|sent| matches!(sent.case.wanted, Wanted::Dead { .. }));
        let ids: Vec<String> = dead.map(|sent| self.dlq_id(&sent.record).to_string()).collect();
        self.round.await_letters(&ids).await?;
        self.expected.extend(ids);
        // One for all of them: a consumer that does nothing is to be found out soon.
        let deadline = self.round.deadline();
        let mut checks = Vec::new();
        for sent in sent {
            let found = match sent.case.wanted {
                Wanted::Effect(_) => {
                    let effects = self.effects(sent.event_id, 1, deadline).await?;
                    let mut found = effect_faults(effects, 1);
                    if self.round.letters.contains_key(&self.dlq_id(&sent.record).to_string()) {
                        found.push("it is a dead letter".to_owned());
                    }
                    found
                }
                Wanted::Dead { reason, attempts } => {
                    let mut found = self.letter_faults(sent, reason, attempts, None, 0);
                    found.extend(effect_faults(count(&self.probe, sent.event_id).await?, 0));
                    found
                }
            };
            checks.push(sent.check(found));
        }
        Ok(checks)
    }

    fn letter_faults(
        &self,
        sent: &Sent,
        reason: Reason,
        attempts: Option<u32>,
        previous: Option<String>,
        replays: u32,
    ) -> Vec<String> {
        let consumer = self.trial.subscription.consumer;
        let id = self.dlq_id(&sent.record).to_string();
        let Some(letter) = self.round.letters.get(&id).and_then(|letters| letters.first()) else {
            let at =
                format!("{}[{}]@{}", sent.record.topic, sent.record.partition, sent.record.offset);
            return vec![format!(
                "there is no dead letter with the dlq.id {id}, which is that of {at}"
            )];
        };
        let told = Told {
            original: &sent.record,
            group: &consumer.group,
            service: &consumer.service,
            reason,
            attempts,
            event_id: sent.event_id,
            previous,
            replays,
        };
        faults(letter, &told, self.round.letter_partitions)
    }

    /// Replays of another group, edited replays, and one that dies again.
    async fn replays(
        &mut self,
        sent: &[Sent],
        maker: &mut Maker<'_>,
    ) -> Result<Vec<Check>, TrialError> {
        let find = |name| sent.iter().find(|sent: &&Sent| sent.case.name == name);
        let (Some(first), Some(second)) = (find(SCHEMA_INVALID), find(SCHEMA_INVALID_AGAIN)) else {
            let why =
                "the schema of the event forbids nothing, so there is no dead letter to replay";
            return Ok(vec![not_tried(why)]);
        };
        let ids = [first, second].map(|sent| self.dlq_id(&sent.record));
        if !ids.iter().all(|id| self.round.letters.contains_key(&id.to_string())) {
            return Ok(vec![not_tried("the dead letter that was to be replayed did not come")]);
        }
        let mut checks = vec![self.replay_of_others(first, ids[0]).await?];
        let group = self.trial.subscription.consumer.group.clone();
        let replay = |sent: &Sent, of| {
            let id = Uuid::new_v4();
            Replay { id, of, group: group.clone(), event_id: sent.event_id, chain_seq: None }
        };
        // Only the payload is another one, and so the key stays the letter's.
        let good = envelope(&maker.good()?);
        let edited = edited(&first.record, &good["payload"]);
        let (once, again) = (replay(first, ids[0]), replay(first, ids[0]));
        for replay in [&once, &once, &again] {
            self.round.send(&replay.record(original(&edited))).await?;
        }
        let dying = replay(second, ids[1]);
        let dies = dying.record(original(&second.record));
        let case = Case {
            name: "replay-dies-again",
            what: "a replay that fails makes a dead letter that names the one before",
            record: dies,
            times: 1,
            wanted: Wanted::Dead { reason: Reason::SchemaInvalid, attempts: Some(0) },
        };
        let record = self.round.send(&case.record).await?;
        let dies = Sent { case, record, event_id: second.event_id };
        self.round.settled().await?;
        let id = self.dlq_id(&dies.record).to_string();
        self.round.await_letters(std::slice::from_ref(&id)).await?;
        self.expected.insert(id);
        let deadline = self.round.deadline();
        let effects = self.effects(first.event_id, 1, deadline).await?;
        checks.push(Check {
            name: "replay",
            what: "a dead letter whose value was mended takes effect once, however often it is replayed",
            verdict: Verdict::of(effect_faults(effects, 1)),
        });
        let previous = Some(ids[1].to_string());
        let mut found = self.letter_faults(&dies, Reason::SchemaInvalid, Some(0), previous, 1);
        found.extend(effect_faults(count(&self.probe, second.event_id).await?, 0));
        checks.push(dies.check(found));
        checks.push(self.outcomes(&once, &dying).await?);
        Ok(checks)
    }

    async fn replay_of_others(&mut self, sent: &Sent, of: Uuid) -> Result<Check, TrialError> {
        let group = format!("{}-of-others", self.trial.subscription.consumer.group);
        let group =
            group.parse().unwrap_or_else(|_| self.trial.subscription.consumer.group.clone());
        let replay =
            Replay { id: Uuid::new_v4(), of, group, event_id: sent.event_id, chain_seq: None };
        let mut another = original(&sent.record);
        another.value = Some("no event at all".into());
        let record = self.round.send(&replay.record(another)).await?;
        self.round.settled().await?;
        let mut found = effect_faults(count(&self.probe, sent.event_id).await?, 0);
        if self.round.letters.contains_key(&self.dlq_id(&record).to_string()) {
            found.push("it is a dead letter".to_owned());
        }
        let what = "a replay for another group is passed over, whatever it holds";
        Ok(Check { name: "replay-of-others", what, verdict: Verdict::of(found) })
    }

    /// What the consumer said of replays.
    async fn outcomes(&mut self, good: &Replay, dying: &Replay) -> Result<Check, TrialError> {
        let (name, what) = ("outcomes", "it tells what became of each replay");
        if !self.round.has_outcomes {
            let why = "the topic of outcomes does not exist".to_owned();
            return Ok(Check { name, what, verdict: Verdict::NotTried(why) });
        }
        let wanted = [(good.id, Outcome::Processed), (dying.id, Outcome::DeadAgain)];
        let deadline = self.round.deadline();
        loop {
            let told = &self.round.outcomes;
            let missing = wanted.iter().filter(|(id, outcome)| {
                !told.iter().any(|report| report.replay_id == *id && report.outcome == *outcome)
            });
            let missing: Vec<String> = missing
                .map(|(id, outcome)| {
                    format!("of the replay {id} it did not tell {}", outcome.as_str())
                })
                .collect();
            if missing.is_empty() || Instant::now() >= deadline {
                return Ok(Check { name, what, verdict: Verdict::of(missing) });
            }
            self.round.listen(PAUSE).await?;
        }
    }

    /// What holds once everything is done.
    async fn at_last(&mut self, sent: &[Sent], left: u64) -> Result<Vec<Check>, TrialError> {
        let left = left.max(self.round.settled().await?);
        let mut twice = Vec::new();
        for sent in sent.iter().filter(|sent| matches!(sent.case.wanted, Wanted::Effect(_))) {
            let effects = count(&self.probe, sent.event_id).await?;
            if effects > 1 {
                twice.push(format!("{} had {effects}", sent.case.name));
            }
        }
        let late = if left == 0 { Vec::new() } else { vec![format!("{left} records are left")] };
        let letters = self.round.letters.iter();
        let extra = letters.clone().filter(|(id, _)| !self.expected.contains(*id));
        let mut other: Vec<String> = extra.map(|(id, _)| format!("{id} is one too many")).collect();
        let doubled = letters.filter(|(_, letters)| letters.len() > 1);
        other.extend(doubled.map(|(id, letters)| format!("{id} is there {} times", letters.len())));
        let check = |name, what, faults| Check { name, what, verdict: Verdict::of(faults) };
        Ok(vec![
            check("effects", "no event has had a second effect meanwhile", twice),
            check("commits", "its commits reach the end of the topic", late),
            check(
                "exact-dead-letters",
                "there are no other dead letters, and each is there once",
                other,
            ),
        ])
    }
}

fn not_tried(why: &str) -> Check {
    let what = "a dead letter that is replayed takes effect once";
    Check { name: "replay", what, verdict: Verdict::NotTried(why.to_owned()) }
}

fn effect_faults(effects: u64, wanted: u64) -> Vec<String> {
    if effects == wanted {
        Vec::new()
    } else {
        vec![format!("it has {effects} effects, not {wanted}")]
    }
}

fn original(record: &Record) -> Original {
    Original {
        topic: record.topic.clone(),
        partition: record.partition,
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.clone(),
    }
}

/// The record with another payload in its envelope.
fn edited(record: &Record, payload: &Value) -> Record {
    let outgoing = OutgoingRecord {
        topic: record.topic.clone(),
        partition: None,
        key: None,
        value: record.value.clone(),
        headers: Vec::new(),
        event_id: EventId::at(jiff::Timestamp::now()),
    };
    let mut envelope = envelope(&outgoing);
    envelope["payload"] = payload.clone();
    Record { value: Some(envelope.to_string().into()), ..record.clone() }
}
