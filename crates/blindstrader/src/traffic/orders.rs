//! Customers, and what they order.

use std::time::Duration;

use event_bus::outbox::Outbox;
use event_bus::store::Tx;
use rand::RngExt;
use tokio::time::{MissedTickBehavior, interval};

use super::warn;
use crate::events::{Address, Customer};
use crate::retailer::{
    NewLine, NewOrder, PlaceOrderError, Product, ReadError, place_order, random_product,
};
use crate::supply_chain::is_discontinued;

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

/// Windows of one room or flat, which get the same blind in different sizes.
const WINDOWS_MAX: usize = 3;
/// How often somebody who sees a product that is no longer made looks for another one.
const LOOKS_FURTHER: f64 = 0.8;

/// Places an order per period, for ever.
pub(super) async fn place(outbox: &Outbox, period: Duration) {
    let mut ticks = interval(period);
    // A slow moment is made up for, so that the rate holds on average.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        if let Err(error) = place_random_order(outbox).await {
            warn(&error, "an order could not be placed");
        }
    }
}

/// Places an order of something that is on sale; of nothing while nothing is.
async fn place_random_order(outbox: &Outbox) -> Result<(), PlaceOrderError> {
    let mut tx = outbox.begin().await?;
    if let Some(product) = choose(&mut tx).await? {
        place_order(&mut outbox.command(&mut tx), order(&product)).await?;
        outbox.commit(tx).await?;
    }
    Ok(())
}

/// What is no longer made is ordered now and then, so that cancellations and refunds are seen too.
async fn choose(tx: &mut Tx) -> Result<Option<Product>, ReadError> {
    match random_product(tx).await? {
        Some(product)
            if is_discontinued(&product.sku) && rand::rng().random_bool(LOOKS_FURTHER) =>
        {
            random_product(tx).await
        }
        chosen => Ok(chosen),
    }
}

fn order(product: &Product) -> NewOrder {
    let mut random = rand::rng();
    let name = CUSTOMERS[random.random_range(..CUSTOMERS.len())];
    let street = STREETS[random.random_range(..STREETS.len())];
    let (town, postcode) = TOWNS[random.random_range(..TOWNS.len())];
    let lines = (0..random.random_range(1..=WINDOWS_MAX)).map(|_| NewLine {
        supplier_id: product.supplier_id.clone(),
        sku: product.sku.clone(),
        quantity: random.random_range(1..=2),
        width_mm: random.random_range(60..=240) * 10,
        drop_mm: random.random_range(60..=220) * 10,
    });
    let lines = lines.collect();
    let delivery_address = Address {
        line1: format!("{} {street}", random.random_range(1..=180)),
        line2: None,
        town: town.to_owned(),
        postcode: postcode.to_owned(),
        country: "GB".to_owned(),
    };
    let email = format!("customer-{}@example.com", random.random_range(1000..=9999));
    let customer = Customer { name: name.to_owned(), email, delivery_address };
    NewOrder { retailer_id: product.retailer_id.clone(), customer, lines }
}
