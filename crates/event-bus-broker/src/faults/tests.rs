//! What a script says happens, as clients see it.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, HeartbeatRequest, ListGroupsRequest, MetadataRequest};
use kafka_protocol::protocol::Request;
use tokio::time::Instant;

use super::*;
use crate::api::testing::Client;
use crate::{Broker, Config};

const DOCUMENTED: &str = include_str!("../../../../docs/FAULTS.md");

/// The TOML blocks of the documentation.
fn documented() -> Vec<&'static str> {
    let blocks = DOCUMENTED.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

#[test]
fn what_the_documentation_shows_is_a_script() {
    let blocks = documented();
    assert!(!blocks.is_empty());
    for block in blocks {
        let script = FaultScript::parse(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
        assert!(!script.is_empty());
    }
}

#[test]
fn the_documentation_names_all_that_can_be_refused() {
    for choice in refuse::choices() {
        assert!(DOCUMENTED.contains(&format!("`{choice}`")), "{choice} is missing");
    }
}

#[test]
fn what_can_not_be_in_a_script_is_refused_with_the_place_and_the_cure() {
    for (text, expected) in [
        ("[[request]]\napi = \"Nope\"\nnth = 1\ndrop = \"after\"", "`Nope` is no API"),
        ("[[request]]\napi = \"Fetch\"\nnth = 1\nerror = \"OOPS\"", "`OOPS` is no error"),
        (
            "[[request]]\napi = \"Metadata\"\nnth = 1\nerror = \"UNKNOWN_TOPIC_ID\"",
            "choose one of Produce",
        ),
        ("[[request]]\napi = \"Fetch\"\nnth = 0\ndrop = \"after\"", "counted from 1"),
        (
            "[[request]]\napi = \"Fetch\"\nnth = 1\nevery = 2\ndrop = \"after\"",
            "number 1: write either",
        ),
        ("[[request]]\napi = \"Fetch\"\nnth = 1", "write one of `error`"),
        ("[[request]]\napi = \"Fetch\"\nnth = 1\ndelay-ms = 0", "above 0"),
        ("[[rebalance]]\nevery-ms = 0", "above 0"),
        ("[[slow-partition]]\ntopic = \"t\"", "above 0"),
        ("[full-disk]\nnth = 1\nwrites = 1\nfor-ms = 1", "at most one of"),
        ("[full-disk]\nnth = 1\nwrites = 0", "above 0"),
        ("[[nope]]\nx = 1", "unknown field"),
    ] {
        let error = FaultScript::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn requests_are_counted_by_api() {
    let script = FaultScript::new()
        .on_request("Fetch", When::nth(2).unwrap(), Fault::DropBefore)
        .unwrap()
        .on_request("Fetch", When::every(3).unwrap(), Fault::Delay(Duration::from_secs(1)))
        .unwrap();
    let faults = Faults::new(script, Arc::default());
    let verdicts: Vec<_> = (0..6).map(|_| faults.on_request(ApiKey::Fetch)).collect();
    assert_eq!(faults.on_request(ApiKey::Produce), Verdict::default());
    assert_eq!(verdicts[1].fate, Fate::DropBefore);
    let delays: Vec<_> = verdicts.iter().map(|verdict| verdict.delay.as_secs()).collect();
    assert_eq!(delays, [0, 0, 1, 0, 0, 1]);
}

async fn broker(script: &str) -> Broker {
    let faults = FaultScript::parse(script).unwrap();
    Broker::start(Config { faults, ..Config::default() }).await.unwrap()
}

#[tokio::test]
async fn the_documented_script_runs_and_an_error_comes_at_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let faults = FaultScript::parse(documented()[0]).unwrap();
    let broker =
        Broker::start(Config { faults, ..Config::in_directory(dir.path()) }).await.unwrap();
    let mut client = Client::connect(&broker).await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(client.ask(ListGroupsRequest::default(), 4).await.error_code);
    }
    // The script's first fault: the third ListGroups.
    assert_eq!(codes, [0, 0, ResponseError::CoordinatorNotAvailable.code(), 0]);
    broker.stop().await;
}

#[tokio::test]
async fn a_connection_is_dropped_before_or_after_the_effect() {
    let broker = broker(
        "[[request]]\napi = \"Metadata\"\nnth = 1\ndrop = \"before\"\n\
         [[request]]\napi = \"Metadata\"\nnth = 3\ndrop = \"after\"",
    )
    .await;
    for is_dropped in [true, false, true, false] {
        let mut client = Client::connect(&broker).await;
        client.send(&MetadataRequest::default(), 12).await;
        assert_eq!(client.receive_bytes().await.is_none(), is_dropped);
    }
}

#[tokio::test]
async fn a_delayed_request_keeps_those_behind_it_waiting() {
    let broker = broker("[[request]]\napi = \"ListGroups\"\nnth = 1\ndelay-ms = 150").await;
    let mut client = Client::connect(&broker).await;
    let begun = Instant::now();
    client.send(&ListGroupsRequest::default(), 4).await;
    client.send(&MetadataRequest::default(), 12).await;
    client.receive::<ListGroupsRequest>(4).await;
    assert!(begun.elapsed() >= Duration::from_millis(150));
    client.receive::<MetadataRequest>(12).await;
}

#[tokio::test]
async fn a_disk_that_there_is_not_can_not_be_full() {
    let faults = FaultScript::parse("[full-disk]\nnth = 1").unwrap();
    let refused = Broker::start(Config { faults, ..Config::default() }).await.unwrap_err();
    assert!(refused.to_string().contains("give it a data directory"));
}

/// Each version of an API can be refused, and its answer says the error.
fn refusable<R: Request + Default>() -> usize
where
    R::Response: std::fmt::Debug,
{
    let key = ApiKey::try_from(R::KEY).unwrap();
    let served = &crate::api::registry()[&R::KEY].versions;
    let versions = (R::VERSIONS.min..=R::VERSIONS.max).filter(|version| served.contains(version));
    let mut refused = 0;
    for version in versions {
        let mut body = bytes::BytesMut::new();
        R::default().encode(&mut body, version).unwrap();
        let body: Bytes = body.freeze();
        refuse(key, &body, version, ResponseError::UnknownServerError).unwrap();
        refused += 1;
    }
    refused
}

#[test]
fn all_versions_can_be_refused() {
    use kafka_protocol::messages as m;
    let counts = [
        refusable::<m::ProduceRequest>(),
        refusable::<m::FetchRequest>(),
        refusable::<m::ListOffsetsRequest>(),
        refusable::<m::OffsetCommitRequest>(),
        refusable::<m::OffsetFetchRequest>(),
        refusable::<m::FindCoordinatorRequest>(),
        refusable::<m::JoinGroupRequest>(),
        refusable::<HeartbeatRequest>(),
        refusable::<m::LeaveGroupRequest>(),
        refusable::<m::SyncGroupRequest>(),
        refusable::<ListGroupsRequest>(),
        refusable::<m::CreateTopicsRequest>(),
        refusable::<m::DeleteTopicsRequest>(),
        refusable::<m::InitProducerIdRequest>(),
        refusable::<m::AddPartitionsToTxnRequest>(),
        refusable::<m::AddOffsetsToTxnRequest>(),
        refusable::<m::EndTxnRequest>(),
        refusable::<m::TxnOffsetCommitRequest>(),
        refusable::<m::CreatePartitionsRequest>(),
        refusable::<m::DescribeClusterRequest>(),
    ];
    assert_eq!(counts.len(), refuse::choices().len());
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}
