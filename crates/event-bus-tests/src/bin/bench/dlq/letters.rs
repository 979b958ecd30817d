//! Dead letters as consumers would have written them.

use std::collections::VecDeque;
use std::sync::Arc;

use blindstrader::events::OrderPlaced;
use bytes::Bytes;
use event_bus::catalogue::Event;
use event_bus::dead_letter::{Cause, Obituary, Reason, dlq_id};
use event_bus::envelope::EventType as _;
use event_bus::kafka::Record;
use event_bus::names::{EventId, TenantId};
use event_bus::publisher::Publisher;
use event_bus::{Catalogue, KafkaConfig};
use event_bus_tests::kafka::send_all_at;
use jiff::{SignedDuration, Timestamp};

use crate::publish::turn::{Took, Turn};

/// So many tenants have dead letters.
pub const MANY_TENANTS: usize = 300;
/// So many are written at once.
const AT_ONCE: usize = 20_000;
const UNDER_WAY: usize = 10_000;

const CAUSES: [(Reason, &str, &str); 5] = [
    (Reason::RetriesExhausted, "Declined", "the card of order {} was declined"),
    (Reason::RetriesExhausted, "OutOfStock", "no fabric left for order {}"),
    (Reason::Rejected, "UnknownCustomer", "order {} is of nobody we know"),
    (Reason::Rejected, "PriceMismatch", "order {} was priced by an old catalogue"),
    (Reason::Crashed, "Crashed", "its process ended at order {}"),
];

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

/// When about half of the dead letters had failed.
pub fn in_the_midst() -> Timestamp {
    start() + SignedDuration::from_secs(500_000)
}

/// What writes them.
pub struct Letters {
    catalogue: Arc<Catalogue>,
    kafka: KafkaConfig,
    /// The sample before and behind its id, in as few bytes as publishers write.
    around_id: [String; 2],
}

const SAMPLE: &str = include_str!(
    "../../../../../../catalogue/samples/OrderPlaced/1.0/valid-discontinued-product.json"
);
const TENANT: &str = "\"tenant_id\":\"hillarys\"";

fn sample() -> serde_json::Value {
    serde_json::from_str(SAMPLE).expect("it is JSON")
}

impl Letters {
    pub fn new(catalogue: Arc<Catalogue>, kafka: KafkaConfig) -> Self {
        let sample = sample();
        let id = sample["event_id"].as_str().expect("it has one");
        let text = sample.to_string();
        let (before, after) = text.split_once(id).expect("it is in there");
        let around_id = [before.to_owned(), after.to_owned()];
        Self { catalogue, kafka, around_id }
    }

    fn event(&self) -> &Arc<Event> {
        self.catalogue.event(OrderPlaced::NAME).expect("the catalogue has it")
    }

    /// The envelope of an order, with this id in place of its own.
    fn value(&self, tenant: &str, id: EventId) -> Bytes {
        let [before, after] = &self.around_id;
        let tenant = format!("\"tenant_id\":\"{tenant}\"");
        Bytes::from(format!("{before}{id}{after}").replace(TENANT, &tenant))
    }

    /// Writes so many, of all tenants or of this one.
    pub async fn write(&self, count: usize, tenant: Option<&str>) {
        let event = self.event();
        let partitions = i64::from(event.partitions);
        let first = i64::from(tenant.is_some()) << 32;
        for from in (0..count).step_by(AT_ONCE) {
            let records = (from..count.min(from + AT_ONCE)).map(|number| {
                let many = format!("tenant-{}", number % MANY_TENANTS);
                let tenant = tenant.unwrap_or(&many);
                let nth = first + i64::try_from(number).expect("it is small");
                let id = EventId::at(start() + SignedDuration::from_millis(nth));
                let consumer = &event.consumers[number % event.consumers.len()];
                let (reason, error_type, message) = CAUSES[number % CAUSES.len()];
                let cause =
                    Cause::new(reason, error_type, message.replace("{}", &number.to_string()));
                let failed_at =
                    start() + SignedDuration::from_secs(i64::try_from(number).expect("small"));
                let original = Record {
                    topic: event.topic.clone(),
                    partition: i32::try_from(nth % partitions).expect("it is small"),
                    offset: nth / partitions,
                    timestamp_ms: 0,
                    key: Some(Bytes::from(format!("{tenant}/ORD-{number}"))),
                    value: Some(self.value(tenant, id)),
                    headers: Vec::new(),
                };
                let obituary = Obituary {
                    id: dlq_id(&consumer.group, &original),
                    record: &original,
                    event_id: id,
                    group: &consumer.group,
                    service: &consumer.service,
                    cause: &cause,
                    attempts: 4,
                    first_failed_at: failed_at,
                    failed_at,
                    chain_seq: None,
                    previous: None,
                };
                let mut letter = obituary.record(&event.dead_letter_topic);
                letter.partition = Some(original.partition);
                letter
            });
            send_all_at(&self.kafka, records.collect()).await;
        }
    }

    /// Publishes so many orders, checked as all are.
    pub async fn publish(&self, count: usize) -> Took {
        let publisher = Publisher::connect(Arc::clone(&self.catalogue), &self.kafka);
        let publisher = publisher.expect("a publisher can be made");
        let tenant: TenantId = "louvolite".parse().expect("a valid tenant");
        let order: OrderPlaced =
            serde_json::from_value(sample()["payload"].clone()).expect("the sample is an order");
        let turn = Turn::start();
        let mut under_way = VecDeque::with_capacity(UNDER_WAY);
        for _ in 0..count {
            if under_way.len() == UNDER_WAY {
                for begun in under_way.drain(..UNDER_WAY / 2) {
                    begun_is_there(begun).await;
                }
            }
            under_way.push_back(publisher.begin(&tenant, &order).await.expect("it is taken"));
        }
        for begun in under_way {
            begun_is_there(begun).await;
        }
        turn.took(count)
    }
}

async fn begun_is_there(begun: event_bus::publisher::UnderWay) {
    begun.receipt().await.expect("Kafka takes it");
}
