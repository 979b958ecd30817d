//! What suppliers publish. The tenant is the supplier.

use event_bus::EventType;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Category;
use crate::money::Money;

/// A supplier now sells from a version of a brand's catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupplierCatalogVersionAdopted {
    /// The supplier that adopted.
    pub supplier_id: String,
    /// The brand whose catalogue was adopted.
    pub brand_id: String,
    /// The adopted version of that catalogue.
    pub catalog_version: u32,
    /// When the supplier adopted it.
    pub adopted_at: Timestamp,
}

impl EventType for SupplierCatalogVersionAdopted {
    const NAME: &'static str = "SupplierCatalogVersionAdopted";
    const VERSION: &'static str = "1.0";
}

/// A supplier offers a product to the retailers that trade with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupplierProductPublished {
    /// The supplier that offers.
    pub supplier_id: String,
    /// The brand that the product comes from.
    pub brand_id: String,
    /// The brand's code for the product; unique within the supplier.
    pub sku: String,
    /// Name as shown to retailers.
    pub name: String,
    /// Kind of window furnishing.
    pub category: Category,
    /// Version of the brand's catalogue that the offer comes from.
    pub catalog_version: u32,
    /// What a retailer pays the supplier for one piece.
    pub trade_price: Money,
    /// Working days from confirmation to dispatch.
    pub lead_time_days: u32,
}

impl EventType for SupplierProductPublished {
    const NAME: &'static str = "SupplierProductPublished";
    const VERSION: &'static str = "1.0";
}
