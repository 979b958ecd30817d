//! Scripted faults that records and groups meet.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{GroupId, HeartbeatRequest};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;
use uuid::Uuid;

use super::groups::{member, sync};
use super::records::{TOPIC, batch, fetch, produce, produced};
use super::topics::{create, topic};
use crate::api::testing::Client;
use crate::{Broker, Config, FaultScript};

/// A broker with such a script on a directory, and a topic of two partitions.
async fn broker(dir: &std::path::Path, script: &str) -> (Broker, Client, Uuid) {
    let faults = FaultScript::parse(script).unwrap();
    let broker = Broker::start(Config { faults, ..Config::in_directory(dir) }).await.unwrap();
    let mut client = Client::connect(&broker).await;
    assert_eq!(create(&mut client, vec![topic(TOPIC, 2)]).await, [0]);
    let id = broker.node().topics.id_of(TOPIC).unwrap();
    (broker, client, id)
}

#[tokio::test]
async fn a_full_disk_refuses_appends_until_there_is_room_and_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, mut client, id) = broker(dir.path(), "[full-disk]\nnth = 2\nwrites = 1").await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let answer = produced(&mut client, produce(12, id, -1, batch()), 12).await;
        answers.push((answer.error_code, answer.base_offset));
    }
    let refused = (ResponseError::KafkaStorageError.code(), -1);
    assert_eq!(answers, [(0, 0), refused, (0, 1)]);
    let fetched = client.ask(fetch(12, id, 0), 12).await;
    assert_eq!(fetched.responses[0].partitions[0].high_watermark, 2);
    broker.stop().await;
}

#[tokio::test]
async fn a_refused_append_has_no_effect_and_one_whose_answer_is_dropped_has() {
    let dir = tempfile::tempdir().unwrap();
    let script = "[[request]]\napi = \"Produce\"\nnth = 1\nerror = \"NOT_LEADER_OR_FOLLOWER\"\n\
                  [[request]]\napi = \"Produce\"\nnth = 2\ndrop = \"after\"";
    let (broker, mut client, id) = broker(dir.path(), script).await;
    let answer = produced(&mut client, produce(13, id, -1, batch()), 13).await;
    assert_eq!(answer.error_code, ResponseError::NotLeaderOrFollower.code());
    client.send(&produce(13, id, -1, batch()), 13).await;
    assert_eq!(client.receive_bytes().await, None);
    let mut client = Client::connect(&broker).await;
    let fetched = client.ask(fetch(13, id, 0), 13).await;
    assert_eq!(fetched.responses[0].partitions[0].high_watermark, 1);
}

#[tokio::test]
async fn a_slow_partition_takes_longer_and_others_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "[[slow-partition]]\ntopic = \"{TOPIC}\"\npartition = 0\nproduce-ms = 120\nfetch-ms = 60"
    );
    let (_broker, mut client, id) = broker(dir.path(), &script).await;
    let begun = Instant::now();
    produced(&mut client, produce(13, id, -1, batch()), 13).await;
    assert!(begun.elapsed() >= Duration::from_millis(120));
    let begun = Instant::now();
    client.ask(fetch(13, id, 0), 13).await;
    assert!(begun.elapsed() >= Duration::from_millis(60));
    let slow = crate::faults::FaultScript::parse(&script).unwrap();
    let faults = crate::faults::Faults::new(slow, std::sync::Arc::default());
    let begun = Instant::now();
    faults.slow_produce([(TOPIC, 1), ("other", 0)].into_iter()).await;
    assert!(begun.elapsed() < Duration::from_millis(120));
}

#[tokio::test]
async fn groups_rebalance_as_often_as_the_script_says() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client, _) = broker(dir.path(), "[[rebalance]]\nevery-ms = 30").await;
    let joined = member(&mut client, "g", 5).await;
    sync(&mut client, "g", &joined, 3).await;
    let heartbeat = HeartbeatRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("g")))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = client.ask(heartbeat.clone(), 3).await;
        if answer.error_code == ResponseError::RebalanceInProgress.code() {
            return;
        }
        assert_eq!(answer.error_code, 0);
        assert!(Instant::now() < deadline, "no rebalance came");
    }
}
