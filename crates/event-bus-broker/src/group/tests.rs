//! The rim: parked requests, time, and the journal that a next coordinator reads.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::config::Durability;
use crate::log::{DiskFaults, Flusher};

fn open(path: &Path) -> Groups {
    open_with(path, GroupSettings::default(), |_| true)
}

fn open_with(path: &Path, settings: GroupSettings, exists: impl Fn(&str) -> bool) -> Groups {
    Groups::open(Some(path), Flusher::start(Durability::Fsync), settings, exists).unwrap()
}

fn in_memory() -> Groups {
    let flusher = Flusher::start(Durability::Fsync);
    Groups::open(None, flusher, GroupSettings::default(), |_| true).unwrap()
}

fn journal() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("groups");
    (dir, path)
}

fn nobody() -> Committer {
    Committer { member_id: String::new(), instance_id: None, generation: -1, in_transaction: false }
}

fn new_offset(topic: &str, partition: i32, offset: i64) -> NewOffset {
    NewOffset {
        topic: topic.to_owned(),
        partition,
        offset,
        leader_epoch: 4,
        metadata: "text".to_owned(),
        retention_ms: None,
    }
}

async fn commit(groups: &Groups, offset: i64) -> Result<Vec<Option<ResponseError>>, ResponseError> {
    let offsets = vec![new_offset("orders", 0, offset)];
    groups.commit("group", &nobody(), offsets, ResponseError::GroupIdNotFound).await
}

fn position(groups: &Groups) -> i64 {
    fetched(groups, false).offset
}

fn fetched(groups: &Groups, require_stable: bool) -> CommittedPartition {
    let asked = Some(vec![("orders".to_owned(), vec![0])]);
    let mut topics = groups.committed("group", asked, require_stable).unwrap();
    topics.remove(0).partitions.remove(0)
}

fn join_request(member_id: &str, instance_id: Option<&str>) -> JoinRequest {
    JoinRequest {
        group: "group".to_owned(),
        member_id: member_id.to_owned(),
        instance_id: instance_id.map(str::to_owned),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::new() }],
        requires_member_id: true,
        can_skip_assignment: true,
    }
}

