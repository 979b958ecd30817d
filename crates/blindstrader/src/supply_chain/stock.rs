//! The pieces in the warehouse. Everything here runs behind the gate.

use event_bus::Failure;
use event_bus::store::Tx;

use super::decision::{DISCONTINUED_PREFIX, Pieces, decide, is_discontinued};
use crate::events::CancellationReason;

/// Pieces of a SKU that are in stock when it is first ordered, and that a delivery brings.
const DELIVERY: i64 = 500;
/// Below so many pieces of a SKU the warehouse has more delivered.
const LOW: i64 = 50;

/// Stock that was there a moment ago. The gate rules it out; were it gone, this undoes what the order took already.
#[derive(Debug, thiserror::Error)]
#[error("the stock of {sku} changed meanwhile")]
struct StockMoved {
    sku: String,
}

/// Takes all pieces from stock, or none and says why.
pub(super) async fn take(
    tx: &mut Tx,
    needed: &Pieces,
) -> Result<Result<(), CancellationReason>, Failure> {
    let mut in_stock = Pieces::new();
    for sku in needed.keys() {
        in_stock.insert(sku.clone(), quantity(tx, sku).await?);
    }
    if let Err(reason) = decide(needed, &in_stock) {
        return Ok(Err(reason));
    }
    for (sku, pieces) in needed {
        let sql = "UPDATE stock SET quantity = quantity - $1 WHERE sku = $2 AND quantity >= $1";
        if tx.execute(sql, &[(*pieces).into(), sku.into()]).await? == 0 {
            return Err(StockMoved { sku: sku.clone() }.into());
        }
    }
    Ok(Ok(()))
}

/// Takes delivery of every SKU that runs low; what is no longer made never comes again.
pub(super) async fn replenish(tx: &mut Tx) -> Result<(), sqlx::Error> {
    let sql = "UPDATE stock SET quantity = quantity + $1 WHERE quantity < $2 AND sku NOT LIKE $3";
    let discontinued = format!("{DISCONTINUED_PREFIX}%");
    tx.execute(sql, &[DELIVERY.into(), LOW.into(), discontinued.into()]).await.map(drop)
}

/// The pieces of a SKU; a SKU that is new here gets its opening stock.
async fn quantity(tx: &mut Tx, sku: &str) -> Result<i64, sqlx::Error> {
    let opening = if is_discontinued(sku) { 0 } else { DELIVERY };
    let sql = "INSERT INTO stock (sku, quantity) VALUES ($1, $2) ON CONFLICT (sku) DO NOTHING";
    tx.execute(sql, &[sku.into(), opening.into()]).await?;
    let row = tx.fetch_optional("SELECT quantity FROM stock WHERE sku = $1", &[sku.into()]).await?;
    row.ok_or(sqlx::Error::RowNotFound)?.get("quantity")
}
