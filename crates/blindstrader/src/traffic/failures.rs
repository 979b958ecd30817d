//! Events that fail, as a producer outside of the platform would publish them: each kind ends as a dead letter.

use std::time::Duration;

use bytes::Bytes;
use event_bus::EventType;
use event_bus::envelope::OutgoingRecord;
use event_bus::kafka::producer::SendError;
use event_bus::names::{EventId, NameError, TenantId};
use event_bus::publisher::{PublishError, Publisher};
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use super::warn;
use crate::events::{
    Address, Category, Customer, OrderLine, OrderPlaced, PaymentCaptured, PaymentRefunded,
    SupplierProductPublished,
};
use crate::money::{Amount, Currency, Money, MoneyError};
use crate::now;

/// The usual wait between two events that fail.
pub const FAILURE_PAUSE: Duration = Duration::from_secs(3);

/// The tenant in whose name they are published.
const TENANT: &str = "blinds-by-fax";

/// What a foreign producer does wrong.
#[derive(Clone, Copy, Debug)]
enum Mistake {
    /// The bytes are no JSON: dead at once, in every group.
    CutOff,
    /// A payload that breaks its schema: dead at once, in every group.
    BrokenSchema,
    /// A major version that nobody knows: dead at once, in every group.
    FutureVersion,
    /// An order whose total is not what its lines cost: payment rejects it, the others take it.
    WrongTotal,
    /// A price that no retailer can put its margin on: the handler fails, is tried three more times, and then the event
    /// is dead.
    AbsurdPrice,
}

const MISTAKES: [Mistake; 5] = [
    Mistake::AbsurdPrice,
    Mistake::CutOff,
    Mistake::WrongTotal,
    Mistake::BrokenSchema,
    Mistake::FutureVersion,
];

/// An event that could not even be published.
#[derive(Debug, thiserror::Error)]
enum FailError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// Publishes one event after the other that fails, with `pause` between two, until `shutdown`.
pub async fn fail(publisher: Publisher, pause: Duration, shutdown: impl Future<Output = ()>) {
    let failing = async {
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for mistake in MISTAKES.into_iter().cycle() {
            ticks.tick().await;
            if let Err(error) = mistake.publish(&publisher).await {
                warn(&error, "an event that is to fail could not be published");
            }
        }
    };
    tokio::select! {
        () = failing => {}
        () = shutdown => {}
    }
}

impl Mistake {
    async fn publish(self, publisher: &Publisher) -> Result<(), FailError> {
        let tenant = TenantId::new(TENANT)?;
        match self {
            Self::CutOff => {
                let envelope = envelope::<PaymentCaptured>("1.0", r#"{"amount":"#);
                raw::<PaymentCaptured>(publisher, &envelope[..envelope.len() / 2]).await?;
            }
            Self::BrokenSchema => {
                let payload = r#"{"supplier_id":"blinds-by-fax","lead_time_days":"soon"}"#;
                let envelope = envelope::<SupplierProductPublished>("1.0", payload);
                raw::<SupplierProductPublished>(publisher, &envelope).await?;
            }
            Self::FutureVersion => {
                let envelope = envelope::<PaymentRefunded>("2.0", r#"{"refund":"unlike today's"}"#);
                raw::<PaymentRefunded>(publisher, &envelope).await?;
            }
            Self::WrongTotal => drop(publisher.publish(&tenant, &order_with_wrong_total()?).await?),
            Self::AbsurdPrice => drop(publisher.publish(&tenant, &absurd_offer()).await?),
        }
        Ok(())
    }
}

fn envelope<E: EventType>(version: &str, payload: &str) -> String {
    let (id, event) = (EventId::at(Timestamp::now()), E::NAME);
    format!(
        r#"{{"event_id":"{id}","event":"{event}","version":"{version}","occurred_at":"{}","service":"fax","tenant_id":"{TENANT}","payload":{payload}}}"#,
        now()
    )
}

/// Sends bytes that the publisher would refuse as an event.
async fn raw<E: EventType>(publisher: &Publisher, value: &str) -> Result<(), FailError> {
    let unknown = || PublishError::UnknownEvent { event: E::NAME.to_owned() };
    let event = publisher.catalogue().event(E::NAME).ok_or_else(unknown)?;
    let record = OutgoingRecord {
        topic: event.topic.clone(),
        partition: None,
        key: Some(Bytes::from_static(TENANT.as_bytes())),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Vec::new(),
        event_id: EventId::at(Timestamp::now()),
    };
    publisher.send(record).await?;
    Ok(())
}

fn order_with_wrong_total() -> Result<OrderPlaced, MoneyError> {
    let line = OrderLine {
        line_no: 1,
        sku: "LOUVOLITE-RB-1001".to_owned(),
        supplier_id: "decorquip".to_owned(),
        quantity: 2,
        width_mm: 1200,
        drop_mm: 1400,
        unit_price: Amount::from_minor_units(5995)?,
    };
    let delivery_address = Address {
        line1: "4 Mill Road".to_owned(),
        line2: None,
        town: "Halifax".to_owned(),
        postcode: "HX1 1UN".to_owned(),
        country: "GB".to_owned(),
    };
    Ok(OrderPlaced {
        order_id: format!("o-fax-{}", EventId::at(Timestamp::now())),
        retailer_id: TENANT.to_owned(),
        placed_at: now(),
        customer: Customer {
            name: "Grace Okafor".to_owned(),
            email: "fax@example.com".to_owned(),
            delivery_address,
        },
        currency: Currency::GBP,
        total: Amount::from_minor_units(1)?,
        lines: vec![line],
    })
}

fn absurd_offer() -> SupplierProductPublished {
    SupplierProductPublished {
        supplier_id: TENANT.to_owned(),
        brand_id: TENANT.to_owned(),
        sku: format!("FAX-{}", Timestamp::now().as_millisecond()),
        name: "Roller Blind, price to be confirmed".to_owned(),
        category: Category::RollerBlind,
        catalog_version: 1,
        trade_price: Money::new(Amount::MAX, Currency::GBP),
        lead_time_days: 10,
    }
}
