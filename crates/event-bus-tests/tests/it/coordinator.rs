//! A group's coordinator that has moved or still loads, as it does for a while after a broker's start.

use event_bus::KafkaConfig;
use event_bus::kafka::admin::Admin;
use event_bus_tests::process::Process;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_has_moved_or_still_loads_is_asked_again() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let faults = dir.path().join("faults.toml");
    let script = ["NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS"]
        .iter()
        .zip(1..)
        .map(|(error, nth)| {
            format!("[[request]]\napi = \"OffsetFetch\"\nnth = {nth}\nerror = \"{error}\"\n")
        });
    std::fs::write(&faults, script.collect::<String>()).expect("the script can be written");
    let faults = faults.to_str().expect("the path is text");
    let mut broker =
        Process::start(&["broker", "--memory", "--listen", "127.0.0.1:0", "--faults", faults]);
    let line = broker.line().await;
    let address = line.strip_prefix("Kafka protocol on ").expect("it tells where it is");

    // librdkafka ends the process here when its client has no consumer group.
    let admin = Admin::connect(&KafkaConfig::plain(address)).expect("a client can be made");
    let group = "corner-billing-order-placed".parse().expect("a group's name");
    let committed = admin.committed_offsets(&group).await.expect("the broker answers in the end");
    assert!(committed.is_empty(), "{committed:?}");
    broker.signal("TERM").await;
    assert!(broker.ended().await.status.success());
}
