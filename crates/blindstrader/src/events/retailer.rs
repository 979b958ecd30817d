//! What retailers publish about their assortment. The tenant is the retailer.

use event_bus::EventType;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::money::Money;

/// A retailer took a supplier's product into its assortment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetailerProductAdopted {
    /// The retailer that adopted.
    pub retailer_id: String,
    /// The supplier whose offer was adopted.
    pub supplier_id: String,
    /// The product, as the supplier published it.
    pub sku: String,
    /// What the retailer's customers pay for one piece.
    pub retail_price: Money,
    /// When the retailer adopted it.
    pub adopted_at: Timestamp,
}

impl EventType for RetailerProductAdopted {
    const NAME: &'static str = "RetailerProductAdopted";
    const VERSION: &'static str = "1.0";
}
