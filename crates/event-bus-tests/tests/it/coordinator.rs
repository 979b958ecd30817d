//! A group's coordinator that has moved or still loads, as it does for a while after a broker's start, or that is not
//! found for long.

use std::time::Duration;

use event_bus::KafkaConfig;
use event_bus::dead_letter::error_chain;
use event_bus::kafka::admin::Admin;
use event_bus_tests::eventually::eventually;
use event_bus_tests::process::Process;
use tempfile::NamedTempFile;

/// A broker with this script of faults, and where it is.
pub async fn broker_with(script: &str) -> (Process, String) {
    let faults = NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(faults.path(), script).expect("the script can be written");
    let path = faults.path().to_str().expect("the path is text");
    let mut broker =
        Process::start(&["broker", "--memory", "--listen", "127.0.0.1:0", "--faults", path]);
    let line = broker.line().await;
    let address = line.strip_prefix("Kafka protocol on ").expect("it tells where it is").to_owned();
    (broker, address)
}

pub async fn stop(broker: Process) {
    broker.signal("TERM").await;
    assert!(broker.ended().await.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_has_moved_or_still_loads_is_asked_again() {
    let script = ["NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS"]
        .iter()
        .zip(1..)
        .map(|(error, nth)| {
            format!("[[request]]\napi = \"OffsetFetch\"\nnth = {nth}\nerror = \"{error}\"\n")
        });
    let (broker, address) = broker_with(&script.collect::<String>()).await;

    // librdkafka ends the process here when its client has no consumer group.
    let admin = Admin::connect(&KafkaConfig::plain(address)).expect("a client can be made");
    let group = "corner-billing-order-placed".parse().expect("a group's name");
    let committed = admin.committed_offsets(&group).await.expect("the broker answers in the end");
    assert!(committed.is_empty(), "{committed:?}");
    stop(broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_is_found_too_late_ends_nobodys_process() {
    let (broker, address) = broker_with("").await;
    let admin = Admin::connect(&KafkaConfig::plain(address)).expect("a client can be made");
    let group = "corner-billing-order-placed".parse().expect("a group's name");
    broker.signal("STOP").await;
    let error = admin.committed_offsets(&group).await.expect_err("nobody answers in time");
    assert!(error_chain(&error).contains("OperationTimedOut"), "{error:?}");
    broker.signal("CONT").await;
    // The coordinator is found meanwhile. It would end this process if librdkafka had given the first request up.
    let look = async || admin.committed_offsets(&group).await;
    let committed = eventually(Duration::from_secs(60), look).await;
    assert!(committed.is_empty(), "{committed:?}");
    stop(broker).await;
}
