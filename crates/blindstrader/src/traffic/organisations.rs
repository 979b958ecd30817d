//! The organisations that trade.

use event_bus::outbox::Outbox;

use crate::events::{Contact, OrganisationCreated, OrganisationKind};
use crate::identity::{RegisterError, register_organisation};

/// Id, name, kind and whom it buys from.
type Seed = (&'static str, &'static str, OrganisationKind, &'static [&'static str]);

const ORGANISATIONS: [Seed; 9] = [
    ("louvolite", "Louvolite", OrganisationKind::Brand, &[]),
    ("decora", "Decora", OrganisationKind::Brand, &[]),
    ("pennine-fabrics", "Pennine Fabrics", OrganisationKind::Brand, &[]),
    ("decorquip", "Decorquip Ltd", OrganisationKind::Supplier, &["louvolite", "decora"]),
    (
        "hallis-hudson",
        "Hallis Hudson Group",
        OrganisationKind::Supplier,
        &["decora", "pennine-fabrics"],
    ),
    (
        "severn-blinds",
        "Severn Blind Works",
        OrganisationKind::Supplier,
        &["louvolite", "pennine-fabrics"],
    ),
    (
        "thomas-sanderson",
        "Thomas Sanderson",
        OrganisationKind::Retailer,
        &["decorquip", "severn-blinds"],
    ),
    ("hillarys", "Hillarys", OrganisationKind::Retailer, &["hallis-hudson", "decorquip"]),
    ("harbour-interiors", "Harbour Interiors", OrganisationKind::Retailer, &["severn-blinds"]),
];

/// Registers the organisations that are not registered yet.
///
/// # Errors
/// The registration's.
pub async fn seed(outbox: &Outbox) -> Result<(), RegisterError> {
    for organisation in ORGANISATIONS {
        let mut tx = outbox.begin().await?;
        match register_organisation(&mut outbox.command(&mut tx), &created(organisation)).await {
            Ok(()) => outbox.commit(tx).await?,
            Err(RegisterError::AlreadyRegistered { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn created((id, name, kind, trades_with): Seed) -> OrganisationCreated {
    OrganisationCreated {
        organisation_id: id.to_owned(),
        name: name.to_owned(),
        kind,
        country: "GB".to_owned(),
        contact: Contact { name: "Priya Nair".to_owned(), email: format!("trade@{id}.example") },
        trades_with: trades_with.iter().map(|partner| (*partner).to_owned()).collect(),
    }
}
