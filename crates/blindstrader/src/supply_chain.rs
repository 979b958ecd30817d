//! Supply chain: an order that is placed and paid is confirmed and dispatched if the stock suffices, else cancelled.
//!
//! The race: an order's placing and its payment come by different topics. Beside each other in two transactions, each
//! would store its half and miss the other's, and the order would wait for ever. And orders beside each other would
//! count on the same pieces. Both handlers pass the gate first: it guards the warehouse, and the second comer sees
//! both halves and the stock that is left.

mod decision;
mod stock;

use event_bus::names::{EventId, TenantId};
use event_bus::store::{Migration, Tx};
use event_bus::{Context, Event, Failure, Handled, Handler};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::events::{
    CancellationReason, ConfirmedLine, OrderCancelled, OrderConfirmed, OrderDispatched, OrderLine,
    OrderPlaced, PaymentCaptured,
};
use crate::services::Subscriber;
use crate::{gate, now};
use decision::{needed, parcels, tracking_number};

pub(crate) use decision::is_discontinued;

pub(crate) const NAME: &str = "supply-chain";

pub(crate) const MIGRATIONS: &[Migration] = &[
    gate::MIGRATION,
    Migration::same(2, "fulfilments and stock", include_str!("supply_chain/0001.sql")),
];

/// Who collects from the warehouse.
const CARRIER: &str = "DPD";
/// Days from confirmation to the day on which the goods are promised to leave.
const DISPATCH_DAYS: i64 = 5;

pub(crate) fn attach<S: Subscriber>(service: S) -> S {
    service.on::<OrderPlaced>(SupplyChain).on::<PaymentCaptured>(SupplyChain)
}

/// The service's handlers.
struct SupplyChain;

impl Handler<OrderPlaced> for SupplyChain {
    async fn handle(&self, event: Event<OrderPlaced>, context: &mut Context<'_>) -> Handled {
        let order = Order { retailer: event.tenant, id: event.payload.order_id, cause: event.id };
        gate::pass(context.tx()).await?;
        let sql = "INSERT INTO fulfilments (retailer_id, order_id, status, placed, paid) VALUES ($1, $2, 'waiting', 1, 0)
                   ON CONFLICT (retailer_id, order_id) DO UPDATE SET placed = fulfilments.placed + 1
                   RETURNING status, placed, paid";
        let seen = note(context.tx(), sql, &order).await?;
        if seen.placed == 1 {
            insert_lines(context.tx(), &order, &event.payload.lines).await?;
        }
        fulfil(context, &order, &seen).await
    }
}

impl Handler<PaymentCaptured> for SupplyChain {
    async fn handle(&self, event: Event<PaymentCaptured>, context: &mut Context<'_>) -> Handled {
        let order = Order { retailer: event.tenant, id: event.payload.order_id, cause: event.id };
        gate::pass(context.tx()).await?;
        let sql = "INSERT INTO fulfilments (retailer_id, order_id, status, placed, paid) VALUES ($1, $2, 'waiting', 0, 1)
                   ON CONFLICT (retailer_id, order_id) DO UPDATE SET paid = fulfilments.paid + 1
                   RETURNING status, placed, paid";
        let seen = note(context.tx(), sql, &order).await?;
        fulfil(context, &order, &seen).await
    }
}

/// Fills up the warehouse where it runs low, behind the gate as all that changes it.
pub(crate) async fn replenish(tx: &mut Tx) -> Result<(), sqlx::Error> {
    gate::pass(tx).await?;
    stock::replenish(tx).await
}

/// An order, and the event that is being handled for it.
struct Order {
    retailer: TenantId,
    id: String,
    cause: EventId,
}

/// What an order's row says: how often it was reported placed and paid, and what came of it.
#[derive(Debug)]
struct Seen {
    status: String,
    placed: i64,
    paid: i64,
}

impl Seen {
    fn is_ready(&self) -> bool {
        self.status == "waiting" && self.placed > 0 && self.paid > 0
    }
}

async fn note(tx: &mut Tx, sql: &'static str, order: &Order) -> Result<Seen, sqlx::Error> {
    let row = tx.fetch_optional(sql, &[order.retailer.as_str().into(), (&order.id).into()]).await?;
    let row = row.ok_or(sqlx::Error::RowNotFound)?;
    Ok(Seen { status: row.get("status")?, placed: row.get("placed")?, paid: row.get("paid")? })
}

