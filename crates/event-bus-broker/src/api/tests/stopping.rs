//! A broker that stops, or is dropped, keeps what it acknowledged and lets nobody wait.

use std::time::Duration;

use tokio::time::Instant;

use super::records::{TOPIC, batch, fetch, produce, produced};
use super::topics::{create, topic};
use crate::api::testing::Client;
use crate::{Broker, Config};

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_broker_was_dropped() {
    let dir = tempfile::tempdir().unwrap();
    for offset in 0..3 {
        let broker = Broker::start(Config::in_directory(dir.path())).await.unwrap();
        let mut client = Client::connect(&broker).await;
        if offset == 0 {
            create(&mut client, vec![topic(TOPIC, 1)]).await;
        }
        let id = broker.node().topics.id_of(TOPIC).unwrap();
        let answer = produced(&mut client, produce(13, id, -1, batch()), 13).await;
        assert_eq!((answer.error_code, answer.base_offset), (0, offset));
        drop(broker);
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_those_who_wait_for_records() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, vec![topic(TOPIC, 1)]).await;
    let id = broker.node().topics.id_of(TOPIC).unwrap();
    client.send(&fetch(13, id, 0).with_max_wait_ms(i32::MAX), 13).await;
    // Asked on another connection, so that the fetch is likely to run.
    create(&mut Client::connect(&broker).await, vec![topic("other", 1)]).await;
    let begun = Instant::now();
    broker.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
