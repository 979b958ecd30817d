//! A small catalogue for tests.

use super::Catalogue;

/// What the payload of `OrderPlaced` is.
const ORDER: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["order_id"],
    "properties": { "order_id": { "type": "string" } }
}"#;

/// The corner shop, which publishes `OrderPlaced` under tenant and order for one consumer. All else is as it is by itself.
pub(crate) fn corner(consumer: &str) -> Catalogue {
    corner_with(consumer, "", ORDER)
}

/// The same with more events, as TOML, and this schema for each of them.
pub(crate) fn corner_with(consumer: &str, more: &str, schema: &str) -> Catalogue {
    let toml = format!(
        r#"
        namespace = "corner"
        [services]
        shop = {{ title = "Shop" }}
        {consumer} = {{ title = "The consumer" }}
        [events.OrderPlaced]
        topic = "order.placed"
        description = "A customer placed an order."
        producer = "shop"
        key = ["/tenant_id", "/payload/order_id"]
        versions = ["1.0"]
        [events.OrderPlaced.consumers.{consumer}]
        reads = ["/order_id"]
        {more}"#
    );
    Catalogue::parse("corner.toml", &toml, |_| Ok(schema.to_owned()))
        .unwrap_or_else(|error| panic!("{error}"))
}
