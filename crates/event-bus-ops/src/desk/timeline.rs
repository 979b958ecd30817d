//! The way of an order or of an event over all topics: who published what when, and what the groups made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::Letter;
use event_bus::kafka::admin::TopicPartition;
use event_bus::kafka::reader::Reader;
use event_bus::names::{EventId, GroupName, TopicName};
use event_bus::replay::Replay;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{Desk, DeskError};
use crate::access::policy::{Action, Actor, Object, decide};
use crate::seen::{Seen, may_see};
use crate::stretch::{self, Stretch};
use crate::trace::{self, Place};

/// So many records are read at most, as counted by offsets.
const MOST_READ: u64 = 200_000;
/// So long is read at most.
const LONGEST: Duration = Duration::from_secs(10);
/// So many moments are shown.
const MOST_SHOWN: usize = 500;
/// Whoever finds no place asks again after so long.
const AGAIN: u64 = 5;
/// So far back is looked where nobody says otherwise.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The clocks of a publisher and of a broker differ by less.
const CLOCKS: SignedDuration = SignedDuration::from_mins(1);
/// With which character everything begins that stands in place of what is personal.
const MASK_BEGINS: char = '‹';
/// A text that is looked for has at most so many bytes.
const MAX_VALUE_BYTES: usize = 1_024;

/// Whose way is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedWay {
    /// An id: a part of the key, a text of the payload, or an event's id.
    pub value: String,
    /// Whether it is the whole key, of which only its partitions are read.
    pub is_key: bool,
    /// Only this event's topics.
    pub event: Option<String>,
    /// From when on; the last day, or an event's day where its id tells that, if nobody says so.
    pub since: Option<Timestamp>,
    /// Until when; now if nobody says so.
    pub until: Option<Timestamp>,
}

/// The way of an order or of an event.
#[derive(Debug, Serialize, Deserialize)]
pub struct Timeline {
    /// From when on was looked: later than asked where there is too much to read.
    pub since: Timestamp,
    /// Until when was looked.
    pub until: Timestamp,
    /// What happened, the first thing first.
    pub moments: Vec<Moment>,
    /// How many records were looked at.
    pub read: u64,
    /// What was not looked at, and how to.
    pub stopped: Option<Stopped>,
}

/// Why not all of the time was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// There are more records than are read at once: those before [`Timeline::since`] were not, so ask until then.
    TooMany,
    /// It took too long: some of the records were not read, so ask for less time, for one event or for a whole key.
    TooLong,
    /// More was found than is shown: the first part is.
    TooMuch,
}

/// Something that happened.
#[derive(Debug, Serialize, Deserialize)]
pub struct Moment {
    /// When its record came onto the topic.
    pub at: Timestamp,
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The event's id.
    pub event_id: Option<EventId>,
    /// What.
    #[serde(flatten)]
    pub what: What,
    #[serde(skip)]
    place: Option<Place>,
}

/// What happened.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// An event was published.
    Published {
        /// Which.
        event: String,
        /// Of which version.
        version: String,
        /// By whom.
        service: String,
        /// For whom.
        tenant: String,
        /// Under which key.
        key: Option<String>,
        /// When it happened, as its publisher says.
        occurred_at: Timestamp,
        /// How far the groups are with it that consume it.
        groups: Vec<Settled>,
    },
    /// A group gave an event up.
    Died {
        /// The dead letter.
        id: Uuid,
        /// The group.
        group: GroupName,
        /// Why.
        reason: String,
        /// The error.
        message: String,
        /// After how many attempts.
        attempts: u32,
        /// When the first of them failed.
        first_failed_at: Timestamp,
        /// How it stands; `None` where the index does not have it yet.
        state: Option<String>,
    },
    /// A dead letter was sent back.
    Replayed {
        /// Which.
        letter: Uuid,
        /// To which group.
        group: GroupName,
        /// In which replay.
        replay: Uuid,
    },
    /// A record came that is no event.
    Unreadable {
        /// Why not.
        problem: String,
    },
}

