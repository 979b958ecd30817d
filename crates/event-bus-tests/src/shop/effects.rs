//! What billing has done: each order billed once, each key's in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use event_bus::{Catalogue, headers};

use super::{OrderPlaced, billing_group, definition, orders};
use crate::databases::Databases;
use crate::eventually::{equal, eventually};
use crate::kafka::{everything_in, lag};
use crate::letters;

/// How long the next bill may take, on a machine that compiles beside it.
const SOON: Duration = Duration::from_secs(90);

/// How many bills there are; -1 while the database does not say.
pub async fn bills(databases: &Databases) -> i64 {
    databases.try_number("billing", "SELECT count(*) FROM bills").await.unwrap_or(-1)
}

/// Waits for so many bills, or more, and says how many there are.
///
/// # Panics
/// When they don't come in time.
pub async fn at_least_bills(databases: &Databases, count: i64) -> i64 {
    eventually(SOON, async || match bills(databases).await {
        enough if enough >= count => Ok(enough),
        few => Err(few),
    })
    .await
}

/// Waits until there are exactly so many bills, and billing's group has settled everything. That may take long, as long
/// as more and more is billed.
///
/// # Panics
/// When nothing more comes in time, or too much.
pub async fn all_settled(catalogue: &Catalogue, databases: &Databases, count: i64) {
    let mut seen = 0;
    while seen < count {
        seen = at_least_bills(databases, seen + 1).await;
    }
    let (group, orders) = (billing_group(catalogue), orders(catalogue));
    eventually(SOON, async || {
        equal((bills(databases).await, lag(&group, &orders).await), (count, 0))
    })
    .await;
}

/// Checks that each of these orders has one effect, each key's in the order in which they were published.
///
/// # Panics
/// When not.
pub async fn check_effects(databases: &Databases, orders: &[OrderPlaced]) {
    let mut wanted: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for order in orders {
        wanted.entry(order.order_id.clone()).or_default().push(order.number);
    }
    let mut seen: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (key, number) in
        databases.rows("billing", "SELECT order_id, number FROM bills ORDER BY place").await
    {
        seen.entry(key).or_default().push(number);
    }
    assert_eq!(seen, wanted);
}

/// How many records of `OrderBilled` there are, and of how many different events: what billing emits once, its relay
/// may send twice.
///
/// # Panics
/// When they can't be read.
pub async fn billed_events(catalogue: &Catalogue) -> (usize, usize) {
    let records = everything_in(&[definition(catalogue, "OrderBilled").topic.clone()]).await;
    let ids: BTreeSet<_> =
        records.iter().map(|record| letters::text(record, headers::CE_ID)).collect();
    (records.len(), ids.len())
}
