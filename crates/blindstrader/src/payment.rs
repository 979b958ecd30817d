//! Payment: takes the money for orders, and gives it back for those that are cancelled.
//!
//! An order's placing and its cancellation come by different topics. The race: beside each other in two transactions,
//! one would capture without seeing the cancellation and the other find nothing to refund. Both write the order's row
//! with one statement that locks it and returns what was there: the second waits for the first, and then captures
//! nothing, or refunds. (No gate: the orders of two batches come in the same order, for a cancellation follows its
//! capture.)

use event_bus::names::{EventId, TenantId};
use event_bus::store::{Migration, Tx};
use event_bus::{Context, Event, Failure, Handled, Handler};

use crate::events::{
    OrderCancelled, OrderLine, OrderPlaced, PaymentCaptured, PaymentMethod, PaymentRefunded,
    RefundReason,
};
use crate::money::{Amount, Currency, Money, MoneyError};
use crate::now;
use crate::services::Subscriber;

pub(crate) const NAME: &str = "payment";

pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration::same(1, "orders, payments, refunds", include_str!("payment/0001.sql"))];

/// Up to this total, in minor units of its currency, customers pay by card.
const CARD_LIMIT_MINOR: i64 = 500_000;

pub(crate) fn attach<S: Subscriber>(service: S) -> S {
    service.on::<OrderPlaced>(Payment).on::<OrderCancelled>(Payment)
}

/// The service's handlers.
struct Payment;

/// Captures the total, unless the order is cancelled already or the same order was placed before. An order that does
/// not add up is nobody's to pay, however often it is tried.
impl Handler<OrderPlaced> for Payment {
    async fn handle(&self, event: Event<OrderPlaced>, context: &mut Context<'_>) -> Handled {
        let order = &event.payload;
        check_total(order).map_err(Failure::reject)?;
        let sql =
            "INSERT INTO orders (retailer_id, order_id, placed, cancelled) VALUES ($1, $2, 1, 0)
                   ON CONFLICT (retailer_id, order_id) DO UPDATE SET placed = orders.placed + 1
                   RETURNING placed, cancelled";
        let seen = note(context.tx(), sql, &event.tenant, &order.order_id).await?;
        if !captures(seen) {
            return Ok(());
        }
        let captured = PaymentCaptured {
            payment_id: format!("pay-{}", event.id),
            order_id: order.order_id.clone(),
            amount: Money::new(order.total, order.currency),
            method: method(order.total),
            captured_at: now(),
        };
        insert_payment(context.tx(), &event.tenant, &captured).await?;
        context.emit(&event.tenant, &captured)?;
        Ok(())
    }
}

/// Refunds what was captured. A cancellation that comes first is stored by its count.
impl Handler<OrderCancelled> for Payment {
    async fn handle(&self, event: Event<OrderCancelled>, context: &mut Context<'_>) -> Handled {
        let order_id = &event.payload.order_id;
        let sql = "INSERT INTO orders (retailer_id, order_id, placed, cancelled) VALUES ($1, $2, 0, 1)
                   ON CONFLICT (retailer_id, order_id) DO UPDATE SET cancelled = orders.cancelled + 1
                   RETURNING placed, cancelled";
        if !refunds(note(context.tx(), sql, &event.tenant, order_id).await?) {
            return Ok(());
        }
        refund(context, &event.tenant, order_id, event.id).await
    }
}

/// How often an order was reported placed and cancelled.
#[derive(Clone, Copy, Debug)]
struct Seen {
    placed: i64,
    cancelled: i64,
}

/// Whether an order that was just placed is to be paid.
fn captures(seen: Seen) -> bool {
    seen.placed == 1 && seen.cancelled == 0
}

/// Whether an order that was just cancelled is to be paid back.
fn refunds(seen: Seen) -> bool {
    seen.placed > 0 && seen.cancelled == 1
}

/// An order whose total is not what its lines cost.
#[derive(Debug, thiserror::Error)]
enum WrongTotal {
    #[error("the order {order_id} says {said} and its lines cost {cost}")]
    Differs { order_id: String, said: Amount, cost: Amount },
    #[error("the order {order_id} costs more than can be paid")]
    TooMuch {
        order_id: String,
        #[source]
        source: MoneyError,
    },
}

