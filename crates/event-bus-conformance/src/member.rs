//! A member of a consumer group, request by request.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as AssignedPartition;
use kafka_protocol::messages::consumer_protocol_subscription::TopicPartition;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupId, HeartbeatRequest,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::Encodable;

use crate::connection::Connection;
use crate::eventually::eventually;
use crate::outcome::outcome;
use crate::topic::{SOON, text, topic_name};

const JOIN: i16 = 9;
const SYNC: i16 = 5;
const HEARTBEAT: i16 = 4;
const LEAVE: i16 = 5;

/// A member, or somebody who wants to be one.
#[derive(Debug)]
pub struct Member {
    /// Its connection.
    pub connection: Connection,
    /// Its group.
    pub group: String,
    /// What the coordinator calls it; empty before it joined.
    pub id: String,
    /// Its own name, if it is a static member.
    pub instance: Option<String>,
    /// The generation that it joined last.
    pub generation: i32,
    /// The topics that it wants to read.
    pub topics: Vec<String>,
    /// The partitions of its first topic that it says it owns.
    pub owned: Vec<i32>,
    /// The protocols that it offers.
    pub protocols: Vec<&'static str>,
    /// How long it may be silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// How long a rebalance may wait for it, in milliseconds.
    pub rebalance_timeout_ms: i32,
}

impl Member {
    /// Somebody who wants to join.
    pub async fn of(group: &str) -> Self {
        Self::at(Connection::open().await, group)
    }

    /// The same over a connection.
    pub fn at(connection: Connection, group: &str) -> Self {
        Self {
            connection,
            group: group.to_owned(),
            id: String::new(),
            instance: None,
            generation: -1,
            topics: vec!["any".to_owned()],
            owned: Vec::new(),
            protocols: vec!["range"],
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: 30_000,
        }
    }

    /// Somebody who wants to join as a static member.
    pub async fn named(group: &str, instance: &str) -> Self {
        let mut member = Self::of(group).await;
        member.instance = Some(instance.to_owned());
        member
    }

    /// Sends one JoinGroup.
    pub async fn send_join(&mut self) {
        let topics = self.topics.iter().map(|topic| text(topic)).collect();
        let mut subscription = ConsumerProtocolSubscription::default().with_topics(topics);
        if !self.owned.is_empty() {
            let owned = TopicPartition::default()
                .with_topic(topic_name(&self.topics[0]))
                .with_partitions(self.owned.clone());
            subscription.owned_partitions.push(owned);
        }
        let mut metadata = BytesMut::new();
        metadata.extend_from_slice(&1_i16.to_be_bytes());
        subscription.encode(&mut metadata, 1).expect("a subscription can be written");
        let protocols = self.protocols.iter().map(|name| {
            JoinGroupRequestProtocol::default()
                .with_name(text(name))
                .with_metadata(metadata.clone().freeze())
        });
        let request = JoinGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_session_timeout_ms(self.session_timeout_ms)
            .with_rebalance_timeout_ms(self.rebalance_timeout_ms)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(text("consumer"))
            .with_protocols(protocols.collect());
        self.connection.send(JOIN, &request).await;
    }

    /// Waits for the answer to JoinGroup, and takes the id and the generation that it brings.
    pub async fn joined(&mut self) -> JoinGroupResponse {
        let response = self.connection.answer::<JoinGroupRequest>(JOIN).await;
        if response.error_code == 0
            || outcome(response.error_code) == Err(ResponseError::MemberIdRequired)
        {
            self.id = response.member_id.to_string();
        }
        if response.error_code == 0 {
            self.generation = response.generation_id;
        }
        response
    }

    /// One JoinGroup and its answer.
    pub async fn try_join(&mut self) -> JoinGroupResponse {
        self.send_join().await;
        self.joined().await
    }

    /// Gets an id first, where the coordinator asks for that, and sends the JoinGroup that counts.
    ///
    /// # Panics
    /// When the coordinator gives no id.
    pub async fn begin_to_join(&mut self) {
        if self.id.is_empty() && self.instance.is_none() {
            let first = self.try_join().await;
            assert_eq!(outcome(first.error_code), Err(ResponseError::MemberIdRequired));
        }
        self.send_join().await;
    }

    /// Joins, whatever it takes.
    ///
    /// # Panics
    /// When the coordinator refuses.
    pub async fn join(&mut self) -> JoinGroupResponse {
        self.begin_to_join().await;
        let joined = self.joined().await;
        assert_eq!(outcome(joined.error_code), Ok(()), "{} could not join", self.group);
        joined
    }

