//! One fault after the other, on either broker: after each there is one finding more.

use std::collections::BTreeSet;
use std::time::Duration;

use event_bus::doctor::Code;
use event_bus::kafka::admin::TopicPartition;
use event_bus::names::GroupName;
use event_bus::store::Store;
use event_bus_tests::databases::Databases;
use event_bus_tests::{kafka_tools, servers};
use jiff::Timestamp;

use super::clinic::{Clinic, Fault, of_group, of_topic, toml};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Faults that pile up, and what is found of them.
struct Planted {
    clinic: Clinic,
    faults: BTreeSet<Fault>,
}

impl Planted {
    async fn in_a_good_cluster(events: &[&str], read: &[&str]) -> Self {
        let clinic = Clinic::open(servers::bootstrap(), &toml(events, read, 1)).await;
        let planted = Self { clinic, faults: BTreeSet::new() };
        planted.clinic.finds(&planted.faults).await;
        planted
    }

    async fn finds(&mut self, fault: Fault) {
        assert!(self.faults.insert(fault), "each fault is another");
        self.clinic.finds(&self.faults).await;
    }

    /// Sets a config of a topic, and finds that.
    async fn finds_config(&mut self, code: Code, topic: &str, config: &'static str, value: &str) {
        let topic = self.clinic.topic(topic);
        self.clinic.configure(&topic, config, value).await;
        self.finds(of_topic(code, &topic)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_topics() {
    let events = [
        "missing",
        "letters",
        "narrow",
        "wide",
        "unwritable",
        "retention",
        "size",
        "expiring",
        "compacted",
        "unclean",
        "small",
        "long",
        "ahead",
    ];
    let mut planted = Planted::in_a_good_cluster(&events, &[]).await;
    let topic = planted.clinic.topic("missing");
    planted.clinic.delete(&topic).await;
    planted.finds(of_topic(Code::TopicMissing, &topic)).await;

    let letters = planted.clinic.topic("letters").dead_letter();
    planted.clinic.delete(&letters).await;
    planted.finds(of_topic(Code::DeadLetterTopicMissing, &letters)).await;

    let letters = planted.clinic.topic("narrow").dead_letter();
    planted.clinic.delete(&letters).await;
    planted.clinic.create(&letters, 1).await;
    for (config, value) in [
        ("retention.ms", (14 * DAY_MILLIS).to_string()),
        ("max.message.bytes", event_bus::limits::DLT_MAX_MESSAGE_BYTES.to_string()),
    ] {
        planted.clinic.configure(&letters, config, &value).await;
    }
    planted.finds(of_topic(Code::TooFewPartitions, &letters)).await;

    let wide = planted.clinic.topic("wide");
    let grown = [(wide.dead_letter(), 3), (wide.clone(), 3)];
    for (_, outcome) in planted.clinic.admin.extend_topics(&grown).await.expect("Kafka answers") {
        outcome.expect("it is extended");
    }
    planted.finds(of_topic(Code::MorePartitions, &wide)).await;

    planted.finds_config(Code::Unwritable, "unwritable", "min.insync.replicas", "2").await;
    planted.finds_config(Code::RetentionShorter, "retention", "retention.ms", "3600000").await;
    planted.finds_config(Code::RetentionBySize, "size", "retention.bytes", "1000000").await;
    planted
        .finds_config(Code::DeadLettersExpireFirst, "expiring.dlq", "retention.ms", "3600000")
        .await;
    planted.finds_config(Code::Compacted, "compacted", "cleanup.policy", "compact").await;
    let unclean = "unclean.leader.election.enable";
    planted.finds_config(Code::UncleanElection, "unclean", unclean, "true").await;
    planted.finds_config(Code::MessageSize, "small", "max.message.bytes", "1000").await;
    let longer = (8 * DAY_MILLIS).to_string();
    planted.finds_config(Code::ConfigDiffers, "long", "retention.ms", &longer).await;

    let misspelt = planted.clinic.name("ward.misspelt");
    planted.clinic.create(&misspelt, 1).await;
    planted.finds(of_topic(Code::UnknownTopic, &misspelt)).await;

    let ahead = planted.clinic.topic("ahead");
    planted.clinic.send(&ahead, 1, Timestamp::now() + HOUR / 6);
    planted.finds(of_topic(Code::ClockAhead, &ahead)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_groups() {
    let events = ["left", "behind", "lost", "beyond", "overtaken", "inbox"];
    let mut planted = Planted::in_a_good_cluster(&events, &events).await;
    let by_hand = format!("{}-by-hand", planted.clinic.catalogue.namespace());
    let at = TopicPartition { topic: planted.clinic.topic("left"), partition: 0 };
    let group = GroupName::new(&by_hand).expect("it is a group's");
    planted.clinic.admin.commit_offsets(&group, &[(at, 0)].into()).await.expect("Kafka commits");
    planted.finds(of_group(Code::UnknownGroup, &by_hand)).await;

    planted.clinic.leave("left");
    let group = planted.clinic.group("left");
    planted.finds(of_group(Code::GroupWithoutMembers, group.as_str())).await;

    let now = Timestamp::now();
    planted.clinic.send(&planted.clinic.topic("behind"), 5, now);
    planted.clinic.finds(&planted.faults).await;
    planted.clinic.send(&planted.clinic.topic("behind"), 1, now);
    let group = planted.clinic.group("behind");
    planted.finds(of_group(Code::GroupBehind, group.as_str())).await;

    let lost = planted.clinic.topic("lost");
    planted.clinic.send(&lost, 4, now);
    planted.clinic.commit("lost", 1).await;
    planted.clinic.finds(&planted.faults).await;
    kafka_tools::delete_records_below(&lost, 0, 2).await;
    let group = planted.clinic.group("lost");
    planted.finds(of_group(Code::EventsLost, group.as_str())).await;

    planted.clinic.commit("beyond", 3).await;
    let group = planted.clinic.group("beyond");
    planted.finds(of_group(Code::CommitBeyondEnd, group.as_str())).await;

    planted.clinic.send(&planted.clinic.topic("overtaken"), 1, now - 24 * 4 * HOUR);
    let group = planted.clinic.group("overtaken");
    planted.finds(of_group(Code::RetentionOvertakes, group.as_str())).await;

    let databases = Databases::sqlite();
    let store = Store::open(&databases.url("nurse"), &[]).await.expect("the database opens");
    planted.clinic.send(&planted.clinic.topic("inbox"), 4, now);
    planted.clinic.commit("inbox", 4).await;
    row(&planted.clinic, &databases, 0).await;
    let stores = [store];
    planted.clinic.finds_with(&stores, &planted.faults).await;
    databases.execute("nurse", "DELETE FROM processed_events").await;
    row(&planted.clinic, &databases, 2).await;
    let group = planted.clinic.group("inbox");
    planted.faults.insert(of_group(Code::InboxGap, group.as_str()));
    planted.clinic.finds_with(&stores, &planted.faults).await;
}

/// Notes that the event of an offset took effect.
async fn row(clinic: &Clinic, databases: &Databases, offset: i64) {
    let (group, topic) = (clinic.group("inbox"), clinic.topic("inbox"));
    let sql = format!(
        "INSERT INTO processed_events (consumer_group, tenant_id, topic, event_id, status, value_sha256, partition_id, record_offset)
         VALUES ('{group}', 't', '{topic}', 'e-{offset}', 'done', x'00', 0, {offset})"
    );
    databases.execute("nurse", &sql).await;
}
