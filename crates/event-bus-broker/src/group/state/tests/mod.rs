//! The machine, driven by hand: each rule of the protocol in a sentence.

mod commits;
mod joining;
mod leaving;
mod restart;
mod statics;
mod storm;
mod syncing;
mod timing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::super::action::{Action, JoinAnswer, SyncAnswer, WaiterId};
use super::super::ledger::GroupRecord;
use super::super::settings::GroupSettings;
use super::{Group, Join, Leaver, Phase, Protocol, Sync};

const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

/// A group, a clock, and what was answered.
struct Bench {
    group: Group,
    settings: GroupSettings,
    now_ms: i64,
    next_waiter: u64,
    next_member: u64,
    /// Whether records become durable at once, never, or wait to be settled by hand.
    disk: Disk,
    written: Vec<(GroupRecord, super::super::action::Then)>,
    records: Vec<GroupRecord>,
    unanswered: BTreeSet<WaiterId>,
    joins: BTreeMap<WaiterId, JoinAnswer>,
    syncs: BTreeMap<WaiterId, SyncAnswer>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Disk {
    Works,
    Fails,
    Waits,
}

impl Bench {
    fn new() -> Self {
        Self::with(GroupSettings::default())
    }

    fn with(settings: GroupSettings) -> Self {
        Self::of(Group::new("group", 0), settings)
    }

    fn of(group: Group, settings: GroupSettings) -> Self {
        Self {
            group,
            settings,
            now_ms: 0,
            next_waiter: 0,
            next_member: 0,
            disk: Disk::Works,
            written: Vec::new(),
            records: Vec::new(),
            unanswered: BTreeSet::new(),
            joins: BTreeMap::new(),
            syncs: BTreeMap::new(),
        }
    }