    /// Sends SyncGroup with the assignments of a leader, or none of a follower.
    pub async fn send_sync(&mut self, assignments: &BTreeMap<String, Bytes>) {
        let assignments = assignments.iter().map(|(member, assignment)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(member))
                .with_assignment(assignment.clone())
        });
        let request = SyncGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text(self.protocols[0])))
            .with_assignments(assignments.collect());
        self.connection.send(SYNC, &request).await;
    }

    /// Waits for the answer to SyncGroup.
    pub async fn synced(&mut self) -> SyncGroupResponse {
        self.connection.answer::<SyncGroupRequest>(SYNC).await
    }

    /// SyncGroup and its answer: the assignment.
    ///
    /// # Errors
    /// What the coordinator says.
    pub async fn sync(
        &mut self,
        assignments: &BTreeMap<String, Bytes>,
    ) -> Result<Bytes, ResponseError> {
        self.send_sync(assignments).await;
        let response = self.synced().await;
        outcome(response.error_code).map(|()| response.assignment)
    }

    /// Joins and syncs as the only member of its group, which is stable then.
    ///
    /// # Panics
    /// When the coordinator refuses, or somebody else is the leader.
    pub async fn join_alone(&mut self) {
        let joined = self.join().await;
        assert_eq!(joined.leader.as_str(), self.id);
        let assignments = BTreeMap::from([(self.id.clone(), Bytes::from_static(b"everything"))]);
        assert_eq!(self.sync(&assignments).await, Ok(Bytes::from_static(b"everything")));
    }

    /// One heartbeat.
    ///
    /// # Errors
    /// What the coordinator says.
    pub async fn heartbeat(&mut self) -> Result<(), ResponseError> {
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text));
        outcome(self.connection.call(HEARTBEAT, &request).await.error_code)
    }

    /// Heartbeats until the coordinator asks for another JoinGroup.
    ///
    /// # Panics
    /// When it never does.
    pub async fn until_told_to_rejoin(&mut self) {
        eventually(SOON, async || match self.heartbeat().await {
            Err(ResponseError::RebalanceInProgress) => Ok(()),
            other => Err(other),
        })
        .await;
    }

    /// Leaves, by its id or, as a static member, by its name.
    ///
    /// # Errors
    /// What the coordinator says.
    pub async fn leave(&mut self) -> Result<(), ResponseError> {
        let identity = MemberIdentity::default()
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text));
        let request = LeaveGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_members(vec![identity]);
        let response = self.connection.call(LEAVE, &request).await;
        outcome(response.error_code)?;
        outcome(response.members[0].error_code)
    }
}

/// What a leader gives a consumer: partitions of a topic.
///
/// # Panics
/// Never: an assignment can be written.
#[must_use]
pub fn assignment(topic: &str, partitions: &[i32]) -> Bytes {
    let given = AssignedPartition::default()
        .with_topic(topic_name(topic))
        .with_partitions(partitions.to_vec());
    let mut bytes = BytesMut::new();
    bytes.extend_from_slice(&1_i16.to_be_bytes());
    ConsumerProtocolAssignment::default()
        .with_assigned_partitions(vec![given])
        .encode(&mut bytes, 1)
        .expect("an assignment can be written");
    bytes.freeze()
}

/// Members that have sent JoinGroup come to one stable generation with the assignments that `assign` makes of their
/// ids. A generation can close without one whose request came late: then all of them join again.
///
/// # Panics
/// When the coordinator refuses one of them.
pub async fn settle(members: &mut [&mut Member], assign: impl Fn(&str) -> Bytes) {
    loop {
        let mut leader = String::new();
        let mut known = 0;
        for member in &mut *members {
            let joined = member.joined().await;
            assert_eq!(outcome(joined.error_code), Ok(()), "{} could not join", member.group);
            leader = joined.leader.to_string();
            known = known.max(joined.members.len());
        }
        let is_one = members.iter().all(|member| member.generation == members[0].generation);
        if is_one && known == members.len() {
            return sync_all(members, &leader, assign).await;
        }
        for member in &mut *members {
            member.send_join().await;
        }
    }
}

async fn sync_all(members: &mut [&mut Member], leader: &str, assign: impl Fn(&str) -> Bytes) {
    let all: BTreeMap<_, _> = members.iter().map(|m| (m.id.clone(), assign(&m.id))).collect();
    for member in &mut *members {
        let assignments = if member.id == leader { all.clone() } else { BTreeMap::new() };
        member.send_sync(&assignments).await;
    }
    for member in &mut *members {
        let synced = member.synced().await;
        assert_eq!(outcome(synced.error_code), Ok(()));
        assert_eq!(synced.assignment, all[&member.id]);
    }
}
