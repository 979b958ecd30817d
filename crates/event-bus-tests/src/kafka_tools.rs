//! Kafka's own command-line tools, which know nothing of the bus.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use event_bus::kafka::admin::Admin;
use event_bus::names::{GroupName, TopicName};
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

use crate::eventually::{equal, eventually};
use crate::{kafka, servers};

const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const SHARE_CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleShareConsumer";
const DELETE_RECORDS: &str = "org.apache.kafka.tools.DeleteRecordsCommand";

/// How long a member may take to leave.
const LEAVES_WITHIN: Duration = Duration::from_secs(20);

/// Runs a tool and gives what it printed.
///
/// # Panics
/// When it can't be started or fails.
pub async fn run(class: &str, arguments: &[&str]) -> String {
    run_at(&servers::bootstrap(), class, arguments).await
}

/// As [`run`], for another broker.
///
/// # Panics
/// As [`run`].
pub async fn run_at(bootstrap: &str, class: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("java");
    command.args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", &servers::kafka_tools(), class]);
    command.args(["--bootstrap-server", bootstrap]).args(arguments).kill_on_drop(true);
    let output = command.output().await.expect("java can be started");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{class} {arguments:?} failed: {text}");
    text
}

/// A member of a share group (KIP-932), which runs until it is dropped.
///
/// # Panics
/// When java can't be started.
pub fn share_consumer(group: &str, topic: &TopicName) -> Child {
    let mut command = Command::new("java");
    command.args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", &servers::kafka_tools()]);
    command.args([SHARE_CONSUMER, "--bootstrap-server", &servers::bootstrap()]);
    command.args(["--group", group, "--topic", topic.as_str()]).kill_on_drop(true);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("java can be started")
}

/// Moves a group to the earliest records, or to an offset, once all its members have left.
///
/// # Panics
/// When the tool refuses.
pub async fn reset_offsets(group: &GroupName, topic: &TopicName, to: &[&str]) {
    eventually(LEAVES_WITHIN, async || match kafka::members(group).await {
        members if members.is_empty() => Ok(()),
        members => Err(members),
    })
    .await;
    let mut arguments =
        vec!["--group", group.as_str(), "--topic", topic.as_str(), "--reset-offsets", "--execute"];
    arguments.extend(to);
    let text = run(GROUPS, &arguments).await;
    // The tool says that it refused and ends well all the same.
    assert!(text.contains("NEW-OFFSET"), "{text}");
}

/// Moves a group to the earliest records.
///
/// # Panics
/// As [`reset_offsets`].
pub async fn reset_to_earliest(group: &GroupName, topic: &TopicName) {
    reset_offsets(group, topic, &["--to-earliest"]).await;
}

/// Moves groups without members to the earliest records of all their topics.
///
/// # Panics
/// When the tool refuses one.
pub async fn reset_groups_to_earliest(groups: &[GroupName]) {
    let mut arguments = vec!["--reset-offsets", "--execute", "--all-topics", "--to-earliest"];
    for group in groups {
        arguments.extend(["--group", group.as_str()]);
    }
    let text = run(GROUPS, &arguments).await;
    for group in groups {
        assert!(text.contains(group.as_str()), "{group} was not reset: {text}");
    }
}

/// Removes a partition's records below an offset, as retention would.
///
/// # Panics
/// When the tool refuses.
pub async fn delete_records_below(topic: &TopicName, partition: i32, offset: i64) {
    let mut file = NamedTempFile::new().expect("a temporary file can be made");
    let partitions =
        serde_json::json!([{ "topic": topic.as_str(), "partition": partition, "offset": offset }]);
    let json = serde_json::json!({ "partitions": partitions, "version": 1 });
    file.write_all(json.to_string().as_bytes()).expect("the file can be written");
    let path = file.path().display().to_string();
    let text = run(DELETE_RECORDS, &["--offset-json-file", &path]).await;
    assert!(text.contains("low_watermark"), "{text}");
}

/// Deletes a topic, and waits until nobody knows it any more.
///
/// # Panics
/// When the tool refuses.
pub async fn delete_topic(topic: &TopicName) {
    run(TOPICS, &["--delete", "--topic", topic.as_str()]).await;
    let admin = Admin::connect(&servers::kafka()).expect("an admin client can be made");
    eventually(LEAVES_WITHIN, async || {
        equal(admin.topic_id(topic).await.expect("Kafka answers"), None)
    })
    .await;
}
