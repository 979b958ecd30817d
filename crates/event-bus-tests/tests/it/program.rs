//! The `event-bus` program as an operator uses it, on a small catalogue of its own in a folder of its own.

mod bakery;
mod usage;

use std::process::Output;

use event_bus_tests::kafka_tools;
use event_bus_tests::servers;
use serde_json::{Value, json};

use bakery::{Bakery, baked, errors, json_lines, lines, ordered};

/// A part of an event's JSON for each line that the program printed.
fn each(output: &Output, pointer: &str) -> Vec<Value> {
    let found = json_lines(output);
    found.iter().map(|line| line.pointer(pointer).cloned().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_line_is_named_by_its_number_and_pointers_and_the_others_are_published() {
    let bakery = Bakery::open().await;
    let input = lines(&[
        ordered("o-1", 2).to_string(),
        "{\"order_id\": ".to_owned(),
        String::new(),
        json!({ "order_id": "o-3", "loaves": 0, "lines": [{ "sku": 7 }] }).to_string(),
        bakery.envelope("north", &ordered("o-4", 4)).to_string(),
        bakery.envelope("south", &ordered("o-5", 5)).to_string(),
    ]);
    let output = bakery.run(&["publish", "LoafOrdered", "--tenant", "north"], &input).await;
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for wanted in [
        "line 2: ",
        "line 4: ",
        "  /loaves: ",
        "  /lines/0/sku: ",
        "line 6: ",
        "south",
        "2 published, 3 not",
    ] {
        assert!(said.contains(wanted), "{wanted:?} is not in: {said}");
    }
    for unwanted in ["line 1:", "line 3:", "line 5:"] {
        assert!(!said.contains(unwanted), "{unwanted:?} is in: {said}");
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<&str> = printed.lines().filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(numbers, ["line 1", "line 5"], "{printed}");
    assert!(printed.lines().all(|line| line.contains("partition 0  offset ")), "{printed}");

    let output = bakery.read("LoafOrdered", &[]).await;
    assert_eq!(each(&output, "/payload/order_id"), ["o-1", "o-4"]);
    assert_eq!(each(&output, "/tenant_id"), ["north", "north"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_publishing_stops_at_the_first_bad_line() {
    let bakery = Bakery::open().await;
    let input = lines(&[
        ordered("o-1", 1).to_string(),
        ordered("o-2", 0).to_string(),
        ordered("o-3", 3).to_string(),
    ]);
    let arguments = ["publish", "LoafOrdered", "--tenant", "north", "--strict", "--output", "json"];
    let output = bakery.run(&arguments, &input).await;
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert_eq!(each(&output, "/line"), [1, 2]);
    assert_eq!(each(&output, "/violations/0/pointer"), [Value::Null, "/loaves".into()]);
    assert_eq!(each(&bakery.read("LoafOrdered", &[]).await, "/payload/order_id"), ["o-1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_chooses_by_tenant_and_key_and_stops_after_enough() {
    let bakery = Bakery::open().await;
    let orders = [("north", "o-1"), ("south", "o-2"), ("north", "o-3"), ("north", "o-1")];
    let orders = orders.map(|(tenant, id)| bakery.envelope(tenant, &ordered(id, 1)).to_string());
    bakery.published("LoafOrdered", &orders).await;

    let all = bakery.read("LoafOrdered", &[]).await;
    assert_eq!(each(&all, "/offset"), [0, 1, 2, 3]);
    assert_eq!(each(&all, "/event"), ["LoafOrdered"; 4]);
    // Reading to the end is no news, so nothing is said about it.
    assert_eq!(errors(&all), "");
    let of_tenant = bakery.read("LoafOrdered", &["--tenant", "south"]).await;
    assert_eq!(each(&of_tenant, "/offset"), [1]);
    let of_key = bakery.read("LoafOrdered", &["--key", "north/o-1"]).await;
    assert_eq!(each(&of_key, "/offset"), [0, 3]);
    let first = bakery.read("LoafOrdered", &["--tenant", "north", "--max", "2"]).await;
    assert_eq!(each(&first, "/offset"), [0, 2]);

    let topic = bakery.name("loaf.ordered");
    let readable = bakery.run(&["tail", &topic, "--from", "beginning", "--max", "1"], "").await;
    let line = String::from_utf8_lossy(&readable.stdout);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains(&format!("{topic}[0]@0  north/o-1  LoafOrdered 1.0")), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tracing_an_order_shows_its_events_of_all_topics_in_time_order() {
    let bakery = Bakery::open().await;
    let order = |id| [bakery.envelope("north", &ordered(id, 1)).to_string()];
    bakery.published("LoafOrdered", &order("o-1")).await;
    bakery
        .published("LoafBaked", &[bakery.envelope_baked("north", &baked("o-1")).to_string()])
        .await;
    bakery.published("LoafOrdered", &order("o-10")).await;
    bakery.published("LoafOrdered", &order("o-1")).await;

    let output = bakery.run(&["trace", "o-1", "--output", "json"], "").await;
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(each(&output, "/event"), ["LoafOrdered", "LoafBaked", "LoafOrdered"]);
    assert_eq!(errors(&output), "");
    let times = each(&output, "/timestamp");
    assert!(times.is_sorted_by_key(|time| time.as_str()), "{times:?}");
    // An event is found by its own id too.
    let id = each(&output, "/event_id")[1].as_str().expect("an event has an id").to_owned();
    let output = bakery.run(&["trace", &id, "--output", "json"], "").await;
    assert_eq!(each(&output, "/event"), ["LoafBaked"]);

    let output = bakery.run(&["trace", "o-2"], "").await;
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(errors(&output).contains("no event carries o-2"), "{}", errors(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_planned_then_applied_and_then_there_is_nothing_to_do() {
    let bakery = Bakery::new();
    let planned = bakery.run(&["topics", "plan"], "").await;
    let plan = String::from_utf8_lossy(&planned.stdout);
    assert_eq!(planned.status.code(), Some(3), "{plan}{}", errors(&planned));
    let topics = [
        "loaf.ordered",
        "loaf.ordered.dlq",
        "loaf.baked",
        "loaf.baked.dlq",
        "event-bus.outcomes",
        "event-bus.audit",
        "event-bus.commands",
    ];
    for topic in topics {
        assert!(
            plan.contains(&format!("create {} with 1 partition", bakery.name(topic))),
            "{plan}"
        );
    }
    let applied = bakery.run(&["topics", "apply"], "").await;
    let said = String::from_utf8_lossy(&applied.stdout);
    assert!(applied.status.success() && said.contains("7 done, 0 failed, 0 refused"), "{said}");
    let planned = bakery.run(&["topics", "plan"], "").await;
    assert_eq!(planned.status.code(), Some(0), "{planned:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyed_topic_gets_more_partitions_only_when_reordering_is_accepted() {
    let bakery = Bakery::open().await;
    bakery.write_catalogue(3);
    let refused = bakery.run(&["topics", "apply"], "").await;
    let said = String::from_utf8_lossy(&refused.stdout);
    assert_eq!(refused.status.code(), Some(3), "{said}{}", errors(&refused));
    assert!(said.contains("refused: ") && said.contains("--accept-reorder"), "{said}");
    assert_eq!(bakery.partitions("loaf.ordered").await, 1);

    let grown = bakery.run(&["topics", "apply", "--accept-reorder"], "").await;
    assert!(grown.status.success(), "{grown:?}");
    assert_eq!(bakery.partitions("loaf.ordered").await, 3);
    let planned = bakery.run(&["topics", "plan"], "").await;
    assert_eq!(planned.status.code(), Some(0), "{planned:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_is_counted_from_what_a_group_committed() {
    let bakery = Bakery::open().await;
    let orders =
        ["o-1", "o-2", "o-3"].map(|id| bakery.envelope("north", &ordered(id, 1)).to_string());
    bakery.published("LoafOrdered", &orders).await;
    let group = bakery.name("oven-loaf-ordered").replace('.', "-").parse().expect("a group's name");
    let topic = bakery.name("loaf.ordered").parse().expect("a topic's name");
    kafka_tools::reset_offsets(&group, &topic, &["--to-offset", "1"]).await;

    let output = bakery.run(&["groups", "lag", "--output", "json", group.as_str()], "").await;
    let lags: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    assert_eq!(lags.as_array().map(Vec::len), Some(1), "{lags}");
    for (pointer, wanted) in [
        ("/0/group", json!(group.as_str())),
        ("/0/topic", json!(topic.as_str())),
        ("/0/lag", json!(2)),
        ("/0/partitions/0/committed", json!(1)),
        ("/0/partitions/0/log_end", json!(3)),
        ("/0/partitions/0/lag", json!(2)),
    ] {
        assert_eq!(lags.pointer(pointer), Some(&wanted), "{pointer} in {lags}");
    }
    let unknown = bakery.run(&["groups", "lag", "nobody"], "").await;
    assert_eq!(unknown.status.code(), Some(2), "{}", errors(&unknown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_property_that_cannot_be_is_refused_by_its_name() {
    let bakery = Bakery::new();
    for (property, wanted) in [
        ("no.such.property=1", "no.such.property"),
        ("socket.timeout.ms=soon", "socket.timeout.ms"),
        ("acks=1", "may lose an event"),
        ("group.instance.id=bakery-0", "--instance"),
    ] {
        let output = bakery.run(&["--kafka", property, "topics", "plan"], "").await;
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(wanted) && said.lines().count() == 1, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_that_does_not_answer_is_told_with_its_address() {
    let bakery = Bakery::new();
    // Nothing listens on port 1; and the test's Kafka does not speak TLS, which only the client property asks for. It
    // ends the connection, which the client hears of during its handshake or as the failure of that.
    let gone = ["--bootstrap", "127.0.0.1:1", "topics", "plan"];
    let tls = ["--kafka", "security.protocol=ssl", "groups", "list"];
    let (gone, tls) = tokio::join!(bakery.run(&gone, ""), bakery.run(&tls, ""));
    let own = servers::bootstrap();
    for (output, address, reason) in
        [(gone, "127.0.0.1:1", "Connection refused"), (tls, &*own, "SSL ")]
    {
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("event-bus: Kafka at {address} did not ")), "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configuration_file_in_the_working_directory_counts_unless_an_option_says_otherwise() {
    let bakery = Bakery::new();
    let show = ["catalogue", "show", "--output", "json"];
    let catalogue = |output: &Output| -> Value {
        serde_json::from_slice(&output.stdout).expect("it prints JSON")
    };
    let from_file = catalogue(&bakery.run(&show, "").await);
    assert_eq!(from_file["namespace"], json!(bakery.namespace()));
    assert_eq!(from_file["events"][0]["topic"], json!(bakery.name("loaf.ordered")));
    let other = [&show[..], &["--namespace", "elsewhere"]].concat();
    assert_eq!(catalogue(&bakery.run(&other, "").await)["namespace"], "elsewhere");

    bakery.write("event-bus.toml", "bootsrap = \"kafka:9092\"");
    let output = bakery.run(&show, "").await;
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("event-bus.toml") && said.contains("bootsrap"), "{said}");
}
