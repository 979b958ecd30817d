//! Where each log's end was when, which tells how old what waits is.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use event_bus::dead_letter::error_chain;
use event_bus::kafka::admin::{Admin, Position, Survey, TopicPartition};
use event_bus::lag::Ends;
use event_bus::names::TopicName;

/// How far back Kafka is asked where the ends were, when partitions are seen for the first time.
const BACK: [Duration; 7] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(4),
    Duration::from_hours(24),
    Duration::from_hours(7 * 24),
];

/// The ends of all partitions, over time.
#[derive(Debug)]
pub(super) struct Past {
    began: Instant,
    /// Of a partition that never had a leader so far nothing is known, and its past is still to be asked for.
    topics: HashMap<TopicName, Vec<Option<Ends>>>,
}

impl Past {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), topics: HashMap::new() }
    }

    /// Takes note of a survey, and asks Kafka for the past of partitions that are new. Returns the time that it is.
    pub(super) async fn note(&mut self, admin: &Admin, survey: &Survey) -> i64 {
        self.topics.retain(|topic, _| survey.place_of(topic).is_some());
        let new = self.new_partitions(survey);
        if !new.is_empty() {
            self.learn(admin, survey, new).await;
        }
        let now = self.now();
        for topic in &survey.topics {
            let Some(known) = self.topics.get_mut(&topic.name) else { continue };
            for (ends, span) in known.iter_mut().zip(&topic.partitions) {
                if let (Some(ends), Some(span)) = (ends, span) {
                    ends.note(now, span.end);
                }
            }
        }
        now
    }

    /// How long the first record that is not settled has been there.
    pub(super) fn age_of(
        &self,
        topic: &TopicName,
        partition: usize,
        offset: i64,
        now: i64,
    ) -> Duration {
        let ends = self.topics.get(topic).and_then(|known| known.get(partition)?.as_ref());
        ends.map_or(Duration::ZERO, |ends| ends.age_of(offset, now))
    }

    fn now(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn new_partitions(&self, survey: &Survey) -> Vec<TopicPartition> {
        let mut new = Vec::new();
        for topic in &survey.topics {
            let known = self.topics.get(&topic.name).map_or(&[][..], Vec::as_slice);
            let is_new = |nth: usize| known.get(nth).is_none_or(Option::is_none);
            for ((nth, span), partition) in topic.partitions.iter().enumerate().zip(0..) {
                if span.is_some() && is_new(nth) {
                    new.push(TopicPartition { topic: topic.name.clone(), partition });
                }
            }
        }
        new
    }

    async fn learn(&mut self, admin: &Admin, survey: &Survey, new: Vec<TopicPartition>) {
        let mut past: HashMap<TopicPartition, Vec<(i64, i64)>> = HashMap::new();
        let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        for back in BACK {
            let then = i64::try_from(wall.saturating_sub(back).as_millis()).unwrap_or(0);
            let at = self.now() - i64::try_from(back.as_millis()).unwrap_or(0);
            match admin.offsets(Position::At(then), new.clone()).await {
                Ok(offsets) => {
                    for (partition, offset) in offsets {
                        // Where nothing came since, the end was where it is.
                        let end = match offset {
                            Ok(Some(offset)) => offset,
                            Ok(None) => match end_of(survey, &partition) {
                                Some(end) => end,
                                None => continue,
                            },
                            Err(_) => continue,
                        };
                        past.entry(partition).or_default().push((at, end));
                    }
                }
                Err(error) => {
                    // Ages are then told from now on only.
                    tracing::debug!(error = error_chain(&error), "the past of new partitions");
                    break;
                }
            }
        }
        for at in new {
            let ends = Ends::before(past.remove(&at).unwrap_or_default());
            let known = self.topics.entry(at.topic).or_default();
            let partition = usize::try_from(at.partition).unwrap_or(0);
            if known.len() <= partition {
                known.resize(partition + 1, None);
            }
            known[partition] = Some(ends);
        }
    }
}

fn end_of(survey: &Survey, at: &TopicPartition) -> Option<i64> {
    let topic = &survey.topics[survey.place_of(&at.topic)?];
    let span = topic.partitions.get(usize::try_from(at.partition).ok()?)?;
    span.map(|span| span.end)
}
