//! A small organisation of its own for tests of the runtime: a shop that takes orders, and a billing service whose
//! handler does what the order tells it to.

mod billing;
pub mod effects;
mod load;

use std::sync::Arc;

use event_bus::catalogue::Event as EventDefinition;
use event_bus::envelope::{Draft, OutgoingRecord};
use event_bus::kafka::producer::Delivered;
use event_bus::names::{GroupName, TenantId, TopicName};
use event_bus::{Catalogue, EventType};
use serde::{Deserialize, Serialize};

pub use billing::{
    Attempt, BILLING_TABLES, Billing, Refused, Running, open_billing, open_billing_at, run_billing,
};
pub use load::{Load, PER_SECOND};

use crate::defaults::Defaults;
use crate::{kafka, servers};

/// The tenant of all orders.
pub const TENANT: &str = "corner-shop";

const ORDER_SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["order_id", "number"],
  "properties": {
    "order_id": { "type": "string", "minLength": 1 },
    "number": { "type": "integer", "minimum": 0 },
    "fate": { "enum": ["ok", "fail", "fail-once", "reject", "panic", "hang", "swallow",
                        "emit", "slow", "emit-fail", "emit-fail-once", "meet", "kill"] }
  }
}"#;

/// What billing does with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Writes its effect.
    #[default]
    Ok,
    /// Fails at every attempt.
    Fail,
    /// Fails at the first attempt.
    FailOnce,
    /// Rejects the order.
    Reject,
    /// Panics.
    Panic,
    /// Never returns.
    Hang,
    /// Meets a database error and says nothing of it.
    Swallow,
    /// Writes its effect and emits `OrderBilled`.
    Emit,
    /// As [`Fate::Emit`], and its transaction is open for a millisecond more (on PostgreSQL).
    Slow,
    /// Emits `OrderBilled` and fails, at every attempt.
    EmitFail,
    /// Emits `OrderBilled` and fails at the first attempt.
    EmitFailOnce,
    /// Goes on only while another such order is being handled.
    Meet,
    /// Ends the process.
    Kill,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPlaced {
    /// Its key.
    pub order_id: String,
    /// Its place among the orders of its key.
    pub number: i64,
    /// What becomes of it.
    #[serde(default)]
    pub fate: Fate,
}

impl EventType for OrderPlaced {
    const NAME: &'static str = "OrderPlaced";
    const VERSION: &'static str = "1.0";
}

/// A bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderBilled {
    /// Its key.
    pub order_id: String,
    /// The order's place among the orders of its key.
    pub number: i64,
}

impl EventType for OrderBilled {
    const NAME: &'static str = "OrderBilled";
    const VERSION: &'static str = "1.0";
}

/// An order for [`publish`].
pub fn order(order_id: &str, number: i64, fate: Fate) -> OrderPlaced {
    OrderPlaced { order_id: order_id.to_owned(), number, fate }
}

/// The shop's catalogue under a namespace of its own. `settings` are TOML lines for billing's consumption of orders,
/// for example `retry = ["50ms"]`.
///
/// # Panics
/// When the settings make the catalogue contradict itself.
pub fn catalogue(partitions: u32, settings: &str) -> Arc<Catalogue> {
    catalogue_keeping("unlimited", partitions, settings)
}

/// As [`catalogue`], with topics that keep their records for so long.
///
/// # Panics
/// As [`catalogue`].
pub fn catalogue_keeping(retention: &str, partitions: u32, settings: &str) -> Arc<Catalogue> {
    let defaults = Defaults { partitions, retention, ..Defaults::QUICK };
    let toml = format!(
        r#"
        namespace = "shop"
        [services]
        shop = {{ title = "Shop" }}
        billing = {{ title = "Billing" }}
        {defaults}
        [events.OrderPlaced]
        topic = "order.placed"
        description = "An order was placed."
        producer = "shop"
        key = ["/tenant_id", "/payload/order_id"]
        versions = ["1.0"]
        [events.OrderPlaced.consumers.billing]
        reads = ["/order_id", "/number", "/fate"]
        {settings}
        [events.OrderBilled]
        topic = "order.billed"
        description = "An order was billed."
        producer = "billing"
        key = ["/tenant_id", "/payload/order_id"]
        versions = ["1.0"]
        [events.OrderBilled.consumers.shop]
        reads = ["/order_id", "/number"]
        "#
    );
    let catalogue = Catalogue::parse("shop.toml", &toml, |_| Ok(ORDER_SCHEMA.to_owned()));
    Arc::new(catalogue.expect("the shop's catalogue is right").with_namespace(servers::namespace()))
}

/// The definition of an event of the shop.
///
/// # Panics
/// When the shop does not have it.
pub fn definition<'a>(catalogue: &'a Catalogue, event: &str) -> &'a Arc<EventDefinition> {
    catalogue.event(event).expect("the shop has this event")
}

/// The topic of orders.
pub fn orders(catalogue: &Catalogue) -> TopicName {
    definition(catalogue, OrderPlaced::NAME).topic.clone()
}

/// The tenant as a name.
pub fn tenant() -> TenantId {
    TENANT.parse().expect("the tenant is a valid name")
}

/// The group in which billing consumes orders.
pub fn billing_group(catalogue: &Catalogue) -> GroupName {
    let subscription = catalogue.subscription("billing", OrderPlaced::NAME);
    subscription.expect("billing consumes orders").consumer.group.clone()
}

/// An order's record as the shop would publish it.
///
/// # Panics
/// When the order breaks its schema or a limit.
pub fn sealed(catalogue: &Catalogue, order: &OrderPlaced) -> OutgoingRecord {
    let tenant = tenant();
    let event = definition(catalogue, OrderPlaced::NAME);
    let draft = Draft::typed(event, &tenant, order, jiff::Timestamp::now())
        .expect("the order is the shop's own");
    draft.seal().expect("the order fits its schema and the limits")
}

/// Publishes orders in their order and says where each went.
///
/// # Panics
/// When Kafka does not take one.
pub async fn publish(catalogue: &Catalogue, orders: &[OrderPlaced]) -> Vec<Delivered> {
    kafka::send_all(orders.iter().map(|order| sealed(catalogue, order)).collect()).await
}
