//! kcat, which is librdkafka. What it has no option for is done by the suite's own client.

use std::collections::BTreeSet;

use event_bus_conformance::batch::{now_ms, position};
use event_bus_conformance::connection::Connection;
use event_bus_conformance::offsets::{commit_request, committed, send_commit};
use event_bus_conformance::program::{Members, run, variable};
use event_bus_conformance::records::Fetch;
use event_bus_conformance::subject::{bootstrap, unique};
use event_bus_conformance::topic::Topic;
use tokio::process::Command;

const PARTITIONS: i32 = 6;
const RECORDS: usize = 300;

fn kcat(arguments: &[&str]) -> Command {
    let mut command = Command::new(variable("KCAT"));
    command.args(["-b", &bootstrap(), "-q"]).args(arguments);
    command
}

fn member(group: &str, topic: &str, more: &[&str]) -> Command {
    let mut command = kcat(&["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500"]);
    command.args(["-X", "auto.offset.reset=earliest", "-u", "-f", "%s\n"]).args(more);
    command.args(["-G", group, topic]);
    command
}

async fn sum_committed(connection: &mut Connection, group: &str, topic: &str) -> i64 {
    let mut sum = 0;
    for partition in 0..PARTITIONS {
        sum += committed(connection, group, topic, partition, true).await.committed_offset.max(0);
    }
    sum
}

#[tokio::test]
async fn kcat_produces_with_every_codec_and_reads_in_a_group_of_three() {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, PARTITIONS, &[]).await;
    let (name, group) = (topic.name.as_str(), unique("kcat"));
    let commands = (0..3).map(|_| member(&group, name, &[])).collect();
    let mut members = Members::start(&group, commands).await;

    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    let mut sent = BTreeSet::new();
    for codec in codecs {
        let lines: Vec<_> = (0..RECORDS / codecs.len())
            .map(|number| format!("{codec}-{number}:{codec}-{number}-compressed-compressed"))
            .collect();
        let producer = kcat(&["-P", "-t", name, "-K", ":", "-z", codec]);
        run(with(producer, &["-X", "enable.idempotence=true"]), &(lines.join("\n") + "\n")).await;
        assert_eq!(last_codec(&mut connection, name).await, codec);
        sent.extend(
            lines.iter().map(|line| line.split_once(':').expect("it has one").1.to_owned()),
        );
    }
    let read = members.printed(RECORDS).await;
    members.stop().await;
    assert_eq!(read.len(), RECORDS, "records were read twice");
    assert_eq!(BTreeSet::from_iter(read), sent);
    let all = i64::try_from(RECORDS).expect("it is small");
    assert_eq!(sum_committed(&mut connection, &group, name).await, all, "the members committed");

    for partition in 0..PARTITIONS {
        let reset = commit_request(&group, name, partition, 0, "reset");
        assert_eq!(send_commit(&mut connection, &reset).await, Ok(()));
    }
    let again = run(member(&group, name, &["-e"]), "").await;
    assert_eq!(BTreeSet::from_iter(again.lines().map(str::to_owned)), sent);
    assert_eq!(sum_committed(&mut connection, &group, name).await, all);
}

/// The codec of the batch that was written last to any partition, by the number in its attributes.
async fn last_codec(connection: &mut Connection, topic: &str) -> &'static str {
    const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
    let mut last = (0, 0);
    for partition in 0..PARTITIONS {
        let data = Fetch::from(topic, 0).of_partition(partition).send(connection).await;
        let mut batches = data.records.unwrap_or_default();
        while !batches.is_empty() {
            let length = batches[position::LENGTH].try_into().expect("the field has four bytes");
            let batch = batches
                .split_to(12 + usize::try_from(u32::from_be_bytes(length)).expect("it fits"));
            let time =
                batch[position::MAX_TIMESTAMP].try_into().expect("the field has eight bytes");
            last = last.max((i64::from_be_bytes(time), batch[position::ATTRIBUTES.end - 1] & 7));
        }
    }
    CODECS[usize::from(last.1)]
}

fn with(mut command: Command, more: &[&str]) -> Command {
    command.args(more);
    command
}

#[tokio::test]
async fn kcat_describes_and_finds_offsets_by_time() {
    let mut connection = Connection::open().await;
    let topic = Topic::create(&mut connection, 2, &[]).await;
    let name = topic.name.as_str();
    let before = now_ms();
    run(kcat(&["-P", "-t", name, "-p", "1"]), "a\nb\n").await;
    let described = run(kcat(&["-L", "-J", "-t", name]), "").await;
    assert!(described.contains(&format!("\"topic\":\"{name}\"")), "{described}");
    assert_eq!(described.matches("\"partition\":").count(), 2, "{described}");
    for (asked, offset) in [("-1".to_owned(), 2), ("-2".to_owned(), 0), (before.to_string(), 0)] {
        let found = run(kcat(&["-Q", "-t", &format!("{name}:1:{asked}")]), "").await;
        assert!(found.contains(&format!("[1] offset {offset}")), "at {asked}: {found}");
    }
    let tail = run(kcat(&["-C", "-t", name, "-p", "1", "-o", "-1", "-e", "-f", "%o %s"]), "").await;
    assert_eq!(tail, "1 b");
}

#[tokio::test]
async fn kcat_reads_only_what_is_committed() {
    let mut connection = Connection::open().await;
    let topic = Topic::new(&mut connection).await;
    let name = topic.name.as_str();
    let id = format!("transactional.id={}", unique("kcat"));
    run(kcat(&["-P", "-t", name, "-X", &id]), "committed\n").await;
    let read = kcat(&["-C", "-t", name, "-o", "beginning", "-e", "-f", "%s"]);
    let seen = run(with(read, &["-X", "isolation.level=read_committed"]), "").await;
    assert_eq!(seen, "committed");
}
