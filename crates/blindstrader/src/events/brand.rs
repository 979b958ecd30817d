//! What brands publish. The tenant is the brand.

use event_bus::EventType;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::money::Money;

/// A brand issued a new version of its catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrandCatalogUpdated {
    /// The brand whose catalogue this is.
    pub brand_id: String,
    /// Number of this version; each new version is higher than the one before.
    pub catalog_version: u32,
    /// First day on which orders from this version are accepted; at once when absent. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<Date>,
    /// Every product of this version: the whole catalogue, not a change to it.
    pub products: Vec<Product>,
}

impl EventType for BrandCatalogUpdated {
    const NAME: &'static str = "BrandCatalogUpdated";
    const VERSION: &'static str = "1.1";
}

/// One made-to-measure product in a brand's catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Stock keeping unit: the brand's code for the product, upper case.
    pub sku: String,
    /// Name as shown to retailers.
    pub name: String,
    /// Kind of window furnishing.
    pub category: Category,
    /// The material it is made of.
    pub fabric: Fabric,
    /// Widths that can be made, in millimetres.
    pub width_mm: SizeRange,
    /// Drops that can be made, in millimetres.
    pub drop_mm: SizeRange,
    /// The brand's price of one piece, before any trade terms.
    pub list_price: Money,
}

/// Kinds of window furnishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// One piece of fabric on a tube.
    RollerBlind,
    /// Horizontal slats.
    VenetianBlind,
    /// Hanging vanes.
    VerticalBlind,
    /// Fabric that gathers in folds.
    RomanBlind,
    /// Pleated or honeycomb fabric between rails.
    PleatedBlind,
    /// Curtains, sold by the pair.
    Curtain,
    /// Hinged louvred panels.
    Shutter,
}

impl Category {
    /// The word that stands in the payload.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RollerBlind => "roller-blind",
            Self::VenetianBlind => "venetian-blind",
            Self::VerticalBlind => "vertical-blind",
            Self::RomanBlind => "roman-blind",
            Self::PleatedBlind => "pleated-blind",
            Self::Curtain => "curtain",
            Self::Shutter => "shutter",
        }
    }
}

/// What a product is made of: a fabric, or the slats of a blind that has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fabric {
    /// The mill's code of the fabric or slat.
    pub code: String,
    /// Name of the colour.
    pub colour: String,
    /// What it is made of, e.g. `100% polyester`.
    pub composition: String,
}

/// Smallest and largest size that can be made, in millimetres, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeRange {
    /// Smallest size, in millimetres.
    pub min: u32,
    /// Largest size, in millimetres.
    pub max: u32,
}

/// A brand changed what one supplier may do with its catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrandPermissionsUpdated {
    /// The brand that grants.
    pub brand_id: String,
    /// The supplier whose permissions these are.
    pub supplier_id: String,
    /// The whole set that holds from now on.
    pub permissions: Permissions,
    /// Number of this change for this brand and supplier; the highest revision holds.
    pub revision: u32,
}

impl EventType for BrandPermissionsUpdated {
    const NAME: &'static str = "BrandPermissionsUpdated";
    const VERSION: &'static str = "1.0";
}

/// What a supplier may do with a brand's catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// Adopt the brand's catalogue versions and sell from them.
    pub adopt_catalog: bool,
    /// Set trade prices of its own instead of deriving them from the list price.
    pub set_prices: bool,
}
