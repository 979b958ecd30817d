//! What retailers sell. All that changes it runs behind the gate.

use event_bus::names::TenantId;
use event_bus::store::{Row, Tx};
use event_bus::{Context, Failure, Handled};

use crate::events::{RetailerProductAdopted, SupplierProductPublished};
use crate::money::{Amount, Money, MoneyError};
use crate::now;

/// What a retailer's customers pay, in per cent of what the retailer pays.
const RETAIL_PERCENT: u32 = 180;

/// A query for the offers that retailers may adopt and have not.
macro_rules! pending {
    ($which:literal) => {
        concat!(
            "SELECT t.retailer_id, o.supplier_id, o.sku, o.trade_price_minor, o.currency
             FROM trading t
             JOIN offers o ON o.supplier_id = t.supplier_id AND o.catalog_version > 0
             JOIN organisations r ON r.organisation_id = t.retailer_id AND r.created > 0 AND r.terminated = 0
             WHERE ",
            $which,
            " AND NOT EXISTS (SELECT 1 FROM organisations s
                              WHERE s.organisation_id = o.supplier_id AND s.terminated > 0)
              AND NOT EXISTS (SELECT 1 FROM assortment a
                              WHERE a.retailer_id = t.retailer_id AND a.supplier_id = o.supplier_id
                                AND a.sku = o.sku)
             ORDER BY t.retailer_id, o.supplier_id, o.sku"
        )
    };
}

/// A product in a retailer's assortment.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub retailer_id: String,
    pub supplier_id: String,
    pub sku: String,
    pub retail_price: Money,
}

impl Product {
    /// The product of a row with a `retail_price_minor`.
    pub(super) fn of(row: &Row) -> Result<Self, ReadError> {
        let amount = Amount::from_minor_units(row.get("retail_price_minor")?)?;
        Ok(Self {
            retailer_id: row.get("retailer_id")?,
            supplier_id: row.get("supplier_id")?,
            sku: row.get("sku")?,
            retail_price: Money::new(amount, row.get::<String>("currency")?.parse()?),
        })
    }
}

/// A product that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database's.
    #[error("the assortment could not be read")]
    Database(#[from] sqlx::Error),
    /// What is stored is no price.
    #[error("a price in the assortment could not be read")]
    Money(#[from] MoneyError),
}

/// Some product that is on sale at some retailer.
pub(crate) async fn random_product(tx: &mut Tx) -> Result<Option<Product>, ReadError> {
    let sql = "SELECT retailer_id, supplier_id, sku, retail_price_minor, currency
               FROM assortment WHERE on_sale = 1 ORDER BY random() LIMIT 1";
    tx.fetch_optional(sql, &[]).await?.as_ref().map(Product::of).transpose()
}

/// Notes which suppliers a retailer buys from.
pub(super) async fn note_suppliers(
    tx: &mut Tx,
    retailer_id: &str,
    suppliers: &[String],
) -> Result<(), sqlx::Error> {
    for supplier_id in suppliers {
        let sql = "INSERT INTO trading (retailer_id, supplier_id) VALUES ($1, $2)
                   ON CONFLICT (retailer_id, supplier_id) DO NOTHING";
        tx.execute(sql, &[retailer_id.into(), supplier_id.into()]).await?;
    }
    Ok(())
}

/// Stores an offer if it is from a newer catalogue version than the known one, and then prices what is on sale anew. An
/// offer that can't be priced is not stored, or it would fail whoever adopts it later.
pub(super) async fn store_offer(
    tx: &mut Tx,
    offer: &SupplierProductPublished,
) -> Result<(), Failure> {
    let price = retail_price(offer.trade_price)?;
    let sql = "INSERT INTO offers (supplier_id, sku, name, category, catalog_version, trade_price_minor, currency,
                                   lead_time_days, updates)
               VALUES ($1, $2, '', '', 0, 0, '', 0, 1)
               ON CONFLICT (supplier_id, sku) DO UPDATE SET updates = offers.updates + 1";
    tx.execute(sql, &[(&offer.supplier_id).into(), (&offer.sku).into()]).await?;
    let sql =
        "UPDATE offers SET name = $3, category = $4, catalog_version = $5, trade_price_minor = $6,
                                 currency = $7, lead_time_days = $8
               WHERE supplier_id = $1 AND sku = $2 AND catalog_version < $5";
    let values = [
        (&offer.supplier_id).into(),
        (&offer.sku).into(),
        (&offer.name).into(),
        offer.category.as_str().into(),
        offer.catalog_version.into(),
        offer.trade_price.amount.minor_units().into(),
        offer.trade_price.currency.as_str().into(),
        offer.lead_time_days.into(),
    ];
    if tx.execute(sql, &values).await? == 1 {
        reprice(tx, &offer.supplier_id, &offer.sku, price).await?;
    }
    Ok(())
}

