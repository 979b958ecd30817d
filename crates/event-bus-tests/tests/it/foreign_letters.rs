//! Dead letters of other frameworks are found, and go back as what they were. What the frameworks wrote is in the library's
//! `fixtures/foreign`.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use event_bus::audit::{Action, Deed};
use event_bus::headers::Header;
use event_bus::kafka::Record;
use event_bus::kafka::admin::{Admin, NewTopic};
use event_bus::names::TopicName;
use event_bus_tests::kafka::{everything_in, raw, send_all};
use event_bus_tests::servers;
use serde_json::{Value, json};

use crate::workshop::Workshop;

/// A dead letter that a framework wrote.
struct Fixture {
    family: Value,
    says: Value,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<Header>,
    /// Those that are not the framework's.
    remaining: Vec<Header>,
}

fn fixtures() -> BTreeMap<String, Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../event-bus/fixtures/foreign");
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let fixtures = files.map(|file| {
        let path = file.expect("it is there").path();
        let text = std::fs::read(&path).expect("it can be read");
        let mut value: Value = serde_json::from_slice(&text).expect("it is JSON");
        let fixture = Fixture {
            key: bytes(&value["key"]),
            value: bytes(&value["value"]),
            headers: headers(&value["headers"]),
            remaining: headers(&value["remaining"]),
            family: value["family"].take(),
            says: value["says"].take(),
        };
        (path.file_stem().expect("it has a name").to_string_lossy().into_owned(), fixture)
    });
    fixtures.collect()
}

fn headers(value: &Value) -> Vec<Header> {
    let header = |pair: &Value| Header {
        name: pair[0].as_str().expect("a name").to_owned().into(),
        value: bytes(&pair[1]),
    };
    value.as_array().expect("a list").iter().map(header).collect()
}

/// Text as text, other bytes in hexadecimal.
fn bytes(value: &Value) -> Option<Bytes> {
    let byte = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok()?;
        u8::from_str_radix(digits, 16).ok()
    };
    match value.get("hex").and_then(Value::as_str) {
        Some(hex) => hex.as_bytes().chunks(2).map(byte).collect(),
        None => value.as_str().map(|text| Bytes::from(text.to_owned())),
    }
}