fn sync_request(answer: &JoinAnswer, assignment: &[(&str, &'static str)]) -> SyncRequest {
    SyncRequest {
        group: "group".to_owned(),
        member_id: answer.member_id.clone(),
        instance_id: None,
        generation: answer.generation,
        protocol_type: Some("consumer".to_owned()),
        protocol: Some("range".to_owned()),
        assignments: assignment
            .iter()
            .map(|(id, text)| ((*id).to_owned(), Bytes::from_static(text.as_bytes())))
            .collect(),
    }
}

/// A dynamic member in a group of its own, stable.
async fn lone_member(groups: &Groups) -> JoinAnswer {
    let asked = groups.join(join_request("", None)).await;
    assert_eq!(asked.error, Some(ResponseError::MemberIdRequired));
    assert!(asked.member_id.starts_with("client-"));
    let answer = groups.join(join_request(&asked.member_id, None)).await;
    let synced = groups.sync(sync_request(&answer, &[(&answer.member_id, "all")])).await;
    assert_eq!(synced.assignment, "all");
    answer
}

/// Runs in the background up to where it waits.
async fn parked<T: Send + 'static>(
    request: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    let task = tokio::spawn(request);
    tokio::task::yield_now().await;
    task
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let (_dir, path) = journal();
    let groups = open(&path);
    assert_eq!(position(&groups), -1);
    assert_eq!(commit(&groups, 5).await, Ok(vec![None]));
    assert_eq!(commit(&groups, 7).await, Ok(vec![None]));
    assert_eq!(position(&groups), 7);
    drop(groups);
    let committed = fetched(&open(&path), false);
    assert_eq!((committed.offset, committed.leader_epoch), (7, 4));
    assert_eq!(committed.metadata, "text");
}

#[tokio::test]
async fn a_group_goes_on_after_a_restart() {
    let (_dir, path) = journal();
    let groups = open(&path);
    let member = lone_member(&groups).await;
    drop(groups);
    let groups = open(&path);
    assert_eq!(groups.heartbeat("group", &member.member_id, None, member.generation), Ok(()));
    let synced = groups.sync(sync_request(&member, &[])).await;
    assert_eq!(synced.assignment, "all");
    let shown = groups.describe("group").unwrap().unwrap();
    assert_eq!((shown.protocol_type.as_str(), shown.protocol.as_str()), ("consumer", "range"));
    assert_eq!(shown.members[0].client_host, "/127.0.0.1");
}

#[tokio::test]
async fn nobody_sees_a_commit_that_could_not_be_made_durable() {
    let (_dir, path) = journal();
    let faults = Arc::new(DiskFaults::default());
    let flusher = Flusher::with_disk_faults(Durability::Fsync, faults.clone());
    let settings = GroupSettings::default();
    let groups = Groups::open(Some(&path), flusher, settings, |_| true).unwrap();
    commit(&groups, 5).await.unwrap();
    faults.fail_syncs(None);
    assert_eq!(commit(&groups, 7).await, Err(ResponseError::CoordinatorNotAvailable));
    assert_eq!(position(&groups), 5);
    faults.heal();
    commit(&groups, 6).await.unwrap();
    assert_eq!(position(&groups), 6);
    drop(groups);
    assert_eq!(position(&open(&path)), 6);
}

#[tokio::test]
async fn a_deleted_group_stays_deleted() {
    let (_dir, path) = journal();
    let groups = open(&path);
    assert_eq!(groups.delete("group").await, Err(ResponseError::GroupIdNotFound));
    commit(&groups, 5).await.unwrap();
    groups.delete("group").await.unwrap();
    assert_eq!((position(&groups), groups.describe("group")), (-1, Ok(None)));
    drop(groups);
    let groups = open(&path);
    assert_eq!((position(&groups), groups.list()), (-1, Ok(Vec::new())));
}

#[tokio::test]
async fn a_group_with_members_is_not_deleted() {
    let groups = in_memory();
    lone_member(&groups).await;
    assert_eq!(groups.delete("group").await, Err(ResponseError::NonEmptyGroup));
}

#[tokio::test]
async fn offsets_of_a_topic_that_is_gone_are_gone_even_if_it_comes_back() {
    let (_dir, path) = journal();
    let groups = open(&path);
    commit(&groups, 5).await.unwrap();
    groups.forget_topics(vec!["orders".to_owned()]).await.unwrap();
    assert_eq!(position(&groups), -1);
    commit(&groups, 6).await.unwrap();
    drop(groups);
    let settings = GroupSettings::default();
    let groups = open_with(&path, settings, |topic| topic != "orders");
    assert_eq!(position(&groups), -1);
    drop(groups);
    assert_eq!(position(&open(&path)), -1);
}

#[tokio::test]
async fn long_metadata_is_refused_and_the_others_are_committed() {
    let groups = in_memory();
    let long = NewOffset { metadata: "x".repeat(4_097), ..new_offset("orders", 1, 5) };
    let offsets = vec![long, new_offset("orders", 0, 5)];
    let missing = ResponseError::GroupIdNotFound;
    let outcomes = groups.commit("group", &nobody(), offsets, missing).await.unwrap();
    assert_eq!(outcomes, [Some(ResponseError::OffsetMetadataTooLarge), None]);
    assert_eq!(position(&groups), 5);
    assert_eq!(groups.committed("group", None, false).unwrap()[0].partitions.len(), 1);
}

#[tokio::test]
async fn a_member_cannot_commit_to_a_group_that_is_not_there() {
    let groups = in_memory();
    let member = Committer { member_id: "member".to_owned(), generation: 3, ..nobody() };
    let offsets = vec![new_offset("orders", 0, 5)];
    let missing = ResponseError::IllegalGeneration;
    let outcome = groups.commit("group", &member, offsets, missing).await;
    assert_eq!(outcome, Err(ResponseError::IllegalGeneration));
}

#[tokio::test]
async fn staged_offsets_wait_for_their_transaction_through_a_restart() {
    let (_dir, path) = journal();
    let groups = open(&path);
    commit(&groups, 1).await.unwrap();
    let producer = Committer { in_transaction: true, ..nobody() };
    let offsets = vec![new_offset("orders", 0, 5)];
    let outcomes = groups.stage_txn_offsets("group", 7, 0, &producer, offsets).await;
    assert_eq!(outcomes, Ok(vec![None]));
    drop(groups);
    let groups = open(&path);
    assert_eq!(position(&groups), 1);
    let unstable = fetched(&groups, true);
    assert_eq!((unstable.error, unstable.offset), (Some(ResponseError::UnstableOffsetCommit), -1));
    groups.finish_txn_offsets(7, true).await.unwrap();
    assert_eq!(fetched(&groups, true).offset, 5);
    groups.finish_txn_offsets(7, false).await.unwrap();
    drop(groups);
    assert_eq!(position(&open(&path)), 5);
}

#[tokio::test]
async fn a_fenced_producer_stages_nothing() {
    let groups = in_memory();
    let producer = Committer { in_transaction: true, ..nobody() };
    let offset = || vec![new_offset("orders", 0, 5)];
    groups.stage_txn_offsets("group", 7, 3, &producer, offset()).await.unwrap();
    let outcome = groups.stage_txn_offsets("group", 7, 2, &producer, offset()).await;
    assert_eq!(outcome, Err(ResponseError::InvalidProducerEpoch));
}

#[tokio::test]
async fn offsets_are_deleted_unless_the_group_uses_their_topic() {
    let groups = in_memory();
    let orders = || vec![PartitionName { topic: "orders".to_owned(), partition: 0 }];
    let missing = groups.delete_offsets("group", orders()).await;
    assert_eq!(missing, Err(ResponseError::GroupIdNotFound));
    commit(&groups, 5).await.unwrap();
    assert_eq!(groups.delete_offsets("group", orders()).await, Ok(vec![None]));
    assert_eq!(position(&groups), -1);
    lone_member(&groups).await;
    let in_use = groups.delete_offsets("group", orders()).await;
    assert_eq!(in_use, Ok(vec![Some(ResponseError::GroupSubscribedToTopic)]));
}

#[tokio::test(start_paused = true)]
async fn a_dead_member_is_noticed_without_anybody_asking() {
    let groups = in_memory();
    let member = lone_member(&groups).await;
    tokio::time::advance(Duration::from_secs(9)).await;
    groups.heartbeat("group", &member.member_id, None, member.generation).unwrap();
    let waiting = parked({
        let groups = groups.clone();
        async move { groups.join(join_request("", Some("instance"))).await }
    })
    .await;
    // The task that keeps time wakes by itself when the clock of the test runs on.
    let answer = waiting.await.unwrap();
    assert_eq!(answer.error, None);
    assert_eq!(answer.members.len(), 1);
    let heard = groups.heartbeat("group", &member.member_id, None, member.generation);
    assert_eq!(heard, Err(ResponseError::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn offsets_expire_when_their_group_has_been_empty_for_long_and_the_group_with_them() {
    let groups = in_memory();
    commit(&groups, 5).await.unwrap();
    let retention = GroupSettings::default().offsets_retention;
    tokio::time::advance(retention - Duration::from_secs(60)).await;
    groups.shared.tick();
    assert_eq!(position(&groups), 5);
    tokio::time::advance(Duration::from_secs(11 * 60)).await;
    groups.shared.tick();
    while position(&groups) != -1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(groups.describe("group"), Ok(None));
}

#[tokio::test]
async fn who_waits_when_the_broker_stops_is_answered() {
    let groups = in_memory();
    let member = lone_member(&groups).await;
    let joining = parked({
        let groups = groups.clone();
        async move { groups.join(join_request("", Some("instance"))).await }
    })
    .await;
    let rejoined = groups.join(join_request(&member.member_id, None)).await;
    assert_eq!(rejoined.error, None);
    let joined = joining.await.unwrap();
    let follower = if joined.leader == joined.member_id { rejoined } else { joined };
    let syncing = parked({
        let groups = groups.clone();
        async move { groups.sync(sync_request(&follower, &[])).await }
    })
    .await;
    groups.stop();
    let gone = Some(ResponseError::CoordinatorNotAvailable);
    assert_eq!(syncing.await.unwrap().error, gone);
    assert_eq!(groups.join(join_request("", None)).await.error, gone);
    assert_eq!(commit(&groups, 5).await, Err(ResponseError::CoordinatorNotAvailable));
}

#[tokio::test]
async fn sessions_have_bounds() {
    let groups = in_memory();
    for session_timeout_ms in [-1, 5_999, 1_800_001] {
        let request = JoinRequest { session_timeout_ms, ..join_request("", None) };
        let answer = groups.join(request).await;
        assert_eq!(answer.error, Some(ResponseError::InvalidSessionTimeout));
    }
    let unnamed = JoinRequest { group: String::new(), ..join_request("", None) };
    assert_eq!(groups.join(unnamed).await.error, Some(ResponseError::InvalidGroupId));
    let stranger = groups.join(join_request("stranger", None)).await;
    assert_eq!(stranger.error, Some(ResponseError::UnknownMemberId));
    assert_eq!(groups.list(), Ok(Vec::new()), "a refused join makes no group");
}

#[tokio::test]
async fn a_long_journal_is_written_anew_and_tells_the_same() {
    let (_dir, path) = journal();
    let groups = open(&path);
    let wide: Vec<NewOffset> = (0..2_000)
        .map(|partition| NewOffset {
            metadata: "x".repeat(400),
            ..new_offset("orders", partition, 1)
        })
        .collect();
    for round in 1..=16 {
        let offsets = wide.iter().map(|new| NewOffset { offset: round, ..new.clone() }).collect();
        let missing = ResponseError::GroupIdNotFound;
        groups.commit("group", &nobody(), offsets, missing).await.unwrap();
    }
    let bytes = std::fs::metadata(&path).unwrap().len();
    drop(groups);
    let groups = open(&path);
    let topics = groups.committed("group", None, false).unwrap();
    assert_eq!(topics[0].partitions.len(), 2_000);
    assert!(topics[0].partitions.iter().all(|partition| partition.offset == 16));
    let all = 16 * wide.len() as u64 * 400;
    assert!(bytes < all / 2, "{bytes} bytes");
}