/// The first of all that was found, in whichever order topics are read.
#[derive(Default)]
struct First(Vec<Moment>);

impl First {
    fn take_in(&mut self, found: Option<Moment>) {
        self.0.extend(found);
        if self.0.len() > 2 * MOST_SHOWN {
            self.cut();
        }
    }

    /// Leaves as many as are shown, and one that tells of more.
    fn cut(&mut self) {
        self.0.sort_by(|a, b| a.place.cmp(&b.place));
        self.0.truncate(MOST_SHOWN + 1);
    }

    /// Those that are shown, and whether there are more.
    fn shown(mut self) -> (Vec<Moment>, bool) {
        self.cut();
        let has_more = self.0.len() > MOST_SHOWN;
        self.0.truncate(MOST_SHOWN);
        (self.0, has_more)
    }
}

/// How far a group is with an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The group.
    pub group: GroupName,
    /// Whether it has settled it: handled it, skipped it as a duplicate or given it up as dead.
    pub has_settled: bool,
}

impl AskedWay {
    fn is_carried_by(&self, seen: &Seen) -> bool {
        match self.is_key {
            true => seen.key().is_some_and(|key| key == self.value),
            false => trace::carries(seen, trace::whole_payload(seen), &self.value),
        }
    }

    /// Whether a record does not carry it, with what is personal or without: to leave that out takes longer than to look.
    fn is_elsewhere(&self, seen: &Seen) -> bool {
        !self.value.contains(MASK_BEGINS) && !self.is_carried_by(seen)
    }

    /// From when until when is looked, as of now.
    fn time(&self, now: Timestamp) -> Result<(Timestamp, Timestamp), DeskError> {
        let of_id = self.value.parse::<Uuid>().ok().and_then(|id| id.get_timestamp());
        let of_id = of_id.and_then(|time| {
            let (seconds, nanos) = time.to_unix();
            Timestamp::new(seconds.try_into().ok()?, nanos.try_into().ok()?).ok()
        });
        let far = "since and until are too far from now";
        let far = |_| DeskError::Unclear(far.to_owned());
        let (since, until) = match (self.since, self.until, of_id) {
            (None, None, Some(made)) => {
                (made.checked_sub(CLOCKS).map_err(far)?, made.checked_add(DAY).map_err(far)?)
            }
            (since, until, _) => {
                let until = until.unwrap_or(now);
                (since.map_or_else(|| until.checked_sub(DAY), Ok).map_err(far)?, until)
            }
        };
        if since >= until {
            return Err(DeskError::Unclear(format!("since {since} is not before until {until}")));
        }
        Ok((since, until.min(now.checked_add(CLOCKS).map_err(far)?)))
    }
}

