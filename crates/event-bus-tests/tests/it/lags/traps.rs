//! On both brokers.

use std::time::Duration;

use event_bus_tests::eventually::eventually;
use rdkafka::admin::AdminOptions;
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};

use super::collected::{Collected, send};

const SOON: Duration = Duration::from_secs(60);

const LAG: &str = "kafka_consumergroup_lag";
const CONSUMABLE: &str = "event_bus_lag_consumable_events";
const LOST: &str = "event_bus_lag_lost_events";
const SECONDS: &str = "kafka_consumergroup_group_lag_seconds";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_and_aborted_transactions_and_markers() {
    let collected = Collected::start().await;
    let (topic, group) = (collected.topic("t", 1, &[]).await, collected.name("g"));
    send(&collected.producer(), &topic, 0, 3);
    collected.commits(&group, &topic, 0, 3).await;
    collected.tells(LAG, &group, &topic, Some(0.0)).await;

    let producer = collected.transactional("p");
    producer.begin_transaction().expect("it begins");
    send(&producer, &topic, 0, 2);
    // They wait, but nobody may read them yet.
    collected.tells(LAG, &group, &topic, Some(2.0)).await;
    collected.tells(CONSUMABLE, &group, &topic, Some(0.0)).await;

    producer.abort_transaction(SOON).expect("it is aborted");
    // Two records that nobody gets, and a marker: a consumer may stand before them for ever.
    collected.tells(LAG, &group, &topic, Some(0.0)).await;
    collected.tells(SECONDS, &group, &topic, Some(0.0)).await;

    producer.begin_transaction().expect("it begins");
    send(&producer, &topic, 0, 2);
    producer.commit_transaction(SOON).expect("it is committed");
    collected.tells(LAG, &group, &topic, Some(2.0)).await;
    collected.tells(CONSUMABLE, &group, &topic, Some(2.0)).await;
    // Behind the last record and before its marker.
    collected.commits(&group, &topic, 0, 8).await;
    collected.tells(LAG, &group, &topic, Some(0.0)).await;
    send(&collected.producer(), &topic, 0, 1);
    collected.tells(LAG, &group, &topic, Some(1.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_past_the_committed_offset() {
    let collected = Collected::start().await;
    let (topic, group) = (collected.topic("t", 1, &[]).await, collected.name("g"));
    send(&collected.producer(), &topic, 0, 10);
    collected.commits(&group, &topic, 0, 2).await;
    collected.tells(LAG, &group, &topic, Some(8.0)).await;
    let mut until = TopicPartitionList::new();
    until.add_partition_offset(topic.as_str(), 0, Offset::Offset(6)).expect("it is an offset");
    let deleted = collected.tool().delete_records(&until, &AdminOptions::new()).await;
    deleted.expect("Kafka deletes them");
    collected.tells(LOST, &group, &topic, Some(4.0)).await;
    collected.tells(LAG, &group, &topic, Some(4.0)).await;
    let oldest =
        format!("kafka_topic_partition_oldest_offset{{topic=\"{topic}\",partition=\"0\"}}");
    collected.says(&oldest, Some(6.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_and_made_again() {
    let collected = Collected::start().await;
    let (topic, group) = (collected.topic("t", 1, &[]).await, collected.name("g"));
    send(&collected.producer(), &topic, 0, 20);
    collected.commits(&group, &topic, 0, 5).await;
    collected.tells(LAG, &group, &topic, Some(15.0)).await;
    collected.delete(&topic).await;
    collected.tells(LAG, &group, &topic, None).await;
    let end = format!("kafka_topic_partition_current_offset{{topic=\"{topic}\",partition=\"0\"}}");
    collected.says(&end, None).await;
    collected.topic("t", 1, &[]).await;
    send(&collected.producer(), &topic, 0, 3);
    collected.says(&end, Some(3.0)).await;
    // An offset of the old topic, committed to the new one.
    collected.commits(&group, &topic, 0, 20).await;
    collected.tells(LAG, &group, &topic, Some(0.0)).await;
    collected.tells(LOST, &group, &topic, Some(0.0)).await;
    collected.commits(&group, &topic, 0, 1).await;
    collected.tells(LAG, &group, &topic, Some(2.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_group_stays_visible() {
    let collected = Collected::start().await;
    let (topic, group) = (collected.topic("t", 2, &[]).await, collected.name("g"));
    send(&collected.producer(), &topic, 1, 4);
    collected.commits(&group, &topic, 1, 1).await;
    collected
        .says(&format!("kafka_consumergroup_members{{consumergroup=\"{group}\"}}"), Some(0.0))
        .await;
    let state = format!("event_bus_lag_group_state{{consumergroup=\"{group}\",state=\"Empty\"}}");
    collected.says(&state, Some(1.0)).await;
    collected.tells_of(LAG, &group, &topic, 1, Some(3.0)).await;
    // Of a group that is not the catalogue's nobody knows where it begins in the other partition.
    collected.tells_of(LAG, &group, &topic, 0, None).await;
    let sum = format!("kafka_consumergroup_lag_sum{{consumergroup=\"{group}\",topic=\"{topic}\"}}");
    collected.says(&sum, Some(3.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_the_catalogue_that_never_committed_has_all_before_it() {
    let collected = Collected::start().await;
    event_bus_tests::kafka::create_topics(&collected.catalogue).await;
    let topic = event_bus_tests::shop::orders(&collected.catalogue);
    let group = event_bus_tests::shop::billing_group(&collected.catalogue).to_string();
    collected.tells(LAG, &group, &topic, Some(0.0)).await;
    send(&collected.producer(), &topic, 0, 4);
    collected.tells(LAG, &group, &topic, Some(4.0)).await;
    collected.tells("kafka_consumergroup_current_offset", &group, &topic, None).await;
    let state = format!("event_bus_lag_group_state{{consumergroup=\"{group}\",state=\"Absent\"}}");
    collected.says(&state, Some(1.0)).await;
    collected.commits(&group, &topic, 0, 1).await;
    collected.tells("kafka_consumergroup_current_offset", &group, &topic, Some(1.0)).await;
    collected.tells(LAG, &group, &topic, Some(3.0)).await;
    collected.says(&state, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_gets_older_and_what_is_settled_has_no_age() {
    let collected = Collected::start().await;
    let (topic, group) = (collected.topic("t", 1, &[]).await, collected.name("g"));
    send(&collected.producer(), &topic, 0, 2);
    collected.commits(&group, &topic, 0, 1).await;
    let labels = format!("consumergroup=\"{group}\",topic=\"{topic}\",partition=\"0\"");
    let series = format!("{SECONDS}{{{labels}}}");
    let older = async |than: f64| {
        eventually(SOON, async || {
            let seen = collected.value(&series);
            if seen.is_some_and(|seconds| seconds > than) { Ok(()) } else { Err(seen) }
        })
        .await;
    };
    older(1.0).await;
    older(2.0).await;
    collected.commits(&group, &topic, 0, 2).await;
    collected.says(&series, Some(0.0)).await;
}