    fn waiter(&mut self) -> WaiterId {
        self.next_waiter += 1;
        let waiter = WaiterId(self.next_waiter);
        self.unanswered.insert(waiter);
        waiter
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::AnswerJoin(waiter, answer) => {
                    assert!(self.unanswered.remove(&waiter), "answered twice");
                    self.joins.insert(waiter, answer);
                }
                Action::AnswerSync(waiter, answer) => {
                    assert!(self.unanswered.remove(&waiter), "answered twice");
                    self.syncs.insert(waiter, answer);
                }
                Action::Persist(record, then) => match self.disk {
                    Disk::Waits => self.written.push((record, then)),
                    Disk::Works | Disk::Fails => self.settle(record, &then),
                },
            }
        }
    }

    fn settle(&mut self, record: GroupRecord, then: &super::super::action::Then) {
        let is_durable = self.disk != Disk::Fails;
        if is_durable {
            self.records.push(record.clone());
        }
        let actions = self.group.persisted(record, then, is_durable, self.now_ms, &self.settings);
        self.act(actions);
    }

    /// What waited for the disk is settled, as `disk` says.
    fn settle_all(&mut self, disk: Disk) {
        self.disk = disk;
        for (record, then) in std::mem::take(&mut self.written) {
            self.settle(record, &then);
        }
    }

    fn join(&mut self, join: Join) -> WaiterId {
        let waiter = join.waiter;
        let actions = self.group.join(join, self.now_ms, &self.settings);
        self.act(actions);
        waiter
    }

    /// A dynamic member joins as clients do: it is given its id, and comes back with it.
    fn join_dynamic(&mut self) -> (String, WaiterId) {
        let asked = self.consumer("");
        let waiter = self.join(asked);
        let answer = &self.joins[&waiter];
        assert_eq!(answer.error, Some(ResponseError::MemberIdRequired));
        let id = answer.member_id.clone();
        let rejoin = self.consumer(&id);
        (id, self.join(rejoin))
    }

    fn rejoin(&mut self, id: &str) -> WaiterId {
        let join = self.consumer(id);
        self.join(join)
    }

    fn join_static(&mut self, instance: &str) -> WaiterId {
        let join = Join { instance_id: Some(instance.to_owned()), ..self.consumer("") };
        self.join(join)
    }

    /// A consumer's join.
    fn consumer(&mut self, id: &str) -> Join {
        self.next_member += 1;
        Join {
            waiter: self.waiter(),
            member_id: id.to_owned(),
            instance_id: None,
            new_member_id: format!("member-{:03}", self.next_member),
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            protocol_type: "consumer".to_owned(),
            protocols: vec![protocol("range", "meta"), protocol("sticky", "meta")],
            requires_member_id: true,
            can_skip_assignment: true,
        }
    }

    fn sync(&mut self, id: &str, generation: i32, assignments: &[(&str, &str)]) -> WaiterId {
        let sync = Sync {
            waiter: self.waiter(),
            member_id: id.to_owned(),
            instance_id: None,
            generation,
            protocol_type: Some("consumer".to_owned()),
            protocol: None,
            assignments: assignments
                .iter()
                .map(|(id, text)| ((*id).to_owned(), Bytes::copy_from_slice(text.as_bytes())))
                .collect(),
        };
        let waiter = sync.waiter;
        let actions = self.group.sync(&sync);
        self.act(actions);
        waiter
    }

    fn leave(&mut self, id: &str) -> Option<ResponseError> {
        let leaver = Leaver { member_id: id.to_owned(), instance_id: None };
        let (left, actions) = self.group.leave(vec![leaver], self.now_ms, &self.settings);
        self.act(actions);
        left[0].error
    }

    fn heartbeat(&mut self, id: &str, generation: i32) -> Result<(), ResponseError> {
        self.group.heartbeat(id, None, generation, self.now_ms)
    }

    fn pass(&mut self, duration: Duration) {
        self.now_ms += i64::try_from(duration.as_millis()).unwrap();
        let actions = self.group.tick(self.now_ms, &self.settings);
        self.act(actions);
    }

    fn joined(&self, waiter: WaiterId) -> &JoinAnswer {
        let answer = self.joins.get(&waiter).expect("the join is still parked");
        assert_eq!(answer.error, None);
        answer
    }

    fn join_error(&self, waiter: WaiterId) -> ResponseError {
        self.joins.get(&waiter).expect("the join is still parked").error.expect("it is welcome")
    }

    fn sync_error(&self, waiter: WaiterId) -> ResponseError {
        self.syncs.get(&waiter).expect("the sync is still parked").error.expect("it is assigned")
    }

    fn assignment(&self, waiter: WaiterId) -> &[u8] {
        let answer = self.syncs.get(&waiter).expect("the sync is still parked");
        assert_eq!(answer.error, None);
        &answer.assignment
    }

    fn is_parked(&self, waiter: WaiterId) -> bool {
        self.unanswered.contains(&waiter)
    }

    /// A stable group of two: the leader and a follower, and their generation.
    fn stable_pair() -> (Self, String, String, i32) {
        let mut bench = Self::new();
        let (one, _) = bench.join_dynamic();
        let (two, second) = bench.join_dynamic();
        let first = bench.rejoin(&one);
        let leader = bench.joined(first).leader.clone();
        let generation = bench.joined(second).generation;
        let follower = if leader == one { two } else { one };
        bench.sync(&follower, generation, &[]);
        bench.sync(&leader, generation, &[(&leader, "a"), (&follower, "b")]);
        assert_eq!(bench.group.phase(), Phase::Stable);
        (bench, leader, follower, generation)
    }
}

fn protocol(name: &str, metadata: &str) -> Protocol {
    Protocol { name: name.to_owned(), metadata: Bytes::copy_from_slice(metadata.as_bytes()) }
}

/// A consumer's subscription as clients write it, version 0.
fn subscription(topics: &[&str]) -> Bytes {
    use bytes::BufMut;
    let mut bytes = bytes::BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(i32::try_from(topics.len()).unwrap());
    for topic in topics {
        bytes.put_i16(i16::try_from(topic.len()).unwrap());
        bytes.put_slice(topic.as_bytes());
    }
    bytes.put_i32(-1);
    bytes.freeze()
}
