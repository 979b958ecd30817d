//! Traffic for demonstrations: organisations that trade, and customers that order.

use std::time::Duration;

use event_bus::outbox::Outbox;
use rand::RngExt;
use tokio::time::{MissedTickBehavior, interval};

use crate::events::{Address, Contact, Customer, OrganisationCreated, OrganisationKind};
use crate::identity::{self, RegisterError, register_organisation};
use crate::retailer::{
    self, NewLine, NewOrder, PlaceOrderError, Product, place_order, random_product,
};

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

const CUSTOMERS: [&str; 6] = [
    "Amelia Hart",
    "Siân O’Brien",
    "Tomasz Nowak",
    "Grace Okafor",
    "Rosa Lindqvist",
    "Idris Patel",
];
const STREETS: [&str; 4] = ["Orchard Lane", "Mill Road", "Station Parade", "Heol y Bont"];
const TOWNS: [(&str, &str); 3] =
    [("Waterlooville", "PO7 7XT"), ("Halifax", "HX1 1UN"), ("Caerdydd", "CF10 1EP")];

/// Traffic that can't be made.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The rate is no positive number of orders per second.
    #[error("{rate} orders per second can't be placed: give a number above 0")]
    Rate {
        /// The rate that was asked for.
        rate: f64,
    },
    /// The organisations could not be registered.
    #[error("the organisations could not be registered")]
    Register(#[from] RegisterError),
}

/// Makes the traffic of the outbox's service until `shutdown`: identity registers the organisations at once, retailer
/// places `rate` orders per second of whatever is on sale; the others make none of their own.
///
/// # Errors
/// When the rate is none, or the organisations can't be registered. An order that fails is logged, and the next is
/// placed all the same.
pub async fn run(
    outbox: Outbox,
    rate: f64,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), TrafficError> {
    match outbox.service().as_str() {
        identity::NAME => seed(&outbox).await?,
        retailer::NAME => {
            let period = Some(rate)
                .filter(|rate| *rate > 0.0)
                .and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok())
                .filter(|period| !period.is_zero())
                .ok_or(TrafficError::Rate { rate })?;
            tokio::select! {
                () = place_orders(&outbox, period) => {}
                () = shutdown => {}
            }
        }
        _ => {}
    }
    Ok(())
}

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

async fn place_orders(outbox: &Outbox, period: Duration) {
    let mut ticks = interval(period);
    // A slow moment is made up for, so that the rate holds on average.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        if let Err(error) = place_random_order(outbox).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an order could not be placed"
            );
        }
    }
}

/// Places an order of something that is on sale; of nothing while nothing is.
async fn place_random_order(outbox: &Outbox) -> Result<(), PlaceOrderError> {
    let mut tx = outbox.begin().await?;
    if let Some(product) = random_product(&mut tx).await? {
        place_order(&mut outbox.command(&mut tx), order(product)).await?;
        outbox.commit(tx).await?;
    }
    Ok(())
}

fn order(product: Product) -> NewOrder {
    let mut random = rand::rng();
    let name = CUSTOMERS[random.random_range(..CUSTOMERS.len())];
    let street = STREETS[random.random_range(..STREETS.len())];
    let (town, postcode) = TOWNS[random.random_range(..TOWNS.len())];
    let line = NewLine {
        supplier_id: product.supplier_id,
        sku: product.sku,
        quantity: random.random_range(1..=4),
        width_mm: random.random_range(60..=240) * 10,
        drop_mm: random.random_range(60..=220) * 10,
    };
    let delivery_address = Address {
        line1: format!("{} {street}", random.random_range(1..=180)),
        line2: None,
        town: town.to_owned(),
        postcode: postcode.to_owned(),
        country: "GB".to_owned(),
    };
    let email = format!("customer-{}@example.com", random.random_range(1000..=9999));
    let customer = Customer { name: name.to_owned(), email, delivery_address };
    NewOrder { retailer_id: product.retailer_id, customer, lines: vec![line] }
}
