//! The life of an order. The tenant is the retailer, whoever publishes.

use event_bus::EventType;
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::money::{Amount, Currency, MoneyError};

/// A retailer placed a made-to-measure order for one of its customers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPlaced {
    /// The order, unique within the retailer, e.g. `o-100234`.
    pub order_id: String,
    /// The retailer that sold.
    pub retailer_id: String,
    /// When the customer placed the order.
    pub placed_at: Timestamp,
    /// The person the goods go to. Personal data.
    pub customer: Customer,
    /// Currency of `total` and of every `unit_price`.
    pub currency: Currency,
    /// Sum over the lines of quantity times unit price.
    pub total: Amount,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
}

impl EventType for OrderPlaced {
    const NAME: &'static str = "OrderPlaced";
    const VERSION: &'static str = "1.0";
}

/// The person an order goes to. Personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Full name.
    pub name: String,
    /// Where messages about the order go.
    pub email: String,
    /// Where the goods go.
    pub delivery_address: Address,
}

/// A postal address. Personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// House and street.
    pub line1: String,
    /// Flat, building or area, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// Post town.
    pub town: String,
    /// Postal code as written in its country.
    pub postcode: String,
    /// ISO 3166-1 alpha-2 code, e.g. `GB`.
    pub country: String,
}

/// One ordered product, made to one size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Number of the line within the order, from 1.
    pub line_no: u32,
    /// The product.
    pub sku: String,
    /// The supplier that makes it.
    pub supplier_id: String,
    /// Pieces.
    pub quantity: u32,
    /// Width to make, in millimetres.
    pub width_mm: u32,
    /// Drop to make, in millimetres.
    pub drop_mm: u32,
    /// Price of one piece in the order's currency.
    pub unit_price: Amount,
}

impl OrderLine {
    /// What lines cost together: the sum of quantity times unit price.
    ///
    /// # Errors
    /// When that is more than an amount can be.
    pub fn total_of(lines: &[Self]) -> Result<Amount, MoneyError> {
        lines.iter().try_fold(Amount::ZERO, |total, line| {
            total.checked_add(line.unit_price.checked_mul(line.quantity)?)
        })
    }
}

/// The goods of an order are reserved and it will be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderConfirmed {
    /// The order.
    pub order_id: String,
    /// When it was confirmed.
    pub confirmed_at: Timestamp,
    /// Day on which the goods should leave the works.
    pub expected_dispatch_on: Date,
    /// What was reserved.
    pub lines: Vec<ConfirmedLine>,
}

impl EventType for OrderConfirmed {
    const NAME: &'static str = "OrderConfirmed";
    const VERSION: &'static str = "1.0";
}

/// One reserved order line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmedLine {
    /// Number of the line within the order.
    pub line_no: u32,
    /// The product.
    pub sku: String,
    /// Pieces reserved.
    pub quantity: u32,
}

/// The goods of an order left the works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDispatched {
    /// The order.
    pub order_id: String,
    /// When the carrier took the goods.
    pub dispatched_at: Timestamp,
    /// Name of the carrier.
    pub carrier: String,
    /// The carrier's number for the consignment: 6 to 30 upper-case letters and digits.
    pub tracking_number: String,
    /// How many parcels the consignment has.
    pub parcels: u32,
}

impl EventType for OrderDispatched {
    const NAME: &'static str = "OrderDispatched";
    const VERSION: &'static str = "1.0";
}

/// An order will not be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancelled {
    /// The order.
    pub order_id: String,
    /// Why it was cancelled.
    pub reason: CancellationReason,
    /// When it was cancelled.
    pub cancelled_at: Timestamp,
}

impl EventType for OrderCancelled {
    const NAME: &'static str = "OrderCancelled";
    const VERSION: &'static str = "1.0";
}

/// Why an order was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CancellationReason {
    /// There was not enough stock of a product.
    OutOfStock,
    /// A product is no longer made.
    Discontinued,
    /// The customer asked for it.
    CustomerRequest,
    /// The retailer or the supplier left the platform.
    OrganisationTerminated,
}

impl CancellationReason {
    /// The word that stands in the payload.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => "out-of-stock",
            Self::Discontinued => "discontinued",
            Self::CustomerRequest => "customer-request",
            Self::OrganisationTerminated => "organisation-terminated",
        }
    }
}