impl Desk {
    /// The way of an order or of an event, as far as it is in scope.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn timeline(&self, actor: &Actor, asked: &AskedWay) -> Result<Timeline, DeskError> {
        decide(actor, Action::See, Object::InScope)?;
        if asked.value.is_empty() || asked.value.len() > MAX_VALUE_BYTES {
            let told = format!("say what to look for, in at most {MAX_VALUE_BYTES} bytes");
            return Err(DeskError::Unclear(told));
        }
        self.knows(asked.event.as_deref())?;
        let (since, until) = asked.time(Timestamp::now())?;
        let _place = self.place_to_read()?;
        let events = stretch::events(&self.catalogue, actor, asked.event.as_deref());
        let topics = events.iter().flat_map(|event| [&event.topic, &event.dead_letter_topic]);
        let key = asked.is_key.then_some(asked.value.as_str());
        let partitions = stretch::partitions(&self.admin, topics, key).await?;
        let stretch = Stretch::of(&self.admin, partitions, since, until, MOST_READ).await?;
        let mut timeline = Timeline {
            since: stretch.since,
            until,
            moments: Vec::new(),
            read: 0,
            stopped: (stretch.since > since).then_some(Stopped::TooMany),
        };
        let (moments, has_more) = self.read(actor, asked, stretch, &mut timeline).await?.shown();
        timeline.moments = moments;
        if has_more {
            timeline.stopped = Some(Stopped::TooMuch);
        }
        self.tell_settled(actor, &mut timeline.moments).await?;
        self.tell_states(&mut timeline.moments).await?;
        Ok(timeline)
    }

    /// A place among those who read topics at once.
    pub(super) fn place_to_read(&self) -> Result<SemaphorePermit<'_>, DeskError> {
        self.readers.try_acquire().map_err(|_| DeskError::Busy { seconds: AGAIN })
    }

    async fn read(
        &self,
        actor: &Actor,
        asked: &AskedWay,
        stretch: Stretch,
        timeline: &mut Timeline,
    ) -> Result<First, DeskError> {
        let mut first = First::default();
        let deadline = Instant::now() + LONGEST;
        let mut reader = Reader::within(&self.kafka, stretch.ranges)
            .map_err(|error| DeskError::failed(&error))?;
        loop {
            let Ok(read) = timeout_at(deadline, reader.next()).await else {
                timeline.stopped = Some(Stopped::TooLong);
                return Ok(first);
            };
            let read = read.map_err(|error| DeskError::failed(&error))?;
            let Some(records) = read else { return Ok(first) };
            if timeline.read >= MOST_READ {
                timeline.stopped = Some(Stopped::TooMany);
                return Ok(first);
            }
            for record in records {
                timeline.read += 1;
                let seen = Seen::new(record, &self.catalogue);
                if !may_see(&self.catalogue, actor, &seen) || asked.is_elsewhere(&seen) {
                    continue;
                }
                // Nobody finds out what personal data says by asking for it.
                let (seen, problem) = seen.without_personal(&self.catalogue);
                if asked.is_carried_by(&seen) {
                    first.take_in(moment(seen, problem));
                }
            }
        }
    }

    /// Says of each event how far the groups in scope are with it.
    async fn tell_settled(&self, actor: &Actor, moments: &mut [Moment]) -> Result<(), DeskError> {
        let mut committed = BTreeMap::new();
        for moment in moments {
            let What::Published { tenant, groups, .. } = &mut moment.what else { continue };
            let Some(event) = self.catalogue.event_of_topic(moment.topic.as_str()) else {
                continue;
            };
            let at = TopicPartition { topic: moment.topic.clone(), partition: moment.partition };
            for consumer in &event.consumers {
                let service = consumer.service.as_str();
                let object = Object::Letter { service, tenant: Some(tenant) };
                if decide(actor, Action::See, object).is_err() {
                    continue;
                }
                let group = consumer.group.clone();
                if !committed.contains_key(&group) {
                    let offsets = self.admin.committed_offsets(&group).await?;
                    committed.insert(group.clone(), offsets);
                }
                let offset = committed[&group].get(&at).and_then(|offset| offset.clone().ok()?);
                let has_settled = offset.is_some_and(|offset| offset > moment.offset);
                groups.push(Settled { group, has_settled });
            }
        }
        Ok(())
    }

    /// Says of each dead letter how it stands.
    async fn tell_states(&self, moments: &mut [Moment]) -> Result<(), DeskError> {
        let ids: BTreeSet<Uuid> = moments.iter().filter_map(Moment::letter).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let filter = event_bus::dead_letters::Filter {
            ids: ids.into_iter().collect(),
            ..Default::default()
        };
        let known = self.store.letters(&filter, None, limit).await?.letters;
        let states: BTreeMap<Uuid, String> =
            known.into_iter().map(|found| (found.letter.id, found.state.to_string())).collect();
        for moment in moments {
            if let What::Died { id, state, .. } = &mut moment.what {
                *state = states.get(id).cloned();
            }
        }
        Ok(())
    }
}

