//! Who joins and leaves the platform. The tenant is the organisation itself.

use event_bus::EventType;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A brand, supplier or retailer joined the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationCreated {
    /// The organisation: the slug that is the tenant of all its events.
    pub organisation_id: String,
    /// Registered name.
    pub name: String,
    /// What it does on the platform.
    pub kind: OrganisationKind,
    /// ISO 3166-1 alpha-2 code of the country it is registered in, e.g. `GB`.
    pub country: String,
    /// The person to speak to. Personal data.
    pub contact: Contact,
    /// For a supplier the brands it buys from, for a retailer the suppliers it buys from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trades_with: Vec<String>,
}

impl EventType for OrganisationCreated {
    const NAME: &'static str = "OrganisationCreated";
    const VERSION: &'static str = "1.0";
}

/// What an organisation does on the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrganisationKind {
    /// Owns a catalogue of products.
    Brand,
    /// Makes and sells brands' products to retailers.
    Supplier,
    /// Sells to the people whose windows they are.
    Retailer,
}

impl OrganisationKind {
    /// The word that stands in the payload.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brand => "brand",
            Self::Supplier => "supplier",
            Self::Retailer => "retailer",
        }
    }
}

/// The person to speak to at an organisation. Personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Full name.
    pub name: String,
    /// Address for messages about the account.
    pub email: String,
}

/// An organisation leaves the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationTerminated {
    /// The organisation that leaves.
    pub organisation_id: String,
    /// Why, in the words of the account manager.
    pub reason: String,
    /// First day on which it no longer trades.
    pub effective_on: Date,
}

impl EventType for OrganisationTerminated {
    const NAME: &'static str = "OrganisationTerminated";
    const VERSION: &'static str = "1.0";
}
