//! Fetch sessions (KIP-227): a consumer names its partitions once and then only what changes, and is answered only
//! what changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::FetchRequest;
use uuid::Uuid;

use super::{PartitionAnswer, TopicKey, Wanted};

/// How many sessions are kept at once (`max.incremental.fetch.session.cache.slots`).
const MAX_SESSIONS: usize = 1_000;
/// A session that was idle for this long gives way to a new one when all slots are taken.
const EVICTION_MS: i64 = 120_000;
/// Partitions of all sessions together: they are what takes memory.
const MAX_PARTITIONS: usize = 1_000_000;

/// The id of no session.
const NO_SESSION: i32 = 0;
/// The epoch of a request that begins a session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that ends a session, or wants none.
const FINAL_EPOCH: i32 = -1;
/// The first version that names topics by id.
const TOPIC_IDS_FROM: i16 = 13;

/// The fetch sessions of all consumers.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_id: HashMap<i32, Session>,
}

#[derive(Debug)]
struct Session {
    /// The epoch that the next request must have.
    epoch: i32,
    uses_ids: bool,
    last_used_ms: i64,
    partitions: HashMap<PartitionKey, Cached>,
    /// Who is read first. A partition that gave records goes to the end, so that a bound on bytes starves nobody.
    order: BTreeMap<u64, PartitionKey>,
    next_turn: u64,
}

type PartitionKey = (TopicKey, i32);

/// A partition of a session, with what the consumer was told last.
#[derive(Debug)]
struct Cached {
    wanted: Wanted,
    turn: u64,
    /// -1 makes sure that the partition is in the next answer.
    high_watermark: i64,
    log_start: i64,
}

/// A fetch whose partitions are known.
#[derive(Debug)]
pub(crate) struct Begun {
    /// In the order in which they are read.
    pub wanted: Vec<Wanted>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sessionless,
    /// The answer has all partitions, and may begin a session.
    Full {
        uses_ids: bool,
    },
    /// The answer has what changed.
    Incremental {
        session_id: i32,
    },
}

