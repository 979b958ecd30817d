//! What the embedded broker does not have, or can't come to: compaction by the clock, a second broker, other groups.

use std::collections::BTreeMap;
use std::time::Duration;

use event_bus::kafka::admin::{Position, TopicPartition};
use event_bus_conformance::subject::Restartable;
use event_bus_tests::eventually::eventually;
use event_bus_tests::servers;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};

use super::collected::{Collected, send};

const SOON: Duration = Duration::from_secs(90);
const LAG: &str = "kafka_consumergroup_lag";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_leaves_gaps_that_are_no_lag() {
    let collected = Collected::start().await;
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "500"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "500"),
    ];
    let (topic, group) = (collected.topic("t", 1, &configs).await, collected.name("g"));
    let producer = collected.producer();
    send(&producer, &topic, 0, 20);
    collected.commits(&group, &topic, 0, 5).await;
    collected.tells(LAG, &group, &topic, Some(15.0)).await;
    // Segments are rolled by what comes, and cleaned then, all but the last one.
    eventually(SOON, async || {
        send(&producer, &topic, 0, 1);
        let at = TopicPartition { topic: topic.clone(), partition: 0 };
        let first = collected.admin.offsets(Position::At(0), vec![at.clone()]).await;
        match first.expect("Kafka answers").remove(&at) {
            Some(Ok(Some(offset))) if offset >= 20 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let records = event_bus_tests::kafka::everything_in(std::slice::from_ref(&topic)).await;
    let last = records.last().expect("the newest record is never cleaned").offset;
    // Of these thirty offsets only the last ones are records.
    collected.commits(&group, &topic, 0, last - 29).await;
    eventually(SOON, async || {
        let labels = format!("consumergroup=\"{group}\",topic=\"{topic}\",partition=\"0\"");
        let lag = collected.value(&format!("{LAG}{{{labels}}}"));
        let is_told = lag.is_some_and(|lag| lag >= 1.0 && lag <= records.len() as f64);
        if is_told { Ok(()) } else { Err(format!("{lag:?} of {} records", records.len())) }
    })
    .await;
    assert!(records.len() < 30, "nothing was cleaned: {}", records.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_without_leader_takes_nothing_else_away() {
    let first = Restartable::start().await;
    let kafka = servers::kafka_at(first.address().to_owned(), &[]);
    let collected = Collected::at(first.address().to_owned(), kafka).await;
    let (name, group) = (collected.name("t"), collected.name("g"));
    // The first commit makes the topic of all commits, which stays where it is.
    let early = collected.topic("early", 1, &[]).await;
    collected.commits(&group, &early, 0, 0).await;
    let mut second = first.second().await;
    collected.says("kafka_brokers", Some(2.0)).await;
    let assignment: [&[i32]; 2] = [&[1], &[2]];
    let new = NewTopic::new(&name, 2, TopicReplication::Variable(&assignment));
    let made = collected.tool().create_topics(&[new], &AdminOptions::new()).await;
    for outcome in made.expect("Kafka answers") {
        outcome.expect("it is made");
    }
    let topic = name.parse().expect("it is a topic's");
    let producer = collected.producer();
    for partition in 0..2 {
        send(&producer, &topic, partition, 5);
        collected.commits(&group, &topic, partition, 1).await;
        collected.tells_of(LAG, &group, &topic, partition, Some(4.0)).await;
    }
    second.stop().await;
    collected.tells_of(LAG, &group, &topic, 1, None).await;
    collected.tells_of(LAG, &group, &topic, 0, Some(4.0)).await;
    let sum = format!("kafka_consumergroup_lag_sum{{consumergroup=\"{group}\",topic=\"{topic}\"}}");
    collected.says(&sum, Some(4.0)).await;
    collected.tells_of("kafka_consumergroup_current_offset", &group, &topic, 1, Some(1.0)).await;
    collected.commits(&group, &topic, 0, 3).await;
    collected.tells_of(LAG, &group, &topic, 0, Some(2.0)).await;
    eventually(SOON, async || {
        let errors = collected.value("event_bus_lag_collection_errors_total");
        if errors.is_some_and(|errors| errors > 0.0) { Ok(()) } else { Err(errors) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_the_new_protocol() {
    let collected = Collected::start().await;
    let (topic, group) = (collected.topic("t", 2, &[]).await, collected.name("g"));
    let producer = collected.producer();
    for partition in 0..2 {
        send(&producer, &topic, partition, 3);
    }
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers::bootstrap())
        .set("group.id", &group)
        .set("group.protocol", "consumer")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().expect("a consumer can be made");
    consumer.subscribe(&[topic.as_str()]).expect("it subscribes");
    let mut handled = BTreeMap::new();
    while handled.values().sum::<i64>() < 6 {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.expect("a record comes");
            *handled.entry(rdkafka::Message::partition(&message)).or_insert(0) += 1;
            consumer.commit_message(&message, CommitMode::Sync).expect("it is committed");
        }
    }
    let members = format!("kafka_consumergroup_members{{consumergroup=\"{group}\"}}");
    collected.says(&members, Some(1.0)).await;
    let state = format!("event_bus_lag_group_state{{consumergroup=\"{group}\",state=\"Stable\"}}");
    collected.says(&state, Some(1.0)).await;
    for partition in 0..2 {
        collected.tells_of(LAG, &group, &topic, partition, Some(0.0)).await;
    }
    send(&producer, &topic, 1, 2);
    collected.tells_of(LAG, &group, &topic, 1, Some(2.0)).await;
    drop(consumer);
    collected.says(&members, Some(0.0)).await;
    collected.tells_of(LAG, &group, &topic, 1, Some(2.0)).await;
}

/// Its offsets are the broker's own, so it has no lag of this kind; but that it is there is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_group_is_listed() {
    let collected = Collected::start().await;
    let (topic, group) = (collected.topic("t", 1, &[]).await, collected.name("g"));
    let consumer = event_bus_tests::kafka_tools::share_consumer(&group, &topic);
    let state = format!("event_bus_lag_group_state{{consumergroup=\"{group}\",state=\"Unknown\"}}");
    collected.says(&state, Some(1.0)).await;
    collected.tells(LAG, &group, &topic, None).await;
    drop(consumer);
}
