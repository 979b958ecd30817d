//! Publishing without a database.

use std::time::Duration;

use event_bus::KafkaConfig;
use event_bus::kafka::producer::SendError;
use event_bus::publisher::{PublishError, Publisher};
use event_bus_tests::eventually::eventually;
use event_bus_tests::shop::{self, Fate};
use event_bus_tests::{kafka, servers};

/// Far below the five minutes after which the client looks at all its topics again.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_missing_is_published_to_as_soon_as_it_is_there() {
    let catalogue = shop::catalogue(3, "");
    // So soon the client takes a topic for missing that Kafka does not know.
    let property = ("topic.metadata.propagation.max.ms".to_owned(), "500".to_owned());
    let config = KafkaConfig::new(servers::bootstrap(), [property]).expect("it is librdkafka's");
    let publisher = Publisher::connect(catalogue.clone(), &config).expect("one can be made");
    let tenant = shop::tenant();
    let publish = async || publisher.publish(&tenant, &shop::order("o-1", 1, Fate::Ok)).await;
    for attempt in ["while the client still looks for the topic", "when it knows"] {
        let error = publish().await.expect_err(attempt);
        let is_missing = matches!(error, PublishError::Send(SendError::UnknownTopic { .. }));
        assert!(is_missing, "{attempt}: {error:?}");
    }
    kafka::create_topics(&catalogue).await;
    eventually(SOON, publish).await;
}
