//! The contract as others see it: what another client may publish, and the names that Kafka's own tools show.

use std::process::Stdio;
use std::time::Duration;

use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::platform::Platform;
use event_bus_tests::{kafka, kafka_tools, servers};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long a service may take to start, join and handle on a loaded machine.
const SOON: Duration = Duration::from_secs(90);

const DOCUMENTED_EXAMPLE: &str = include_str!(
    "../../../../catalogue/samples/BrandCatalogUpdated/1.0/valid-documented-example.json"
);

/// Publishes one record as a service without any library of ours would.
async fn publish_by_kcat(topic: &str, key: &str, value: &str) {
    let mut command = Command::new(servers::kcat());
    command.args(["-P", "-b", &servers::bootstrap(), "-t", topic, "-k", key, "-c", "1"]);
    let mut kcat = command.stdin(Stdio::piped()).spawn().expect("kcat starts");
    let mut stdin = kcat.stdin.take().expect("its input is a pipe");
    stdin.write_all(format!("{value}\n").as_bytes()).await.expect("kcat reads its input");
    drop(stdin);
    let status = kcat.wait().await.expect("kcat ends");
    assert!(status.success(), "kcat: {status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_example_published_by_kcat_without_an_event_id_is_handled_once() {
    let mut platform = Platform::new(Databases::sqlite()).await;
    platform.start("supplier");
    let mut envelope: Value = serde_json::from_str(DOCUMENTED_EXAMPLE).expect("it is JSON");
    let removed = envelope.as_object_mut().expect("it is an object").remove("event_id");
    assert!(removed.is_some(), "the example has an event id to leave out");
    let topic = format!("{}.brand.catalog-updated", platform.catalogue.namespace());
    publish_by_kcat(&topic, "louvolite/louvolite", &envelope.to_string()).await;
    platform.finished(&["supplier"], SOON).await;
    assert_handled_once(&platform).await;

    platform.stop("supplier").await;
    platform.reset_all_groups().await;
    platform.start("supplier");
    platform.finished(&["supplier"], SOON).await;
    assert_handled_once(&platform).await;
    platform.end().await;
}

async fn assert_handled_once(platform: &Platform) {
    let supplier = async |sql| platform.databases.number("supplier", sql).await;
    let known = "SELECT count(*) FROM catalogs WHERE brand_id = 'louvolite' AND updates = 1";
    assert_eq!(supplier(known).await, 1, "{}", platform.logs());
    assert_eq!(supplier("SELECT count(*) FROM catalogs").await, 1);
    assert_eq!(supplier("SELECT count(*) FROM processed_events").await, 1);
    assert_eq!(platform.dead_letters().await, 0, "{}", platform.logs());
}

/// The topics of Blindstrader, after the namespace.
const TOPICS: [&str; 29] = [
    "brand.catalog-updated",
    "brand.catalog-updated.dlq",
    "brand.permissions-updated",
    "brand.permissions-updated.dlq",
    "event-bus.audit",
    "event-bus.commands",
    "event-bus.outcomes",
    "identity.organisation-created",
    "identity.organisation-created.dlq",
    "identity.organisation-terminated",
    "identity.organisation-terminated.dlq",
    "order.cancelled",
    "order.cancelled.dlq",
    "order.confirmed",
    "order.confirmed.dlq",
    "order.dispatched",
    "order.dispatched.dlq",
    "order.placed",
    "order.placed.dlq",
    "payment.captured",
    "payment.captured.dlq",
    "payment.refunded",
    "payment.refunded.dlq",
    "retailer.product-adopted",
    "retailer.product-adopted.dlq",
    "supplier.catalog-version-adopted",
    "supplier.catalog-version-adopted.dlq",
    "supplier.product-published",
    "supplier.product-published.dlq",
];

/// The groups of the supplier and the notification service, after the namespace.
const GROUPS: [&str; 10] = [
    "notification-order-cancelled",
    "notification-order-confirmed",
    "notification-order-dispatched",
    "notification-order-placed",
    "notification-payment-refunded",
    "supplier-brand-catalog-updated",
    "supplier-brand-permissions-updated",
    "supplier-identity-organisation-created",
    "supplier-identity-organisation-terminated",
    "supplier-retailer-product-adopted",
];

/// The lines that begin with `prefix`, without it and sorted.
fn behind(prefix: &str, text: &str) -> Vec<String> {
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(prefix))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafkas_own_tools_show_topics_and_groups_named_by_the_rule() {
    let mut platform = Platform::new(Databases::sqlite()).await;
    platform.start("supplier");
    platform.start("notification");
    let namespace = platform.catalogue.namespace().to_string();
    let list = ["--list"];
    let topics = kafka_tools::run("org.apache.kafka.tools.TopicCommand", &list).await;
    assert_eq!(behind(&format!("{namespace}."), &topics), TOPICS);

    // A group exists from its first member on.
    for group in GROUPS {
        let group = format!("{namespace}-{group}").parse().expect("it is the name of a group");
        eventually(SOON, async || equal(kafka::members(&group).await.len(), 1)).await;
    }
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let groups = kafka_tools::run(class, &list).await;
    assert_eq!(behind(&format!("{namespace}-"), &groups), GROUPS);
    platform.end().await;
}
