//! Placing an order at a retailer.

use event_bus::Context;
use event_bus::handler::EmitError;
use event_bus::names::{EventId, NameError, TenantId};
use event_bus::store::Tx;

use super::assortment::{Product, ReadError};
use super::orders::Status;
use crate::events::{Customer, OrderLine, OrderPlaced};
use crate::money::{Currency, MoneyError};
use crate::now;

/// What a customer orders.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// The retailer that sells.
    pub retailer_id: String,
    /// The person the goods go to.
    pub customer: Customer,
    /// The products, at the retailer's prices.
    pub lines: Vec<NewLine>,
}

/// One product, made to one size.
#[derive(Clone, Debug)]
pub struct NewLine {
    /// The supplier that makes it.
    pub supplier_id: String,
    /// The product.
    pub sku: String,
    /// Pieces.
    pub quantity: u32,
    /// Width to make, in millimetres.
    pub width_mm: u32,
    /// Drop to make, in millimetres.
    pub drop_mm: u32,
}

/// An order that can't be placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceOrderError {
    /// The retailer does not sell the product, or no longer.
    #[error("{retailer_id} does not sell {sku} of {supplier_id}")]
    NotOnSale {
        /// The retailer that was asked.
        retailer_id: String,
        /// The supplier that was named.
        supplier_id: String,
        /// The product that was asked for.
        sku: String,
    },
    /// An order without lines, or with more than can be counted.
    #[error("an order has at least one line and at most as many as fit the contract")]
    LineCount,
    /// Products in two currencies.
    #[error("an order is in one currency, this one in {first} and {second}")]
    MixedCurrencies {
        /// The currency of the first line.
        first: Currency,
        /// Another line's.
        second: Currency,
    },
    /// The total is too large.
    #[error("the order's total can't be computed")]
    Money(#[from] MoneyError),
    /// The assortment can't be read.
    #[error(transparent)]
    Assortment(#[from] ReadError),
    /// The retailer's id can't be a tenant.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The event breaks the contract.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The database's.
    #[error("the order could not be written")]
    Database(#[from] sqlx::Error),
}

/// Writes an order and publishes that it was placed. Gives what was published.
///
/// # Errors
/// When a product is not on sale, when the event breaks its schema, or the database's.
pub async fn place_order(
    context: &mut Context<'_>,
    order: NewOrder,
) -> Result<OrderPlaced, PlaceOrderError> {
    let tenant = TenantId::new(&order.retailer_id)?;
    let (currency, lines) = priced_lines(context.tx(), &order).await?;
    let placed = OrderPlaced {
        order_id: format!("o-{}", EventId::at(jiff::Timestamp::now())),
        retailer_id: order.retailer_id,
        placed_at: now(),
        customer: order.customer,
        currency,
        total: OrderLine::total_of(&lines)?,
        lines,
    };
    insert_order(context.tx(), &placed).await?;
    for line in &placed.lines {
        insert_line(context.tx(), &placed, line).await?;
    }
    context.emit(&tenant, &placed)?;
    Ok(placed)
}

/// The lines at the retailer's prices, and their currency.
async fn priced_lines(
    tx: &mut Tx,
    order: &NewOrder,
) -> Result<(Currency, Vec<OrderLine>), PlaceOrderError> {
    let mut currency = None;
    let mut lines = Vec::with_capacity(order.lines.len());
    for (line, line_no) in order.lines.iter().zip(1..) {
        let price = on_sale(tx, &order.retailer_id, line).await?.retail_price;
        let first = *currency.get_or_insert(price.currency);
        if first != price.currency {
            return Err(PlaceOrderError::MixedCurrencies { first, second: price.currency });
        }
        lines.push(OrderLine {
            line_no,
            sku: line.sku.clone(),
            supplier_id: line.supplier_id.clone(),
            quantity: line.quantity,
            width_mm: line.width_mm,
            drop_mm: line.drop_mm,
            unit_price: price.amount,
        });
    }
    Ok((currency.ok_or(PlaceOrderError::LineCount)?, lines))
}

async fn on_sale(
    tx: &mut Tx,
    retailer_id: &str,
    line: &NewLine,
) -> Result<Product, PlaceOrderError> {
    let sql = "SELECT retailer_id, supplier_id, sku, retail_price_minor, currency
               FROM assortment WHERE retailer_id = $1 AND supplier_id = $2 AND sku = $3 AND on_sale = 1";
    let row = tx
        .fetch_optional(sql, &[retailer_id.into(), (&line.supplier_id).into(), (&line.sku).into()])
        .await?;
    let row = row.ok_or_else(|| PlaceOrderError::NotOnSale {
        retailer_id: retailer_id.to_owned(),
        supplier_id: line.supplier_id.clone(),
        sku: line.sku.clone(),
    })?;
    Ok(Product::of(&row)?)
}

async fn insert_order(tx: &mut Tx, order: &OrderPlaced) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO orders (retailer_id, order_id, status, status_rank, placed_at, customer_name,
                                   customer_email, total_minor, currency, confirmed, dispatched, cancelled)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0)";
    let values = [
        (&order.retailer_id).into(),
        (&order.order_id).into(),
        Status::Placed.as_str().into(),
        Status::Placed.rank().into(),
        order.placed_at.to_string().into(),
        (&order.customer.name).into(),
        (&order.customer.email).into(),
        order.total.minor_units().into(),
        order.currency.as_str().into(),
    ];
    tx.execute(sql, &values).await.map(drop)
}

async fn insert_line(
    tx: &mut Tx,
    order: &OrderPlaced,
    line: &OrderLine,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO order_lines (retailer_id, order_id, line_no, supplier_id, sku, quantity, width_mm,
                                        drop_mm, unit_price_minor)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values = [
        (&order.retailer_id).into(),
        (&order.order_id).into(),
        line.line_no.into(),
        (&line.supplier_id).into(),
        (&line.sku).into(),
        line.quantity.into(),
        line.width_mm.into(),
        line.drop_mm.into(),
        line.unit_price.minor_units().into(),
    ];
    tx.execute(sql, &values).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(quantity: u32, unit_price: &str) -> OrderLine {
        OrderLine {
            line_no: 1,
            sku: "LOU-RB-1001".into(),
            supplier_id: "decorquip".into(),
            quantity,
            width_mm: 1180,
            drop_mm: 1420,
            unit_price: unit_price.parse().unwrap(),
        }
    }

    #[test]
    fn the_total_is_the_sum_of_quantity_times_price() {
        let total = OrderLine::total_of(&[line(2, "59.95"), line(1, "104.00")]);
        assert_eq!(total.unwrap().to_string(), "223.90");
        let total = OrderLine::total_of(&[line(9999, "999999999999.99")]);
        assert_eq!(total, Err(MoneyError::OutOfRange));
    }
}
