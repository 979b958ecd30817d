//! Records that are damaged while the broker runs.

use std::fs;

use kafka_protocol::ResponseError;
use tempfile::TempDir;

use super::records::{TOPIC, batch, fetch, produce, produced};
use super::topics::{create, topic};
use crate::api::testing::Client;
use crate::{Broker, Config, Storage};

#[tokio::test]
async fn an_answer_that_was_begun_ends_with_the_connection_and_the_next_one_is_an_error() {
    let dir = TempDir::new().unwrap();
    let storage = Storage::Directory(dir.path().to_owned());
    let broker = Broker::start(Config { storage, ..Config::default() }).await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, vec![topic(TOPIC, 1)]).await;
    let id = broker.node().topics.id_of(TOPIC).unwrap();
    for _ in 0..2 {
        let sent = produce(13, id, -1, batch().with_value_bytes(200_000));
        assert_eq!(produced(&mut client, sent, 13).await.error_code, 0);
    }
    let log = find(dir.path(), "00000000000000000000.log");
    let mut bytes = fs::read(&log).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&log, bytes).unwrap();

    assert_eq!(client.try_ask(&fetch(13, id, 0), 13).await, None);
    let mut client = Client::connect(&broker).await;
    let answer = client.ask(fetch(13, id, 0), 13).await;
    let corrupt = ResponseError::CorruptMessage.code();
    assert_eq!(answer.responses[0].partitions[0].error_code, corrupt);
    broker.stop().await;
}

/// The only file of this name below the directory.
fn find(dir: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => dirs.push(path),
                false if path.ends_with(name) => return path,
                false => {}
            }
        }
    }
    panic!("there is no {name}")
}
