//! Notification: a message to the customer for every news of an order.
//!
//! Only OrderPlaced says who the customer is, and it may come after the other news. So a message is written without an
//! address, addresses are kept beside, and the view `mailbox` brings the two together whichever came first. Nothing is
//! decided on both, so no transaction has to wait for another.

use event_bus::names::{EventId, TenantId};
use event_bus::store::{Migration, Tx};
use event_bus::{Context, Event, Handled, Handler};

use crate::events::{
    OrderCancelled, OrderConfirmed, OrderDispatched, OrderPlaced, PaymentRefunded,
};
use crate::now;
use crate::services::Subscriber;

pub(crate) const NAME: &str = "notification";

pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration::same(1, "messages and recipients", include_str!("notification/0001.sql"))];

pub(crate) fn attach<S: Subscriber>(service: S) -> S {
    service
        .on::<OrderPlaced>(Notification)
        .on::<OrderConfirmed>(Notification)
        .on::<OrderDispatched>(Notification)
        .on::<OrderCancelled>(Notification)
        .on::<PaymentRefunded>(Notification)
}

/// The service's handlers.
struct Notification;

impl Handler<OrderPlaced> for Notification {
    async fn handle(&self, event: Event<OrderPlaced>, context: &mut Context<'_>) -> Handled {
        let order = &event.payload;
        let sql =
            "INSERT INTO recipients (retailer_id, order_id, name, email) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (retailer_id, order_id) DO NOTHING";
        let values = [
            event.tenant.as_str().into(),
            (&order.order_id).into(),
            (&order.customer.name).into(),
            (&order.customer.email).into(),
        ];
        context.tx().execute(sql, &values).await?;
        let text = format!("We have received your order {}.", order.order_id);
        Message::new(&event.tenant, &order.order_id, "order-placed", text)
            .send(context.tx(), event.id)
            .await
    }
}

impl Handler<OrderConfirmed> for Notification {
    async fn handle(&self, event: Event<OrderConfirmed>, context: &mut Context<'_>) -> Handled {
        let order = &event.payload;
        let text = format!(
            "Your order {} is being made. It leaves us by {}.",
            order.order_id, order.expected_dispatch_on
        );
        Message::new(&event.tenant, &order.order_id, "order-confirmed", text)
            .send(context.tx(), event.id)
            .await
    }
}

impl Handler<OrderDispatched> for Notification {
    async fn handle(&self, event: Event<OrderDispatched>, context: &mut Context<'_>) -> Handled {
        let order = &event.payload;
        let text = format!(
            "Your order {} is on its way with {}, tracking number {}.",
            order.order_id, order.carrier, order.tracking_number
        );
        Message::new(&event.tenant, &order.order_id, "order-dispatched", text)
            .send(context.tx(), event.id)
            .await
    }
}

impl Handler<OrderCancelled> for Notification {
    async fn handle(&self, event: Event<OrderCancelled>, context: &mut Context<'_>) -> Handled {
        let order = &event.payload;
        let text = format!(
            "Your order {} had to be cancelled: {}.",
            order.order_id,
            order.reason.as_str()
        );
        Message::new(&event.tenant, &order.order_id, "order-cancelled", text)
            .send(context.tx(), event.id)
            .await
    }
}

impl Handler<PaymentRefunded> for Notification {
    async fn handle(&self, event: Event<PaymentRefunded>, context: &mut Context<'_>) -> Handled {
        let refund = &event.payload;
        let text =
            format!("We have refunded {} for your order {}.", refund.amount, refund.order_id);
        Message::new(&event.tenant, &refund.order_id, "payment-refunded", text)
            .send(context.tx(), event.id)
            .await
    }
}

/// A message about an order, to whoever placed it.
struct Message<'a> {
    retailer: &'a TenantId,
    order_id: &'a str,
    kind: &'static str,
    text: String,
}

impl<'a> Message<'a> {
    fn new(retailer: &'a TenantId, order_id: &'a str, kind: &'static str, text: String) -> Self {
        Self { retailer, order_id, kind, text }
    }

    async fn send(self, tx: &mut Tx, cause: EventId) -> Handled {
        let sql = "INSERT INTO messages (retailer_id, order_id, kind, text, event_id, sent_at)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let values = [
            self.retailer.as_str().into(),
            self.order_id.into(),
            self.kind.into(),
            self.text.into(),
            cause.to_string().into(),
            now().to_string().into(),
        ];
        tx.execute(sql, &values).await?;
        Ok(())
    }
}
