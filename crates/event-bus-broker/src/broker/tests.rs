use kafka_protocol::messages::{ApiKey, ApiVersionsRequest};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::api::testing::Client;

fn versions_request() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("test"))
        .with_client_software_version(StrBytes::from_static_str("1.0"))
}

#[tokio::test]
async fn a_broker_tells_which_versions_it_serves() {
    let broker = Broker::start(Config::default()).await.unwrap();
    let mut client = Client::connect(&broker).await;
    for version in 0..=4 {
        let answer = client.ask(versions_request(), version).await;
        assert_eq!(answer.error_code, 0);
        assert!(answer.api_keys.iter().any(|api| api.api_key == ApiKey::ApiVersions as i16));
    }
    broker.stop().await;
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused_with_the_cure() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let refused = Broker::start(Config { listen, ..Config::default() }).await.unwrap_err();
    assert!(matches!(refused, StartError::Remote(_)));
    assert!(refused.to_string().contains("--allow-remote"));
    let config = Config { listen, allow_remote: true, ..Config::default() };
    Broker::start(config).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_dropped_broker_leaves_its_directory_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::start(Config::in_directory(dir.path())).await.unwrap();
    let _client = Client::connect(&first).await;
    drop(first);
    Broker::start(Config::in_directory(dir.path())).await.unwrap().stop().await;
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_and_there_is_room_again_later() {
    let config = Config { max_connections: 1, ..Config::default() };
    let broker = Broker::start(config).await.unwrap();
    let mut first = Client::connect(&broker).await;
    first.ask(versions_request(), 3).await;
    let mut second = Client::connect(&broker).await;
    assert_eq!(second.receive_bytes().await, None);
    drop(first);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let mut next = Client::connect(&broker).await;
        if next.try_ask(&versions_request(), 3).await.is_some() {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the place is never given back");
    }
}
