//! The brands' catalogues as the suppliers know them.

use event_bus::Failure;
use event_bus::store::Tx;

use crate::events::{BrandCatalogUpdated, Product};

/// Stores a catalogue if it is newer than the known one. Behind the gate.
pub(super) async fn store(tx: &mut Tx, catalog: &BrandCatalogUpdated) -> Result<(), Failure> {
    let brand = || (&catalog.brand_id).into();
    let sql = "INSERT INTO catalogs (brand_id, catalog_version, updates) VALUES ($1, 0, 1)
               ON CONFLICT (brand_id) DO UPDATE SET updates = catalogs.updates + 1";
    tx.execute(sql, &[brand()]).await?;
    let sql =
        "UPDATE catalogs SET catalog_version = $2 WHERE brand_id = $1 AND catalog_version < $2";
    if tx.execute(sql, &[brand(), catalog.catalog_version.into()]).await? == 0 {
        return Ok(());
    }
    tx.execute("DELETE FROM catalog_products WHERE brand_id = $1", &[brand()]).await?;
    for product in &catalog.products {
        let sql = "INSERT INTO catalog_products (brand_id, product) VALUES ($1, $2)";
        tx.execute(sql, &[brand(), serde_json::to_string(product)?.into()]).await?;
    }
    Ok(())
}

/// The products of a brand's newest known version.
pub(super) async fn products(tx: &mut Tx, brand_id: &str) -> Result<Vec<Product>, Failure> {
    let sql = "SELECT product FROM catalog_products WHERE brand_id = $1 ORDER BY product";
    let mut products = Vec::new();
    for row in tx.fetch_all(sql, &[brand_id.into()]).await? {
        products.push(serde_json::from_str(&row.get::<String>("product")?)?);
    }
    Ok(products)
}
