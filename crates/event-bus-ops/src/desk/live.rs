//! Events as they come, for those who look: one reader of Kafka for all of them, and none while nobody looks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_bus::dead_letter::error_chain;
use event_bus::kafka::admin::{Admin, AdminError, Offsets, Position, TopicPartition};
use event_bus::kafka::reader::{ReadError, Reader, Until};
use event_bus::names::{EventId, TopicName};
use event_bus::{Catalogue, KafkaConfig};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Desk, DeskError};
use crate::access::policy::{Action, Actor, Object, decide};
use crate::seen::{Seen, may_see};
use crate::stretch::{self, Stretch};

/// So many look at once, and so many of one name.
const VIEWERS: usize = 32;
const VIEWERS_OF_ONE: usize = 4;
/// So many events wait for a viewer who is slow; what comes then is counted and left out.
const WAITING: usize = 256;
/// How often it is looked for partitions that came, and whether somebody still looks.
const PARTITIONS: Duration = Duration::from_secs(30);
const LOOKS: Duration = Duration::from_secs(1);
/// The wait after a trouble, and before somebody who found no place asks again.
const REST: Duration = Duration::from_secs(2);
const AGAIN: u64 = 10;
/// The latest events are at most so old, so many are looked at, and so many shown.
const LATEST: SignedDuration = SignedDuration::from_mins(10);
const LATEST_READ: u64 = 2_000;
const LATEST_SHOWN: usize = 50;
const LATEST_WITHIN: Duration = Duration::from_secs(3);

/// Which events somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only this event.
    pub event: Option<String>,
    /// Only this tenant's.
    pub tenant: Option<String>,
    /// Only those with this key.
    pub key: Option<String>,
}

/// An event, as far as it is shown to those who look.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Glimpse {
    /// When it came onto its topic.
    pub at: Timestamp,
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Its id.
    pub event_id: Option<EventId>,
    /// Its name; none where the record can't be read as an event.
    pub event: Option<String>,
    /// The version of its payload.
    pub version: Option<String>,
    /// Who published it.
    pub service: Option<String>,
    /// For whom.
    pub tenant: Option<String>,
    /// Its key.
    pub key: Option<String>,
    /// What it says, without personal data.
    pub payload: Option<serde_json::Value>,
}

impl Glimpse {
    /// Of a record without what is personal.
    fn of(seen: &Seen) -> Option<Self> {
        let envelope = seen.envelope.as_ref().ok();
        let record = &seen.record;
        Some(Self {
            at: Timestamp::from_millisecond(record.timestamp_ms).ok()?,
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            event_id: seen.event_id,
            event: envelope.map(|envelope| envelope.event.to_string()),
            version: envelope.map(|envelope| envelope.version.to_string()),
            service: envelope.map(|envelope| envelope.service.to_string()),
            tenant: seen.tenant().map(str::to_owned),
            key: seen.key().map(std::borrow::Cow::into_owned),
            payload: envelope.map(|envelope| envelope.payload.to_value()),
        })
    }
}

impl Wanted {
    /// Whether it is a record, without what is personal: nobody finds out what that says by asking for it.
    fn is(&self, seen: &Seen, catalogue: &Catalogue) -> bool {
        let event = catalogue.event_of_topic(seen.record.topic.as_str());
        self.event.as_deref().is_none_or(|name| event.is_some_and(|event| event.name == *name))
            && self.tenant.as_deref().is_none_or(|tenant| seen.tenant() == Some(tenant))
            && self.key.as_deref().is_none_or(|key| seen.key().as_deref() == Some(key))
    }
}

/// Somebody who looks.
struct Viewer {
    actor: Actor,
    wanted: Wanted,
    events: mpsc::Sender<Arc<Glimpse>>,
    left_out: Arc<AtomicU64>,
}