fn check_total(order: &OrderPlaced) -> Result<(), WrongTotal> {
    let order_id = || order.order_id.clone();
    let cost = OrderLine::total_of(&order.lines)
        .map_err(|source| WrongTotal::TooMuch { order_id: order_id(), source })?;
    if cost == order.total {
        Ok(())
    } else {
        Err(WrongTotal::Differs { order_id: order_id(), said: order.total, cost })
    }
}

fn method(total: Amount) -> PaymentMethod {
    if total.minor_units() <= CARD_LIMIT_MINOR {
        PaymentMethod::Card
    } else {
        PaymentMethod::BankTransfer
    }
}

/// Counts an event at its order's row, which stays locked, and gives what the row then says.
async fn note(
    tx: &mut Tx,
    sql: &'static str,
    retailer: &TenantId,
    order_id: &str,
) -> Result<Seen, sqlx::Error> {
    let row = tx.fetch_optional(sql, &[retailer.as_str().into(), order_id.into()]).await?;
    let row = row.ok_or(sqlx::Error::RowNotFound)?;
    Ok(Seen { placed: row.get("placed")?, cancelled: row.get("cancelled")? })
}

async fn insert_payment(
    tx: &mut Tx,
    retailer: &TenantId,
    captured: &PaymentCaptured,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO payments (retailer_id, order_id, payment_id, amount_minor, currency, captured_at)
               VALUES ($1, $2, $3, $4, $5, $6)";
    let values = [
        retailer.as_str().into(),
        (&captured.order_id).into(),
        (&captured.payment_id).into(),
        captured.amount.amount.minor_units().into(),
        captured.amount.currency.as_str().into(),
        captured.captured_at.to_string().into(),
    ];
    tx.execute(sql, &values).await.map(drop)
}

/// Gives back every payment of an order.
async fn refund(
    context: &mut Context<'_>,
    retailer: &TenantId,
    order_id: &str,
    cause: EventId,
) -> Handled {
    let sql = "SELECT payment_id, amount_minor, currency FROM payments WHERE retailer_id = $1 AND order_id = $2";
    for row in context.tx().fetch_all(sql, &[retailer.as_str().into(), order_id.into()]).await? {
        let refunded = PaymentRefunded {
            refund_id: format!("ref-{cause}"),
            payment_id: row.get("payment_id")?,
            order_id: order_id.to_owned(),
            amount: money(row.get("amount_minor")?, &row.get::<String>("currency")?)?,
            reason: RefundReason::OrderCancelled,
            refunded_at: now(),
        };
        insert_refund(context.tx(), retailer, &refunded).await?;
        context.emit(retailer, &refunded)?;
    }
    Ok(())
}

fn money(minor_units: i64, currency: &str) -> Result<Money, MoneyError> {
    Ok(Money::new(Amount::from_minor_units(minor_units)?, currency.parse::<Currency>()?))
}

async fn insert_refund(
    tx: &mut Tx,
    retailer: &TenantId,
    refunded: &PaymentRefunded,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO refunds (retailer_id, order_id, refund_id, payment_id, amount_minor, currency, refunded_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = [
        retailer.as_str().into(),
        (&refunded.order_id).into(),
        (&refunded.refund_id).into(),
        (&refunded.payment_id).into(),
        refunded.amount.amount.minor_units().into(),
        refunded.amount.currency.as_str().into(),
        refunded.refunded_at.to_string().into(),
    ];
    tx.execute(sql, &values).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_paid_once_and_not_when_its_cancellation_came_first() {
        assert!(captures(Seen { placed: 1, cancelled: 0 }));
        assert!(!captures(Seen { placed: 2, cancelled: 0 }));
        assert!(!captures(Seen { placed: 1, cancelled: 1 }));
    }

    #[test]
    fn an_order_is_paid_back_once_and_only_when_it_was_placed() {
        assert!(refunds(Seen { placed: 1, cancelled: 1 }));
        assert!(!refunds(Seen { placed: 0, cancelled: 1 }));
        assert!(!refunds(Seen { placed: 1, cancelled: 2 }));
    }

    #[test]
    fn large_totals_are_paid_by_transfer() {
        assert_eq!(method("5000.00".parse().unwrap()), PaymentMethod::Card);
        assert_eq!(method("5000.01".parse().unwrap()), PaymentMethod::BankTransfer);
    }
}