impl Sessions {
    /// Finds out what a request wants.
    ///
    /// # Errors
    /// When it names a session that is not there, or not in this state; the whole answer is that error.
    pub fn begin(
        &self,
        request: &FetchRequest,
        version: i16,
        now_ms: i64,
    ) -> Result<Begun, ResponseError> {
        let uses_ids = version >= TOPIC_IDS_FROM;
        let asked = wanted(request, uses_ids);
        let mut state = self.lock();
        let FetchRequest { session_id, session_epoch, .. } = *request;
        if session_epoch == INITIAL_EPOCH || session_epoch == FINAL_EPOCH {
            state.by_id.remove(&session_id);
            let is_final = session_epoch == FINAL_EPOCH;
            let kind = if is_final { Kind::Sessionless } else { Kind::Full { uses_ids } };
            return Ok(Begun { wanted: asked, kind });
        }
        let session =
            state.by_id.get_mut(&session_id).ok_or(ResponseError::FetchSessionIdNotFound)?;
        if session.epoch != session_epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.uses_ids != uses_ids {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        asked.into_iter().for_each(|wanted| session.want(wanted));
        for topic in &request.forgotten_topics_data {
            let key = topic_key(&topic.topic, topic.topic_id, uses_ids);
            topic.partitions.iter().for_each(|index| session.forget(&(key.clone(), *index)));
        }
        if session.partitions.is_empty() {
            state.by_id.remove(&session_id);
            return Ok(Begun { wanted: Vec::new(), kind: Kind::Sessionless });
        }
        session.epoch = next_epoch(session.epoch);
        session.last_used_ms = now_ms;
        let wanted = session.order.values().map(|key| session.partitions[key].wanted.clone());
        Ok(Begun { wanted: wanted.collect(), kind: Kind::Incremental { session_id } })
    }

    /// Says which of the partitions' answers are sent, and under which session id.
    pub fn finish(
        &self,
        begun: &Begun,
        mut answers: Vec<PartitionAnswer>,
        now_ms: i64,
    ) -> (i32, Vec<(TopicKey, PartitionAnswer)>) {
        let keys = begun.wanted.iter().map(|wanted| wanted.topic.clone());
        let session_id = match begun.kind {
            Kind::Sessionless => NO_SESSION,
            Kind::Full { uses_ids } => self.create(begun, &answers, uses_ids, now_ms),
            Kind::Incremental { session_id } => {
                let mut state = self.lock();
                // It was evicted while this request waited: the answer has everything, and the next request is told
                // that the session is gone.
                if let Some(session) = state.by_id.get_mut(&session_id) {
                    let told = begun.wanted.iter().zip(answers.drain(..));
                    let changed = told.filter_map(|(wanted, answer)| {
                        session.changed(wanted, &answer).then(|| (wanted.topic.clone(), answer))
                    });
                    return (session_id, changed.collect());
                }
                session_id
            }
        };
        (session_id, keys.zip(answers).collect())
    }

    /// Remembers a session if there is room for it.
    fn create(
        &self,
        begun: &Begun,
        answers: &[PartitionAnswer],
        uses_ids: bool,
        now_ms: i64,
    ) -> i32 {
        let mut state = self.lock();
        if begun.wanted.is_empty() || !state.make_room(begun.wanted.len(), now_ms) {
            return NO_SESSION;
        }
        let mut session = Session {
            epoch: next_epoch(INITIAL_EPOCH),
            uses_ids,
            last_used_ms: now_ms,
            partitions: HashMap::new(),
            order: BTreeMap::new(),
            next_turn: 0,
        };
        for (wanted, answer) in begun.wanted.iter().zip(answers) {
            session.want(wanted.clone());
            session.changed(wanted, answer);
        }
        let id = state.free_id();
        state.by_id.insert(id, session);
        id
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A session that a panic left half changed is at worst out of step with its consumer, who then begins anew.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn make_room(&mut self, partitions: usize, now_ms: i64) -> bool {
        let taken: usize = self.by_id.values().map(|session| session.partitions.len()).sum();
        let fits = |sessions: usize, taken: usize| {
            sessions < MAX_SESSIONS && taken + partitions <= MAX_PARTITIONS
        };
        if fits(self.by_id.len(), taken) {
            return true;
        }
        let oldest = self.by_id.iter().min_by_key(|(_, session)| session.last_used_ms);
        let Some((&id, session)) = oldest else { return false };
        let is_idle = now_ms.saturating_sub(session.last_used_ms) > EVICTION_MS;
        let freed = session.partitions.len();
        if !is_idle || !fits(self.by_id.len() - 1, taken - freed) {
            return false;
        }
        self.by_id.remove(&id);
        true
    }

    /// An id that can't be guessed from another one, so that no consumer meets a stranger's session by accident.
    fn free_id(&self) -> i32 {
        loop {
            let [a, b, c, d] =
                *Uuid::now_v7().as_bytes().last_chunk().expect("an UUID has 16 bytes");
            let id = i32::from_be_bytes([a & 0x7f, b, c, d]);
            if id != NO_SESSION && !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Session {
    /// Adds a partition, or changes what is wanted of it.
    fn want(&mut self, wanted: Wanted) {
        let key = (wanted.topic.clone(), wanted.partition);
        if let Some(cached) = self.partitions.get_mut(&key) {
            cached.wanted = wanted;
            return;
        }
        let turn = self.take_turn(key.clone());
        self.partitions.insert(key, Cached { wanted, turn, high_watermark: -1, log_start: -1 });
    }

    fn forget(&mut self, key: &PartitionKey) {
        if let Some(cached) = self.partitions.remove(key) {
            self.order.remove(&cached.turn);
        }
    }

    fn take_turn(&mut self, key: PartitionKey) -> u64 {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.order.insert(turn, key);
        turn
    }

    /// Whether the answer tells the consumer something new, which it counts as told from now on.
    fn changed(&mut self, wanted: &Wanted, answer: &PartitionAnswer) -> bool {
        let key = (wanted.topic.clone(), wanted.partition);
        let has_records = answer.has_records();
        let answer = &answer.data;
        let has_error = answer.error_code != 0;
        let Some(cached) = self.partitions.get_mut(&key) else {
            return has_records || has_error;
        };
        let told = (cached.high_watermark, cached.log_start);
        let is_new = told != (answer.high_watermark, answer.log_start_offset);
        cached.log_start = answer.log_start_offset;
        // After an error, the partition is told of again once the error is gone.
        cached.high_watermark = if has_error { -1 } else { answer.high_watermark };
        if has_records {
            let turn = cached.turn;
            self.order.remove(&turn);
            let turn = self.take_turn(key.clone());
            if let Some(cached) = self.partitions.get_mut(&key) {
                cached.turn = turn;
            }
        }
        has_records || has_error || is_new
    }
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

fn topic_key(name: &kafka_protocol::messages::TopicName, id: Uuid, uses_ids: bool) -> TopicKey {
    if uses_ids { TopicKey::Id(id) } else { TopicKey::Name(name.clone()) }
}

fn wanted(request: &FetchRequest, uses_ids: bool) -> Vec<Wanted> {
    let topics = request.topics.iter().flat_map(|topic| {
        let key = topic_key(&topic.topic, topic.topic_id, uses_ids);
        topic.partitions.iter().map(move |partition| Wanted {
            topic: key.clone(),
            partition: partition.partition,
            fetch_offset: partition.fetch_offset,
            max_bytes: partition.partition_max_bytes,
            current_leader_epoch: partition.current_leader_epoch,
        })
    });
    topics.collect()
}