#[derive(Default)]
struct Viewers {
    next: u64,
    looking: BTreeMap<u64, Arc<Viewer>>,
    /// Whether somebody reads for them.
    is_read: bool,
}

/// Those who look, and what reads for them.
pub(super) struct Live {
    catalogue: Arc<Catalogue>,
    kafka: KafkaConfig,
    admin: Admin,
    viewers: Mutex<Viewers>,
}

/// What somebody who looks is told.
#[derive(Debug)]
pub enum Told {
    /// An event came.
    Came(Arc<Glimpse>),
    /// So many were left out, for they came faster than they were taken.
    LeftOut(u64),
}

/// Looks until it is dropped.
pub struct Looking {
    live: Arc<Live>,
    viewer: u64,
    events: mpsc::Receiver<Arc<Glimpse>>,
    left_out: Arc<AtomicU64>,
}

impl Looking {
    /// What comes next. Giving it up loses nothing.
    pub async fn next(&mut self) -> Option<Told> {
        match self.left_out.swap(0, Ordering::Relaxed) {
            0 => self.events.recv().await.map(Told::Came),
            left_out => Some(Told::LeftOut(left_out)),
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.live.viewers().looking.remove(&self.viewer);
    }
}

/// Why nothing is read just now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Live {
    pub(super) fn new(catalogue: Arc<Catalogue>, kafka: KafkaConfig, admin: Admin) -> Arc<Self> {
        Arc::new(Self { catalogue, kafka, admin, viewers: Mutex::default() })
    }

    fn viewers(&self) -> MutexGuard<'_, Viewers> {
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(self: &Arc<Self>, actor: &Actor, wanted: Wanted) -> Result<Looking, DeskError> {
        let mut viewers = self.viewers();
        let of_one = viewers.looking.values().filter(|viewer| viewer.actor.name == actor.name);
        if viewers.looking.len() >= VIEWERS || of_one.count() >= VIEWERS_OF_ONE {
            return Err(DeskError::Busy { seconds: AGAIN });
        }
        let (sender, events) = mpsc::channel(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&left_out);
        let viewer = Viewer { actor: actor.clone(), wanted, events: sender, left_out: counted };
        let id = viewers.next;
        viewers.next += 1;
        viewers.looking.insert(id, Arc::new(viewer));
        if !std::mem::replace(&mut viewers.is_read, true) {
            tokio::spawn(Arc::clone(self).read());
        }
        Ok(Looking { live: Arc::clone(self), viewer: id, events, left_out })
    }

    /// Reads for as long as somebody looks.
    async fn read(self: Arc<Self>) {
        let mut places = None;
        while !self.rests() {
            if let Err(error) = self.follow(&mut places).await {
                tracing::warn!(error = error_chain(&error), "those who look see nothing just now");
                sleep(REST).await;
            }
        }
    }

    /// Whether nobody looks; whoever is the next to look has it read again then.
    fn rests(&self) -> bool {
        let mut viewers = self.viewers();
        viewers.is_read = !viewers.looking.is_empty();
        !viewers.is_read
    }

    /// Reads on from where it was until it is time to look for new partitions, or nobody looks.
    async fn follow(
        &self,
        known: &mut Option<BTreeMap<TopicPartition, i64>>,
    ) -> Result<(), Trouble> {
        let cluster = self.admin.cluster().await?;
        let topics = self.catalogue.events().map(|event| &event.topic);
        let all = topics.flat_map(|topic| cluster.partitions(topic));
        // What came since somebody looks is read from its start.
        let position = if known.is_some() { Position::Start } else { Position::End };
        let places = known.get_or_insert_default();
        let new: Vec<TopicPartition> = all.filter(|at| !places.contains_key(at)).collect();
        let offsets: Offsets = self.admin.offsets(position, new).await?;
        for (at, offset) in offsets {
            places.insert(at, offset?.unwrap_or(0));
        }
        let mut reader = Reader::start_at(&self.kafka, places, Until::Stopped).await?;
        let until = Instant::now() + PARTITIONS;
        while Instant::now() < until && !self.viewers().looking.is_empty() {
            let Ok(read) = timeout_at(Instant::now() + LOOKS, reader.next()).await else {
                continue;
            };
            for record in read?.unwrap_or_default() {
                let at =
                    TopicPartition { topic: record.topic.clone(), partition: record.partition };
                places.insert(at, record.offset + 1);
                self.tell(Seen::new(record, &self.catalogue));
            }
        }
        Ok(())
    }

