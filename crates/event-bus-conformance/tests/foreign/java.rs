//! Apache Kafka's own command-line tools, each in a Java of its own.

use std::collections::BTreeSet;
use std::io::Write;

use event_bus_conformance::program::{Members, run, variable};
use event_bus_conformance::subject::{bootstrap, unique};
use tempfile::NamedTempFile;
use tokio::process::Command;

const RECORDS: usize = 300;

fn java(class: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    command.args(["-cp", &variable("EVENT_BUS_TEST_KAFKA_TOOLS"), class]);
    command.args(["--bootstrap-server", &bootstrap()]).args(arguments);
    command
}

async fn topics(arguments: &[&str]) -> String {
    run(java("org.apache.kafka.tools.TopicCommand", arguments), "").await
}

async fn groups(arguments: &[&str]) -> String {
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    run(java(class, arguments), "").await
}

async fn configs(arguments: &[&str]) -> String {
    run(java("kafka.admin.ConfigCommand", arguments), "").await
}

/// The ends of a topic's partitions, `-2` for the earliest and `-1` for the latest, summed.
async fn offsets(topic: &str, time: &str) -> usize {
    let class = "org.apache.kafka.tools.GetOffsetShell";
    let said = run(java(class, &["--topic", topic, "--time", time]), "").await;
    let ends = said
        .lines()
        .filter_map(|line| line.strip_prefix(topic)?.rsplit_once(':')?.1.parse::<usize>().ok());
    ends.sum()
}

fn consumer(topic: &str, group: &str, more: &[&str]) -> Command {
    let mut command = java(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        &["--topic", topic, "--group", group, "--from-beginning"],
    );
    command.args(more);
    command
}

async fn produce(topic: &str) -> BTreeSet<String> {
    let values: BTreeSet<_> = (0..RECORDS).map(|number| format!("value-{number}")).collect();
    let lines: Vec<_> = values.iter().map(|value| format!("{value}:{value}")).collect();
    let mut producer = java(
        "org.apache.kafka.tools.ConsoleProducer",
        &["--topic", topic, "--compression-codec", "zstd", "--reader-property", "parse.key=true"],
    );
    producer.args(["--reader-property", "key.separator=:", "--command-property", "acks=all"]);
    run(producer, &(lines.join("\n") + "\n")).await;
    values
}

async fn consume_commit_and_reset(topic: &str, group: &str) {
    let commands = (0..3).map(|_| consumer(topic, group, &[])).collect();
    let mut members = Members::start(group, commands).await;
    let sent = produce(topic).await;
    let read = members.printed(RECORDS).await;
    let described = groups(&["--describe", "--group", group, "--members"]).await;
    assert_eq!(described.lines().filter(|line| line.starts_with(group)).count(), 3, "{described}");
    members.stop().await;
    assert_eq!(read.len(), RECORDS, "records were read twice");
    assert_eq!(BTreeSet::from_iter(read), sent);

    let described = groups(&["--describe", "--group", group]).await;
    let lags = described.lines().filter(|line| line.starts_with(group));
    let lags: Vec<_> = lags.filter_map(|line| line.split_whitespace().nth(5)).collect();
    assert_eq!(lags, ["0"; 6], "everything is committed: {described}");
    let reset =
        ["--reset-offsets", "--to-earliest", "--execute", "--group", group, "--topic", topic];
    let reset = groups(&reset).await;
    assert_eq!(reset.lines().filter(|line| line.starts_with(group)).count(), 6, "{reset}");
    let count = RECORDS.to_string();
    let again = run(consumer(topic, group, &["--max-messages", &count]), "").await;
    let again: BTreeSet<_> = again.lines().map(str::to_owned).collect();
    assert!(again.is_superset(&sent), "not everything is read again");
}

async fn describe_and_change(topic: &str) {
    let described = topics(&["--describe", "--topic", topic]).await;
    assert!(described.contains("PartitionCount: 6"), "{described}");
    assert!(described.contains("retention.ms=3600000"), "{described}");
    let entity = ["--entity-type", "topics", "--entity-name", topic];
    let change = [&["--alter", "--add-config", "retention.ms=7200000"][..], &entity[..]].concat();
    configs(&change).await;
    let described = configs(&[&["--describe"][..], &entity[..]].concat()).await;
    assert!(described.contains("retention.ms=7200000"), "{described}");
    topics(&["--alter", "--topic", topic, "--partitions", "7"]).await;
    let described = topics(&["--describe", "--topic", topic]).await;
    assert!(described.contains("PartitionCount: 7"), "{described}");
    let dirs =
        java("org.apache.kafka.tools.LogDirsCommand", &["--describe", "--topic-list", topic]);
    let described = run(dirs, "").await;
    assert!(described.contains(&format!("{topic}-0")), "{described}");
}

async fn delete(topic: &str, group: &str) {
    let end = offsets(topic, "-1").await;
    assert_eq!(end, RECORDS);
    let partitions: Vec<_> = (0..6)
        .map(|index| format!(r#"{{"topic":"{topic}","partition":{index},"offset":-1}}"#))
        .collect();
    let json = format!(r#"{{"partitions":[{}],"version":1}}"#, partitions.join(","));
    let mut file = NamedTempFile::new().expect("a temporary file can be made");
    file.write_all(json.as_bytes()).expect("it can be written");
    let path = file.path().display().to_string();
    let class = "org.apache.kafka.tools.DeleteRecordsCommand";
    run(java(class, &["--offset-json-file", &path]), "").await;
    assert_eq!(offsets(topic, "-2").await, end, "all records are deleted");
    let deleted = groups(&["--delete", "--group", group]).await;
    assert!(deleted.contains("successful"), "{deleted}");
    let listed = groups(&["--list"]).await;
    assert!(!listed.contains(group), "{listed}");
    topics(&["--delete", "--topic", topic]).await;
    let listed = topics(&["--list"]).await;
    assert!(!listed.contains(topic), "{listed}");
}

#[tokio::test]
async fn kafkas_own_tools_do_it_all() {
    let (topic, group) = (unique("java"), unique("java-group"));
    let create = ["--create", "--topic", &topic, "--partitions", "6", "--replication-factor", "1"];
    topics(&[&create[..], &["--config", "retention.ms=3600000"]].concat()).await;
    consume_commit_and_reset(&topic, &group).await;
    describe_and_change(&topic).await;
    delete(&topic, &group).await;
}