async fn insert_lines(tx: &mut Tx, order: &Order, lines: &[OrderLine]) -> Result<(), sqlx::Error> {
    for line in lines {
        let sql = "INSERT INTO fulfilment_lines (retailer_id, order_id, line_no, sku, quantity)
                   VALUES ($1, $2, $3, $4, $5)";
        let values = [
            order.retailer.as_str().into(),
            (&order.id).into(),
            line.line_no.into(),
            (&line.sku).into(),
            line.quantity.into(),
        ];
        tx.execute(sql, &values).await?;
    }
    Ok(())
}

async fn lines(tx: &mut Tx, order: &Order) -> Result<Vec<ConfirmedLine>, Failure> {
    let sql = "SELECT line_no, sku, quantity FROM fulfilment_lines
               WHERE retailer_id = $1 AND order_id = $2 ORDER BY line_no";
    let mut lines = Vec::new();
    for row in tx.fetch_all(sql, &[order.retailer.as_str().into(), (&order.id).into()]).await? {
        lines.push(ConfirmedLine {
            line_no: u32::try_from(row.get::<i64>("line_no")?)?,
            sku: row.get("sku")?,
            quantity: u32::try_from(row.get::<i64>("quantity")?)?,
        });
    }
    Ok(lines)
}

/// Decides on an order as soon as it is placed and paid, once.
async fn fulfil(context: &mut Context<'_>, order: &Order, seen: &Seen) -> Handled {
    if !seen.is_ready() {
        return Ok(());
    }
    let lines = lines(context.tx(), order).await?;
    match stock::take(context.tx(), &needed(&lines)).await? {
        Ok(()) => dispatch(context, order, lines).await,
        Err(reason) => cancel(context, order, reason).await,
    }
}

/// Confirms and dispatches. The two events go by two topics, so either may arrive first.
async fn dispatch(context: &mut Context<'_>, order: &Order, lines: Vec<ConfirmedLine>) -> Handled {
    set_status(context.tx(), order, "dispatched", None).await?;
    let now = now();
    let dispatched = OrderDispatched {
        order_id: order.id.clone(),
        dispatched_at: now,
        carrier: CARRIER.to_owned(),
        tracking_number: tracking_number(order.cause),
        parcels: parcels(&lines),
    };
    let confirmed = OrderConfirmed {
        order_id: order.id.clone(),
        confirmed_at: now,
        expected_dispatch_on: expected_dispatch(now)?,
        lines,
    };
    context.emit(&order.retailer, &confirmed)?;
    context.emit(&order.retailer, &dispatched)?;
    Ok(())
}

async fn cancel(context: &mut Context<'_>, order: &Order, reason: CancellationReason) -> Handled {
    set_status(context.tx(), order, "cancelled", Some(reason)).await?;
    let cancelled = OrderCancelled { order_id: order.id.clone(), reason, cancelled_at: now() };
    context.emit(&order.retailer, &cancelled)?;
    Ok(())
}

async fn set_status(
    tx: &mut Tx,
    order: &Order,
    status: &str,
    reason: Option<CancellationReason>,
) -> Result<(), sqlx::Error> {
    let sql =
        "UPDATE fulfilments SET status = $3, reason = $4 WHERE retailer_id = $1 AND order_id = $2";
    let reason = reason.map(|reason| reason.as_str().to_owned());
    let values = [order.retailer.as_str().into(), (&order.id).into(), status.into(), reason.into()];
    tx.execute(sql, &values).await.map(drop)
}

fn expected_dispatch(now: Timestamp) -> Result<jiff::civil::Date, jiff::Error> {
    now.to_zoned(TimeZone::UTC).date().checked_add(DISPATCH_DAYS.days())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: &str, placed: i64, paid: i64) -> Seen {
        Seen { status: status.to_owned(), placed, paid }
    }

    #[test]
    fn an_order_is_decided_on_once_it_is_placed_and_paid_and_never_again() {
        assert!(!seen("waiting", 1, 0).is_ready());
        assert!(!seen("waiting", 0, 1).is_ready());
        assert!(seen("waiting", 1, 1).is_ready());
        assert!(!seen("dispatched", 2, 1).is_ready());
        assert!(!seen("cancelled", 1, 2).is_ready());
    }
}