    /// Tells an event to those who want it and may see it.
    fn tell(&self, seen: Seen) {
        // Whoever begins or ends to look does not wait for what follows, which reads all of the event.
        let all: Vec<Arc<Viewer>> = self.viewers().looking.values().cloned().collect();
        let may = |viewer: &Arc<Viewer>| may_see(&self.catalogue, &viewer.actor, &seen);
        let those: Vec<Arc<Viewer>> = all.into_iter().filter(may).collect();
        if those.is_empty() {
            return;
        }
        let (seen, _) = seen.without_personal(&self.catalogue);
        let Some(glimpse) = Glimpse::of(&seen).map(Arc::new) else { return };
        for viewer in those.into_iter().filter(|viewer| viewer.wanted.is(&seen, &self.catalogue)) {
            if viewer.events.try_send(Arc::clone(&glimpse)).is_err() {
                viewer.left_out.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Desk {
    /// Has somebody look at what comes from now on, as far as it is in scope.
    ///
    /// # Errors
    /// When as many look already as may.
    pub fn look(&self, actor: &Actor, wanted: Wanted) -> Result<Looking, DeskError> {
        decide(actor, Action::See, Object::InScope)?;
        self.knows(wanted.event.as_deref())?;
        self.live.look(actor, wanted)
    }

    /// The latest events of the last minutes, as far as they are in scope; the newest first.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn latest(&self, actor: &Actor, wanted: &Wanted) -> Result<Vec<Glimpse>, DeskError> {
        decide(actor, Action::See, Object::InScope)?;
        self.knows(wanted.event.as_deref())?;
        let _place = self.place_to_read()?;
        let events = stretch::events(&self.catalogue, actor, wanted.event.as_deref());
        let topics = events.iter().map(|event| &event.topic);
        let key = wanted.key.as_deref();
        let partitions = stretch::partitions(&self.admin, topics, key).await?;
        let now = Timestamp::now();
        let stretch = Stretch::of(&self.admin, partitions, now - LATEST, now, LATEST_READ).await?;
        let mut reader = Reader::within(&self.kafka, stretch.ranges)
            .map_err(|error| DeskError::failed(&error))?;
        let deadline = Instant::now() + LATEST_WITHIN;
        let mut latest = Vec::new();
        while let Ok(read) = timeout_at(deadline, reader.next()).await
            && let Some(records) = read.map_err(|error| DeskError::failed(&error))?
        {
            let seen = records.into_iter().map(|record| Seen::new(record, &self.catalogue));
            let seen = seen
                .filter(|seen| may_see(&self.catalogue, actor, seen))
                .map(|seen| seen.without_personal(&self.catalogue).0);
            let wanted = seen.filter(|seen| wanted.is(seen, &self.catalogue));
            latest.extend(wanted.filter_map(|seen| Glimpse::of(&seen)));
            latest.sort_by_key(|one| std::cmp::Reverse((one.at, one.offset)));
            latest.truncate(LATEST_SHOWN);
        }
        Ok(latest)
    }

    /// Refuses an event that there is not.
    pub(super) fn knows(&self, event: Option<&str>) -> Result<(), DeskError> {
        match event {
            Some(name) if self.catalogue.event(name).is_none() => {
                Err(DeskError::Unclear(format!("the catalogue has no event {name}")))
            }
            _ => Ok(()),
        }
    }
}
