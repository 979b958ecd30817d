//! What both sides of the comparison send.

use std::sync::Arc;

use event_bus::envelope::{Draft, EventType, OutgoingRecord};
use event_bus::names::TenantId;
use event_bus::{Catalogue, KafkaConfig};
use serde::{Deserialize, Serialize};

use crate::contract::Contract;

/// An order of about 250 bytes, whose envelope has about 400.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderPlaced {
    order_id: String,
    currency: String,
    total: String,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    sku: String,
    quantity: u32,
    unit_price: String,
}

impl EventType for OrderPlaced {
    const NAME: &'static str = "OrderPlaced";
    const VERSION: &'static str = "1.0";
}

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["order_id", "currency", "total", "lines"],
  "properties": {
    "order_id": { "type": "string", "pattern": "^o-[0-9]+$" },
    "currency": { "enum": ["GBP", "EUR"] },
    "total": { "type": "string", "pattern": "^[0-9]+\\.[0-9]{2}$" },
    "lines": {
      "type": "array", "minItems": 1,
      "items": {
        "type": "object",
        "required": ["sku", "quantity", "unit_price"],
        "properties": {
          "sku": { "type": "string", "minLength": 1 },
          "quantity": { "type": "integer", "minimum": 1 },
          "unit_price": { "type": "string", "pattern": "^[0-9]+\\.[0-9]{2}$" }
        }
      }
    }
  }
}"#;

/// The contract with its topics.
pub async fn catalogue(kafka: &KafkaConfig) -> Arc<Catalogue> {
    let contract = Contract { schema: SCHEMA, key: r#"["/tenant_id", "/payload/order_id"]"# };
    contract.create(kafka, "").await
}

/// The order of a number.
pub fn order(number: usize) -> OrderPlaced {
    let line = |sku: &str, quantity| Line {
        sku: sku.to_owned(),
        quantity,
        unit_price: "32.45".to_owned(),
    };
    OrderPlaced {
        order_id: format!("o-{number}"),
        currency: "GBP".to_owned(),
        total: "129.80".to_owned(),
        lines: vec![line("ROLLER-BLACKOUT-WHITE", 1), line("VENETIAN-ALU-25-SILVER", 3)],
    }
}

/// The orders' records, as the publisher makes them.
pub fn sealed(
    catalogue: &Catalogue,
    tenant: &TenantId,
    orders: &[OrderPlaced],
) -> Vec<OutgoingRecord> {
    let event = catalogue.event(OrderPlaced::NAME).expect("the catalogue has it");
    orders
        .iter()
        .map(|order| {
            let draft = Draft::typed(event, tenant, order, jiff::Timestamp::now())
                .expect("the order fits its event");
            draft.seal().expect("the order is valid")
        })
        .collect()
}
