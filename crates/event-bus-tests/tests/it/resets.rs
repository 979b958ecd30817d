//! An operator moves a group's committed offsets, as Kafka's own tool would, and nothing takes effect twice for it.

use std::time::Duration;

use event_bus::audit::{Action, Deed};
use event_bus::kafka::admin::{Admin, TopicPartition};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{committed, everything_in};
use event_bus_tests::kafka_tools;

use crate::workshop::{CONSUMERS, Workshop};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_is_what_kafkas_own_tool_makes_of_it() {
    let workshop = Workshop::open(2, "").await;
    workshop.publish_junk(40).await;
    let topic = workshop.topic();
    let records = everything_in(std::slice::from_ref(&topic)).await;
    let middle = jiff::Timestamp::from_millisecond(records[20].timestamp_ms).expect("a time");
    let (ours, theirs) = (workshop.group(CONSUMERS[0]), workshop.group(CONSUMERS[1]));
    let time = middle.to_string();
    let cases: [(&str, &[&str]); 8] = [
        ("latest", &["--to-latest"]),
        ("-3", &["--shift-by", "-3"]),
        ("-100", &["--shift-by", "-100"]),
        ("5", &["--to-offset", "5"]),
        ("5000", &["--to-offset", "5000"]),
        (&time, &["--to-datetime", &time]),
        ("2100-01-01T00:00:00Z", &["--to-datetime", "2100-01-01T00:00:00.000Z"]),
        ("earliest", &["--to-earliest"]),
    ];
    for (to, arguments) in cases {
        let shown = workshop.json(&["groups", "reset", ours.as_str(), "--to", to]).await.remove(0);
        kafka_tools::reset_offsets(&theirs, &topic, arguments).await;
        let now = committed(&ours).await;
        assert_eq!(now, committed(&theirs).await, "{to}: {shown}");
        for moved in shown["moves"].as_array().expect("they are shown") {
            let partition =
                moved["partition"].as_i64().and_then(|number| i32::try_from(number).ok());
            let partition = partition.expect("it is a partition");
            assert_eq!(moved["to"].as_i64(), now.get(&partition).copied(), "{to}");
        }
    }
    let one =
        ["groups", "reset", ours.as_str(), "--to", "7", "--partition", "1", "--reason", "why not"];
    workshop.json(&one).await;
    let now = committed(&ours).await;
    assert_eq!((now[&0], now[&1]), (0, 7));
    let would =
        workshop.json(&["groups", "reset", ours.as_str(), "--to", "latest", "--dry-run"]).await;
    assert_eq!(
        (would[0]["done"].as_bool(), would[0]["moves"][1]["from"].as_i64()),
        (Some(false), Some(7))
    );
    assert_eq!(committed(&ours).await, now);

    let deeds = everything_in(&[workshop.catalogue.audit_topic()]).await;
    let last = deeds.last().and_then(|record| record.value.as_deref()).expect("resets are audited");
    let last: Deed = serde_json::from_slice(last).expect("a deed");
    assert_eq!(
        (last.action, last.reason.as_deref(), last.moves.len()),
        (Action::Reset, Some("why not"), 1)
    );
    assert_eq!((last.moves[0].from, last.moves[0].to), (Some(0), 7));
    assert_eq!(deeds.len(), cases.len() + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_with_members_refuses_and_a_reset_one_repeats_no_effect() {
    let databases = Databases::sqlite();
    let workshop = Workshop::open(1, "").await;
    workshop.publish(20, None).await;
    let services = workshop.start(&databases).await;
    workshop.is_through().await;
    let packing = workshop.group("packing");
    let reset = ["groups", "reset", packing.as_str(), "--to", "earliest"];
    let refused = workshop.program(&reset).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("stop its service"), "{said}");
    // Who joins behind our back is not overtaken either.
    let admin = Admin::connect(&workshop.kafka).expect("one can be made");
    let topic = workshop.topic();
    let place = TopicPartition { topic, partition: 0 };
    assert!(admin.commit_offsets(&packing, &[(place, 0)].into()).await.is_err());
    services.stop().await;
    assert_eq!(committed(&packing).await[&0], 20);
    let calls = workshop.calls();
    eventually(SOON, async || match workshop.program(&reset).await {
        output if output.status.success() => Ok(()),
        output => Err(output),
    })
    .await;
    let services = workshop.start(&databases).await;
    eventually(SOON, async || equal(committed(&packing).await[&0], 20)).await;
    services.stop().await;
    assert_eq!(workshop.calls(), calls, "a handler ran again");
    assert_eq!(databases.number("packing", "SELECT count(*) FROM works").await, 20);
    databases.drop_all().await;
}

/// A running service leaves its group for a reset and comes back, tries a range, and runs it again: all as it is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_service_is_asked_on_the_command_line() {
    let databases = Databases::sqlite();
    let workshop = Workshop::open(2, "").await;
    workshop.publish(20, None).await;
    let services = workshop.start(&databases).await;
    workshop.is_through().await;
    let packing = workshop.group("packing");
    let before = workshop.calls();
    let asked = ["groups", "reset", packing.as_str(), "--to", "earliest", "--coordinate"];
    let moved = workshop.json(&asked).await.remove(0);
    assert_eq!(moved["done"], true, "{moved}");
    workshop.is_through().await;
    assert_eq!(workshop.calls(), before, "what took effect ran again");

    let replay = |more: &[&'static str]| {
        let asked = ["replay", "PieceCut", "--into", packing.as_str(), "--from", "earliest"];
        let asked = asked.iter().chain(more).map(ToString::to_string);
        asked.collect::<Vec<_>>()
    };
    let run = async |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        workshop.program(&arguments).await
    };
    let arguments = replay(&["--mode", "dry-run", "--output", "json"]);
    let told = run(arguments).await;
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("it is JSON");
    let dry = &told["dry_run"];
    assert_eq!((dry["events"].as_u64(), dry["known"].as_u64()), (Some(20), Some(20)), "{told}");
    assert_eq!(databases.number("packing", "SELECT count(*) FROM works").await, 20);

    let done = run(replay(&["--mode", "reprocess", "--reason", "a test"])).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let works = async || databases.number("packing", "SELECT count(*) FROM works").await;
    eventually(SOON, async || equal(works().await, 40)).await;
    workshop.is_through().await;
    services.stop().await;
    let mut calls = before;
    *calls.get_mut("packing").expect("it was called") += 40;
    assert_eq!(workshop.calls(), calls);

    // Nobody is there any more, and what can't be meant is refused.
    for (arguments, code, why) in [
        (replay(&["--mode", "dry-run"]), 1, "no running service"),
        (replay(&["--mode", "reprocess"]), 2, "--store"),
        (replay(&["--emit"]), 2, "--emit is for"),
    ] {
        let refused = run(arguments).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(code) && said.contains(why), "{said}");
    }
    let deeds = everything_in(&[workshop.catalogue.audit_topic()]).await;
    let last = deeds.last().and_then(|record| record.value.as_deref()).expect("it is audited");
    let last: Deed = serde_json::from_slice(last).expect("a deed");
    assert_eq!(last.reason.as_deref(), Some("reprocess: a test"));
    databases.drop_all().await;
}