/// A topic of one partition, or more, that no catalogue knows.
async fn topic(workshop: &Workshop, name: &str) -> TopicName {
    let name = format!("{}.{name}", workshop.catalogue.namespace());
    let name: TopicName = name.parse().expect("it is a name");
    let new =
        NewTopic { name: name.clone(), partitions: 1, replication: 1, configs: BTreeMap::new() };
    let admin = Admin::connect(&servers::kafka()).expect("an admin client can be made");
    let created = admin.create_topics(&[new]).await.expect("Kafka answers");
    created.into_iter().for_each(|(_, outcome)| outcome.expect("it is made"));
    name
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What was decided, of one kind.
async fn deeds(workshop: &Workshop) -> Vec<Deed> {
    let records = everything_in(&[workshop.catalogue.audit_topic()]).await;
    let deeds = records.iter().map(|record| {
        serde_json::from_slice::<Deed>(record.value.as_deref().expect("a value")).expect("a deed")
    });
    deeds.filter(|deed| deed.action == Action::Redrive).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_each_framework_wrote_is_listed_and_redriven_byte_for_byte() {
    let workshop = Workshop::open(2, "").await;
    let (dead, orders) = (topic(&workshop, "dead").await, topic(&workshop, "orders").await);
    let fixtures = fixtures();
    let letters = fixtures.values().map(|fixture| {
        let Fixture { key, value, headers, .. } = fixture;
        raw(&dead, key.as_deref(), value.as_deref(), headers.clone())
    });
    send_all(letters.collect()).await;

    let listed = workshop.json(&["dlq", "foreign", "list", dead.as_str()]).await;
    assert_eq!(listed.len(), fixtures.len());
    for (offset, (name, fixture)) in fixtures.iter().enumerate() {
        let letter = listed.iter().find(|letter| letter["dead_letter_offset"] == json!(offset));
        let letter = letter.expect("it is listed");
        assert_eq!(letter["family"], fixture.family, "{name}");
        for (field, said) in fixture.says.as_object().expect("it says something") {
            // Connect's tells no time but its record's own, which here is another one.
            if !(name == "kafka-connect" && field == "timestamp") {
                assert_eq!(&letter[field], said, "{name}: {field}");
            }
        }
    }
    let one =
        ["dlq", "foreign", "list", dead.as_str(), "--family", "spring-kafka", "--text", "17 PENCE"];
    assert_eq!(workshop.json(&one).await.len(), 3);
    let shown = text(&workshop.program(&one).await.stdout);
    assert!(shown.contains("spring-retry/1/2") && shown.contains("payment-retry"), "{shown}");

    let all = ["dlq", "foreign", "redrive", dead.as_str(), "--all", "--to", orders.as_str()];
    let would = workshop.json(&[&all[..], &["--dry-run"]].concat()).await.remove(0);
    assert_eq!(would["would_redrive"], json!(fixtures.len() - 1));
    assert_eq!(everything_in(std::slice::from_ref(&orders)).await, []);
    let output = workshop.program(&[&all[..], &["--reason", "mended"]].concat()).await;
    let (said, why) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "one of them is left out: {said}{why}");
    assert!(said.contains(&format!("{} redriven", fixtures.len() - 1)), "{said}");
    assert!(why.contains("1 left out") && why.contains("copy.record.enable"), "{why}");

    let sent = fixtures.iter().filter(|(name, _)| !name.ends_with("uncopied"));
    let records = everything_in(std::slice::from_ref(&orders)).await;
    assert_eq!(records.len(), fixtures.len() - 1);
    for (record, (name, fixture)) in records.iter().zip(sent) {
        assert_eq!((&record.key, &record.value), (&fixture.key, &fixture.value), "{name}");
        assert_eq!(record.headers, fixture.remaining, "{name}");
    }
    let deeds = deeds(&workshop).await;
    let [deed] = &deeds[..] else { panic!("{deeds:?}") };
    assert_eq!((deed.by.as_str(), deed.reason.as_deref()), ("tests", Some("mended")));
    let [place] = &deed.redriven[..] else { panic!("{deed:?}") };
    assert_eq!((&place.topic, place.partition, &place.to), (&dead, 0, &orders));
    assert_eq!(place.offsets.len(), fixtures.len() - 1);
    // Nobody takes it for a decision about the bus's own.
    assert_eq!(workshop.letters().await.foreign(), [] as [String; 0]);
}

/// Spring's dead letter of this record, had it come from there.
fn springs(of: &Record, topic: &TopicName, partition: i32, value: &[u8]) -> Vec<Header> {
    let header = |name: &'static str, value: &[u8]| Header {
        name: name.into(),
        value: Some(Bytes::copy_from_slice(value)),
    };
    let added = [
        header("kafka_dlt-exception-message", value),
        header("kafka_dlt-original-topic", topic.as_str().as_bytes()),
        header("kafka_dlt-original-partition", &partition.to_be_bytes()),
        header("kafka_dlt-original-offset", &7_i64.to_be_bytes()),
    ];
    of.headers.iter().cloned().chain(added).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_goes_back_to_its_partition_and_what_is_none_does_not() {
    let workshop = Workshop::open(2, "").await;
    let (dead, home) = (topic(&workshop, "spring-dlt").await, workshop.topic());
    workshop.publish(1, None).await;
    let event = everything_in(std::slice::from_ref(&home)).await.remove(0);
    // The other one, so that no partitioner is behind it.
    let partition = 1 - event.partition;
    let good = springs(&event, &home, partition, b"good");
    let junk = springs(&event, &home, partition, b"junk");
    let (key, value) = (event.key.as_deref(), event.value.as_deref());
    let lost: TopicName = format!("{dead}.lost").parse().expect("a name");
    let mut letters = vec![
        raw(&dead, key, value, good),
        raw(&dead, key, Some(b"{"), junk),
        raw(&dead, key, value, springs(&event, &lost, 0, b"lost")),
    ];
    letters.extend((0..101).map(|_| raw(&dead, key, value, event.headers.clone())));
    send_all(letters).await;

    let refused = async |arguments: &[&str], code: i32, why: &str| {
        let redrive = ["dlq", "foreign", "redrive", dead.as_str()];
        let output = workshop.program(&[&redrive[..], arguments].concat()).await;
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(why), "{why}: {output:?}");
    };
    let (nowhere, own) = (format!("{home}.nowhere"), home.dead_letter());
    refused(&[], 2, "which dead letters").await;
    refused(&["--text", "junk"], 1, "at offset 1 of partition 0").await;
    refused(&["--text", "junk"], 1, &format!("would be dead on {home} at once")).await;
    refused(&["--text", "lost"], 1, &format!("topic {lost} does not exist")).await;
    refused(&["--text", "good", "--to", &nowhere], 1, "does not exist").await;
    refused(&["--text", "good", "--to", own.as_str()], 1, "the bus's own").await;
    refused(&["--family", "unknown"], 1, "name one with --to").await;
    refused(&["--family", "unknown", "--to", home.as_str()], 2, "--yes").await;
    assert_eq!(everything_in(std::slice::from_ref(&home)).await.len(), 1);

    let one = ["dlq", "foreign", "redrive", dead.as_str(), "--partition", "0", "--offset", "0"];
    assert_eq!(workshop.json(&one).await[0]["redriven"], json!(1));
    let mut records = everything_in(std::slice::from_ref(&home)).await;
    records.retain(|record| record.partition == partition);
    let [back] = &records[..] else { panic!("{records:?}") };
    let parts =
        |record: &Record| (record.key.clone(), record.value.clone(), record.headers.clone());
    assert_eq!(parts(back), parts(&event));

    // Also where somebody else wrote to a topic for the bus's own.
    send_all(vec![raw(&own, key, value, Vec::new())]).await;
    let output = workshop.program(&["dlq", "list"]).await;
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("dlq foreign list"), "{said}");
    assert_eq!(workshop.json(&["dlq", "foreign", "list", own.as_str()]).await.len(), 1);
}