async fn reprice(
    tx: &mut Tx,
    supplier_id: &str,
    sku: &str,
    price: Money,
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE assortment SET retail_price_minor = $3, currency = $4 WHERE supplier_id = $1 AND sku = $2";
    let (amount, currency) = (price.amount.minor_units(), price.currency.as_str());
    tx.execute(sql, &[supplier_id.into(), sku.into(), amount.into(), currency.into()])
        .await
        .map(drop)
}

/// Every retailer that buys from the supplier adopts its offer.
pub(super) async fn adopt_offer(
    context: &mut Context<'_>,
    supplier_id: &str,
    sku: &str,
) -> Handled {
    let sql = pending!("o.supplier_id = $1 AND o.sku = $2");
    let rows = context.tx().fetch_all(sql, &[supplier_id.into(), sku.into()]).await?;
    adopt_each(context, &rows).await
}

/// A retailer adopts every offer of its suppliers.
pub(super) async fn adopt_all(context: &mut Context<'_>, retailer_id: &str) -> Handled {
    let sql = pending!("t.retailer_id = $1");
    let rows = context.tx().fetch_all(sql, &[retailer_id.into()]).await?;
    adopt_each(context, &rows).await
}

async fn adopt_each(context: &mut Context<'_>, rows: &[Row]) -> Handled {
    for row in rows {
        let amount = Amount::from_minor_units(row.get("trade_price_minor")?)?;
        let trade_price = Money::new(amount, row.get::<String>("currency")?.parse()?);
        let adopted = RetailerProductAdopted {
            retailer_id: row.get("retailer_id")?,
            supplier_id: row.get("supplier_id")?,
            sku: row.get("sku")?,
            retail_price: retail_price(trade_price)?,
            adopted_at: now(),
        };
        insert(context.tx(), &adopted).await?;
        context.emit(&TenantId::new(&adopted.retailer_id)?, &adopted)?;
    }
    Ok(())
}

async fn insert(tx: &mut Tx, adopted: &RetailerProductAdopted) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO assortment
                   (retailer_id, supplier_id, sku, retail_price_minor, currency, adopted_at, on_sale)
               VALUES ($1, $2, $3, $4, $5, $6, 1)";
    let values = [
        (&adopted.retailer_id).into(),
        (&adopted.supplier_id).into(),
        (&adopted.sku).into(),
        adopted.retail_price.amount.minor_units().into(),
        adopted.retail_price.currency.as_str().into(),
        adopted.adopted_at.to_string().into(),
    ];
    tx.execute(sql, &values).await.map(drop)
}

/// Takes what a retailer sells, or what comes from a supplier, off sale.
pub(super) async fn withdraw(tx: &mut Tx, organisation_id: &str) -> Result<(), sqlx::Error> {
    let sql = "UPDATE assortment SET on_sale = 0 WHERE retailer_id = $1 OR supplier_id = $1";
    tx.execute(sql, &[organisation_id.into()]).await.map(drop)
}

fn retail_price(trade_price: Money) -> Result<Money, MoneyError> {
    trade_price.checked_percent(RETAIL_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    #[test]
    fn the_retail_price_is_the_trade_price_and_four_fifths_of_it() {
        let trade_price = Money::new("33.20".parse().unwrap(), Currency::GBP);
        assert_eq!(retail_price(trade_price).unwrap().to_string(), "59.76 GBP");
    }
}
