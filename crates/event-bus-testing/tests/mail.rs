//! A service tested as its developer would test it; the documentation of the crate shows this file.

use event_bus::store::Migration;
use event_bus::{Catalogue, Context, Event, EventType, Failure, Handled, Handler};
use event_bus_testing::TestBus;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct OrderPlaced {
    order_id: String,
}

impl EventType for OrderPlaced {
    const NAME: &'static str = "OrderPlaced";
    const VERSION: &'static str = "1.0";
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct MailQueued {
    order_id: String,
}

impl EventType for MailQueued {
    const NAME: &'static str = "MailQueued";
    const VERSION: &'static str = "1.0";
}

/// What is to be tested.
struct Mail;

impl Handler<OrderPlaced> for Mail {
    async fn handle(&self, event: Event<OrderPlaced>, context: &mut Context<'_>) -> Handled {
        let order_id = event.payload.order_id;
        if order_id.is_empty() {
            return Err(Failure::reject("an order without an id"));
        }
        let sql = "INSERT INTO mails (order_id) VALUES ($1)";
        context.tx().execute(sql, &[order_id.clone().into()]).await?;
        context.emit(&event.tenant, &MailQueued { order_id })?;
        Ok(())
    }
}

const TABLES: &[Migration] =
    &[Migration::same(1, "mails", "CREATE TABLE mails (order_id text NOT NULL)")];

#[tokio::test(flavor = "multi_thread")]
async fn an_order_has_one_mail_and_one_without_an_id_is_a_dead_letter() {
    let mut bus = TestBus::start(catalogue()).await;
    bus.run(bus.service("mail", TABLES).await.on::<OrderPlaced>(Mail));

    bus.publish("louvolite", &OrderPlaced { order_id: "o-1".into() }).await;
    bus.publish("louvolite", &OrderPlaced { order_id: String::new() }).await;
    bus.settled().await;

    assert_eq!(bus.count("mail", "SELECT count(*) AS count FROM mails").await, 1);
    assert_eq!(bus.events::<MailQueued>().await, [MailQueued { order_id: "o-1".into() }]);
    let dead = bus.dead_letters::<OrderPlaced>().await;
    assert_eq!((dead.len(), &*dead[0].reason), (1, "rejected"));
    assert!(dead[0].error.contains("without an id"), "{dead:?}");
}

/// A real one is read by `Catalogue::load`.
fn catalogue() -> Catalogue {
    let toml = r#"
        namespace = "acme"
        [services]
        shop = { title = "Shop" }
        mail = { title = "Mail" }
        [defaults]
        partitions = 3
        replication = 1
        min-insync-replicas = 1
        retention = "unlimited"
        dlq-retention = "unlimited"
        retry = ["500ms", "2s", "8s"]
        execution = "batched"
        behind-dead-letter = "continue"
        handler-timeout = "30s"
        [events.OrderPlaced]
        topic = "order.placed"
        description = "An order was placed."
        producer = "shop"
        key = ["/payload/order_id"]
        versions = ["1.0"]
        [events.OrderPlaced.consumers.mail]
        reads = ["/order_id"]
        [events.MailQueued]
        topic = "mail.queued"
        description = "A mail is to be sent."
        producer = "mail"
        key = ["/payload/order_id"]
        versions = ["1.0"]
        [events.MailQueued.consumers.shop]
        reads = ["/order_id"]
    "#;
    let schema = r#"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["order_id"],
        "properties": { "order_id": { "type": "string" } }
    }"#;
    Catalogue::parse("acme.toml", toml, |_| Ok(schema.to_owned())).expect("the catalogue is right")
}