impl Moment {
    /// The dead letter that it is about.
    fn letter(&self) -> Option<Uuid> {
        match &self.what {
            What::Died { id, .. } => Some(*id),
            _ => None,
        }
    }
}

/// What a record tells; nothing where its time or its headers are none of the bus's.
fn moment(seen: Seen, problem: Option<String>) -> Option<Moment> {
    let place = trace::place(&seen);
    let key = seen.key().map(std::borrow::Cow::into_owned);
    let Seen { record, envelope, event_id, is_dead_letter } = seen;
    let what = if is_dead_letter {
        let letter = Letter::read(&record).ok()?;
        What::Died {
            id: letter.id,
            group: letter.group,
            reason: letter.reason,
            message: letter.message,
            attempts: letter.attempts,
            first_failed_at: letter.first_failed_at,
            state: None,
        }
    } else if let Some(replay) = Replay::read(&record.headers) {
        What::Replayed { letter: replay.of, group: replay.group, replay: replay.id }
    } else {
        match envelope {
            Ok(envelope) => What::Published {
                event: envelope.event.to_string(),
                version: envelope.version.to_string(),
                service: envelope.service.to_string(),
                tenant: envelope.tenant_id.to_string(),
                key,
                occurred_at: envelope.occurred_at,
                groups: Vec::new(),
            },
            Err(error) => {
                What::Unreadable { problem: problem.unwrap_or_else(|| error_chain(&error)) }
            }
        }
    };
    Some(Moment {
        at: Timestamp::from_millisecond(record.timestamp_ms).ok()?,
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        event_id,
        what,
        place: Some(place),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in this millisecond.
    fn found(millis: i64) -> Moment {
        let topic: TopicName = "corner.order.placed".parse().unwrap();
        Moment {
            at: Timestamp::from_millisecond(millis).unwrap(),
            topic: topic.clone(),
            partition: 0,
            offset: millis,
            event_id: None,
            what: What::Unreadable { problem: String::new() },
            place: Some((millis, None, topic, 0, millis)),
        }
    }

    #[test]
    fn what_stands_for_something_personal_begins_as_is_known_here() {
        assert!(event_bus::personal::MASK.starts_with(MASK_BEGINS));
    }

    #[test]
    fn of_too_much_the_first_part_is_shown_whichever_way_it_is_read() {
        let most = i64::try_from(MOST_SHOWN).unwrap();
        for count in [most, most + 1, 5 * most] {
            let forth: Vec<i64> = (0..count).collect();
            for order in [forth.clone(), forth.into_iter().rev().collect()] {
                let mut first = First::default();
                order.into_iter().for_each(|millis| first.take_in(Some(found(millis))));
                assert!(first.0.len() <= 2 * MOST_SHOWN);
                let (shown, has_more) = first.shown();
                let offsets: Vec<i64> = shown.iter().map(|moment| moment.offset).collect();
                assert_eq!((offsets, has_more), ((0..most).collect(), count > most));
            }
        }
    }

    #[test]
    fn an_events_id_tells_its_day_and_others_are_looked_for_in_the_last_one() {
        let now: Timestamp = "2026-06-02T12:00:00Z".parse().unwrap();
        let made: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let time = |asked: &AskedWay| asked.time(now).unwrap();
        let of = |value: String| AskedWay { value, ..AskedWay::default() };
        assert_eq!(time(&of("ORD-1".to_owned())), (now - DAY, now));
        let by_id = of(EventId::at(made).to_string());
        assert_eq!(time(&by_id), (made - CLOCKS, made + DAY));
        let until = AskedWay { until: Some(made), ..by_id.clone() };
        assert_eq!(time(&until), (made - DAY, made));
        let later = AskedWay { since: Some(now), ..by_id };
        assert!(later.time(now).unwrap_err().to_string().contains("not before"));
    }
}
