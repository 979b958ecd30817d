//! A brand's catalogue and its versions.

use event_bus::Context;
use event_bus::handler::EmitError;
use event_bus::names::{NameError, TenantId};
use event_bus::store::Tx;

use crate::events::{BrandCatalogUpdated, Product};
use crate::money::MoneyError;

/// A catalogue that can't be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The brand is not registered here.
    #[error("there is no brand {brand_id}: register it first")]
    UnknownBrand {
        /// The brand that was asked for.
        brand_id: String,
    },
    /// The number does not fit the contract.
    #[error("the brand {brand_id} has used up its catalogue versions")]
    VersionsUsedUp {
        /// The brand that was asked for.
        brand_id: String,
    },
    /// The id can't be a tenant.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The event breaks the contract.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// A price is out of range.
    #[error("the catalogue's prices can't be computed")]
    Money(#[from] MoneyError),
    /// The database's.
    #[error("the catalogue could not be written")]
    Database(#[from] sqlx::Error),
}

/// Issues the next version of a brand's catalogue, all products of it, and publishes it. Gives the version's number.
///
/// # Errors
/// When the brand is not registered, when the event breaks its schema, or the database's.
pub async fn issue_catalog(
    context: &mut Context<'_>,
    brand_id: &str,
    products: Vec<Product>,
) -> Result<u32, IssueError> {
    let version = next_version(context.tx(), brand_id).await?;
    for product in &products {
        insert_product(context.tx(), brand_id, version, product).await?;
    }
    let brand_id = brand_id.to_owned();
    let tenant = TenantId::new(&brand_id)?;
    context.emit(
        &tenant,
        &BrandCatalogUpdated { brand_id, catalog_version: version, effective_from: None, products },
    )?;
    Ok(version)
}

/// Draws the next number. The row stays locked, so versions are published in the order of their numbers.
async fn next_version(tx: &mut Tx, brand_id: &str) -> Result<u32, IssueError> {
    let sql = "UPDATE brands SET catalog_version = catalog_version + 1 WHERE brand_id = $1 RETURNING catalog_version";
    let row = tx
        .fetch_optional(sql, &[brand_id.into()])
        .await?
        .ok_or_else(|| IssueError::UnknownBrand { brand_id: brand_id.to_owned() })?;
    u32::try_from(row.get::<i64>("catalog_version")?)
        .map_err(|_| IssueError::VersionsUsedUp { brand_id: brand_id.to_owned() })
}

async fn insert_product(
    tx: &mut Tx,
    brand_id: &str,
    version: u32,
    product: &Product,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO products
                   (brand_id, catalog_version, sku, name, category, list_price_minor, currency)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = [
        brand_id.into(),
        version.into(),
        (&product.sku).into(),
        (&product.name).into(),
        product.category.as_str().into(),
        product.list_price.amount.minor_units().into(),
        product.list_price.currency.as_str().into(),
    ];
    tx.execute(sql, &values).await.map(drop)
}
