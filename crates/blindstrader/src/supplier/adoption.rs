//! Adopting a catalogue version: the supplier sells from it, and offers each of its products.

use event_bus::names::TenantId;
use event_bus::store::Row;
use event_bus::{Context, Failure, Handled};

use super::catalogs;
use crate::events::{Product, SupplierCatalogVersionAdopted, SupplierProductPublished};
use crate::money::{Money, MoneyError};
use crate::now;

/// What a retailer pays, in per cent of the brand's list price, where the brand sets the terms.
const TRADE_PERCENT: u32 = 80;
/// The same for a supplier that may set its own prices.
const OWN_PRICE_PERCENT: u32 = 75;
/// Working days from confirmation to dispatch.
const LEAD_TIME_DAYS: u32 = 5;

/// A supplier that may adopt a brand's newest version and has not.
struct Pending {
    supplier_id: String,
    brand_id: String,
    catalog_version: u32,
    sets_prices: bool,
}

/// Adopts every newest version that this brand's suppliers, or this supplier, may adopt and have not. Behind the gate.
pub(super) async fn adopt_pending(context: &mut Context<'_>, organisation_id: &str) -> Handled {
    let sql = "SELECT p.supplier_id, p.brand_id, p.set_prices, c.catalog_version
               FROM permissions p
               JOIN catalogs c ON c.brand_id = p.brand_id AND c.catalog_version > 0
               JOIN organisations s ON s.organisation_id = p.supplier_id AND s.created > 0 AND s.terminated = 0
               WHERE (p.brand_id = $1 OR p.supplier_id = $1) AND p.adopt_catalog = 1
                 AND NOT EXISTS (SELECT 1 FROM adoptions a
                                 WHERE a.supplier_id = p.supplier_id AND a.brand_id = p.brand_id
                                   AND a.catalog_version >= c.catalog_version)
               ORDER BY p.brand_id, p.supplier_id";
    for row in context.tx().fetch_all(sql, &[organisation_id.into()]).await? {
        adopt(context, Pending::of(&row)?).await?;
    }
    Ok(())
}

impl Pending {
    fn of(row: &Row) -> Result<Self, Failure> {
        Ok(Self {
            supplier_id: row.get("supplier_id")?,
            brand_id: row.get("brand_id")?,
            catalog_version: u32::try_from(row.get::<i64>("catalog_version")?)?,
            sets_prices: row.get::<i64>("set_prices")? == 1,
        })
    }
}

async fn adopt(context: &mut Context<'_>, pending: Pending) -> Handled {
    let tenant = TenantId::new(&pending.supplier_id)?;
    let products = catalogs::products(context.tx(), &pending.brand_id).await?;
    let adopted_at = now();
    let sql = "INSERT INTO adoptions (supplier_id, brand_id, catalog_version, adopted_at) VALUES ($1, $2, $3, $4)";
    let values = [
        (&pending.supplier_id).into(),
        (&pending.brand_id).into(),
        pending.catalog_version.into(),
        adopted_at.to_string().into(),
    ];
    context.tx().execute(sql, &values).await?;
    for product in products {
        context.emit(&tenant, &offer(&pending, product)?)?;
    }
    let Pending { supplier_id, brand_id, catalog_version, .. } = pending;
    context.emit(
        &tenant,
        &SupplierCatalogVersionAdopted { supplier_id, brand_id, catalog_version, adopted_at },
    )?;
    Ok(())
}

fn offer(pending: &Pending, product: Product) -> Result<SupplierProductPublished, MoneyError> {
    Ok(SupplierProductPublished {
        supplier_id: pending.supplier_id.clone(),
        brand_id: pending.brand_id.clone(),
        sku: product.sku,
        name: product.name,
        category: product.category,
        catalog_version: pending.catalog_version,
        trade_price: trade_price(product.list_price, pending.sets_prices)?,
        lead_time_days: LEAD_TIME_DAYS,
    })
}

fn trade_price(list_price: Money, sets_prices: bool) -> Result<Money, MoneyError> {
    list_price.checked_percent(if sets_prices { OWN_PRICE_PERCENT } else { TRADE_PERCENT })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    #[test]
    fn a_supplier_that_sets_its_prices_is_cheaper() {
        let list_price = Money::new("41.50".parse().unwrap(), Currency::GBP);
        assert_eq!(trade_price(list_price, false).unwrap().to_string(), "33.20 GBP");
        assert_eq!(trade_price(list_price, true).unwrap().to_string(), "31.13 GBP");
    }
}
