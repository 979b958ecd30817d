//! Two majors of one event side by side: each consumer handles its own, and none of them meets the other.

use event_bus::store::Migration;
use event_bus::{Catalogue, Context, Event, EventType, Handled, Handler};
use event_bus_testing::TestBus;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OrderPlacedV1 {
    order_id: String,
    total: String,
}

impl EventType for OrderPlacedV1 {
    const NAME: &'static str = "OrderPlaced";
    const VERSION: &'static str = "1.0";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OrderPlacedV2 {
    order_id: String,
    pence: u64,
}

impl EventType for OrderPlacedV2 {
    const NAME: &'static str = "OrderPlaced";
    const VERSION: &'static str = "2.0";
}

#[derive(Serialize, Deserialize)]
struct OrderTaken {
    order_id: String,
    pence: u64,
}

impl EventType for OrderTaken {
    const NAME: &'static str = "OrderTaken";
    const VERSION: &'static str = "1.0";
}

/// Publishes both in one transaction, the lower major first.
struct Shop;

impl Handler<OrderTaken> for Shop {
    async fn handle(&self, event: Event<OrderTaken>, context: &mut Context<'_>) -> Handled {
        let OrderTaken { order_id, pence } = event.payload;
        let total = format!("{}.{:02}", pence / 100, pence % 100);
        context.emit(&event.tenant, &OrderPlacedV1 { order_id: order_id.clone(), total })?;
        context.emit(&event.tenant, &OrderPlacedV2 { order_id, pence })?;
        Ok(())
    }
}

struct Mail;

impl Handler<OrderPlacedV1> for Mail {
    async fn handle(&self, event: Event<OrderPlacedV1>, context: &mut Context<'_>) -> Handled {
        let values = [event.payload.order_id.into(), event.payload.total.into()];
        context
            .tx()
            .execute("INSERT INTO seen (order_id, amount) VALUES ($1, $2)", &values)
            .await?;
        Ok(())
    }
}

struct Billing;

impl Handler<OrderPlacedV2> for Billing {
    async fn handle(&self, event: Event<OrderPlacedV2>, context: &mut Context<'_>) -> Handled {
        let values = [event.payload.order_id.into(), event.payload.pence.to_string().into()];
        context
            .tx()
            .execute("INSERT INTO seen (order_id, amount) VALUES ($1, $2)", &values)
            .await?;
        Ok(())
    }
}

const NONE: &[Migration] = &[];
const TABLES: &[Migration] = &[Migration::same(
    1,
    "seen",
    "CREATE TABLE seen (order_id text NOT NULL, amount text NOT NULL)",
)];

#[tokio::test(flavor = "multi_thread")]
async fn consumers_of_two_majors_each_handle_their_own_once_and_nothing_is_a_dead_letter() {
    let mut bus = TestBus::start(catalogue()).await;
    bus.run(bus.service("shop", NONE).await.on::<OrderTaken>(Shop));
    bus.run(bus.service("mail", TABLES).await.on::<OrderPlacedV1>(Mail));
    bus.run(bus.service("billing", TABLES).await.on::<OrderPlacedV2>(Billing));

    for number in 0..5 {
        let order_id = format!("o-{number}");
        bus.publish("louvolite", &OrderTaken { order_id, pence: 1_205 }).await;
    }
    bus.settled().await;

    let seen = "SELECT count(*) AS count FROM seen WHERE amount = '12.05'";
    assert_eq!(bus.count("mail", seen).await, 5);
    let seen = "SELECT count(*) AS count FROM seen WHERE amount = '1205'";
    assert_eq!(bus.count("billing", seen).await, 5);
    for service in ["mail", "billing"] {
        assert_eq!(bus.count(service, "SELECT count(*) AS count FROM seen").await, 5);
    }
    assert!(bus.dead_letters::<OrderPlacedV1>().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_of_another_major_than_the_catalogue_says_is_refused_before_anything_runs() {
    let bus = TestBus::start(catalogue()).await;
    let mail = bus.service("mail", TABLES).await.on::<OrderPlacedV2>(Billing);
    let refused = mail.run(std::future::pending()).await.expect_err("mail handles major 1");
    let told = "mail handles OrderPlaced as version 2.0, but the catalogue has it handle major 1";
    assert!(refused.to_string().starts_with(told), "{refused}");
}

fn catalogue() -> Catalogue {
    let toml = r#"
        namespace = "acme"
        [services]
        web = { title = "Web" }
        shop = { title = "Shop" }
        mail = { title = "Mail" }
        billing = { title = "Billing" }
        [defaults]
        partitions = 2
        replication = 1
        min-insync-replicas = 1
        [events.OrderTaken]
        topic = "order.taken"
        description = "Somebody ordered in the browser."
        producer = "web"
        key = ["/payload/order_id"]
        versions = ["1.0"]
        [events.OrderTaken.consumers.shop]
        reads = ["/order_id", "/pence"]
        [events.OrderPlaced]
        topic = "order.placed"
        description = "An order was placed."
        producer = "shop"
        key = ["/payload/order_id"]
        versions = ["1.0", "2.0"]
        [events.OrderPlaced.consumers.mail]
        major = 1
        reads = ["/order_id", "/total"]
        [events.OrderPlaced.consumers.billing]
        major = 2
        reads = ["/order_id", "/pence"]
    "#;
    let schema = |amount: &str, kind: &str| {
        format!(
            r#"{{
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "required": ["order_id", "{amount}"],
            "properties": {{ "order_id": {{ "type": "string" }}, "{amount}": {{ "type": "{kind}" }} }}
        }}"#
        )
    };
    let read = |path: &str| {
        let is_first = path == "OrderPlaced/1.0.json";
        Ok(if is_first { schema("total", "string") } else { schema("pence", "integer") })
    };
    Catalogue::parse("acme.toml", toml, read).expect("the catalogue is right")
}
