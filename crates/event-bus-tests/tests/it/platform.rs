//! The eight services as processes on a real Kafka: each stopped in turn, each killed once, everything consumed twice.

use std::time::Duration;

use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::eventually;
use event_bus_tests::platform::{Platform, SERVICES};
use event_bus_tests::servers;
use serde_json::{Value, json};

/// How long a run of the whole may take on a loaded machine.
const RUN: Duration = Duration::from_secs(300);

/// Each brand has so many suppliers, and each supplier so many retailers.
const SUPPLIERS_PER_BRAND: usize = 4;
const RETAILERS_PER_SUPPLIER: usize = 4;
const ORGANISATIONS_PER_BRAND: usize = 1 + SUPPLIERS_PER_BRAND * (1 + RETAILERS_PER_SUPPLIER);
/// Every so many orders one asks for a product that is no longer made.
const DISCONTINUED_EVERY: usize = 10;

fn envelope(event: &str, service: &str, tenant: &str, payload: &Value) -> String {
    let envelope = json!({
        "event": event, "version": "1.0", "occurred_at": "2026-03-01T09:00:00Z",
        "service": service, "tenant_id": tenant, "payload": payload,
    });
    format!("{envelope}\n")
}

/// The organisation with this number: brands first have their suppliers, those their retailers behind them.
pub fn organisation(prefix: &str, number: usize) -> String {
    let (brand, place) = (number / ORGANISATIONS_PER_BRAND, number % ORGANISATIONS_PER_BRAND);
    let brand_id = format!("{prefix}-brand-{brand}");
    let (kind, id, trades_with) = match place {
        0 => ("brand", brand_id, vec![]),
        place if place <= SUPPLIERS_PER_BRAND => {
            ("supplier", format!("{prefix}-supplier-{brand}-{place}"), vec![brand_id])
        }
        place => {
            let supplier = 1 + (place - 1 - SUPPLIERS_PER_BRAND) / RETAILERS_PER_SUPPLIER;
            (
                "retailer",
                retailer(prefix, number),
                vec![format!("{prefix}-supplier-{brand}-{supplier}")],
            )
        }
    };
    let payload = json!({
        "organisation_id": id, "name": format!("{id} Ltd"), "kind": kind, "country": "GB",
        "contact": { "name": "Priya Nair", "email": "priya@example.org" }, "trades_with": trades_with,
    });
    envelope("OrganisationCreated", "identity", &id, &payload)
}

fn retailer(prefix: &str, number: usize) -> String {
    format!("{prefix}-retailer-{number}")
}

pub fn order(prefix: &str, number: usize) -> String {
    let tenant = retailer(prefix, ORGANISATIONS_PER_BRAND - 1 - number % RETAILERS_PER_SUPPLIER);
    let discontinued = number.is_multiple_of(DISCONTINUED_EVERY);
    let sku = if discontinued { "DISC-RB-0900".to_owned() } else { format!("RB-{}", number % 50) };
    let payload = json!({
        "order_id": format!("o-{prefix}-{number}"), "retailer_id": tenant, "placed_at": "2026-03-01T09:00:00Z",
        "customer": {
            "name": "Siân O’Brien", "email": "sian@example.org",
            "delivery_address": { "line1": "3 Heol y Bont", "town": "Caerdydd", "postcode": "CF10 1EP", "country": "GB" },
        },
        "currency": "GBP", "total": "104.90",
        "lines": [{
            "line_no": 1, "sku": sku, "supplier_id": format!("{prefix}-supplier-0-1"), "quantity": 2,
            "width_mm": 900, "drop_mm": 1100, "unit_price": "52.45",
        }],
    });
    envelope("OrderPlaced", "retailer", &tenant, &payload)
}

async fn publish(platform: &Platform, event: &str, lines: &str) {
    let output = platform.run_with_input(&["publish", event, "--file", "-"], lines).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

async fn publish_both(platform: &Platform, prefix: &str, count: usize) {
    let organisations: String = (0..count).map(|number| organisation(prefix, number)).collect();
    let orders: String = (0..count).map(|number| order(prefix, number)).collect();
    publish(platform, "OrganisationCreated", &organisations).await;
    publish(platform, "OrderPlaced", &orders).await;
}

/// What must be in each service's database after `count` organisations and orders, each effect once.
async fn assert_effects(platform: &Platform, count: usize) {
    let orders = i64::try_from(count).expect("a small number");
    let cancelled = i64::try_from(count.div_ceil(DISCONTINUED_EVERY)).expect("a small number");
    let dispatched = orders - cancelled;
    let adopted = platform.published("RetailerProductAdopted").await;
    let published = platform.published("SupplierProductPublished").await;
    let catalogues = platform.published("BrandCatalogUpdated").await;
    let versions = platform.published("SupplierCatalogVersionAdopted").await;
    let permissions = platform.published("BrandPermissionsUpdated").await;
    assert!(adopted > 0 && published > 0 && catalogues > 0 && versions > 0 && permissions > 0);
    for (service, wanted, sql) in [
        (
            "supply-chain",
            dispatched,
            "SELECT count(*) FROM fulfilments WHERE status = 'dispatched' AND placed = 1 AND paid = 1",
        ),
        (
            "supply-chain",
            cancelled,
            "SELECT count(*) FROM fulfilments WHERE status = 'cancelled' AND placed = 1 AND paid = 1",
        ),
        ("supply-chain", orders, "SELECT count(*) FROM fulfilment_lines"),
        ("payment", orders, "SELECT count(*) FROM payments"),
        ("payment", orders, "SELECT count(*) FROM orders WHERE placed = 1 AND cancelled <= 1"),
        ("payment", cancelled, "SELECT count(*) FROM refunds"),
        (
            "retailer",
            dispatched,
            "SELECT count(*) FROM orders WHERE status = 'dispatched' AND confirmed = 1 AND dispatched = 1 AND cancelled = 0",
        ),
        (
            "retailer",
            cancelled,
            "SELECT count(*) FROM orders WHERE status = 'cancelled' AND confirmed = 0 AND dispatched = 0 AND cancelled = 1",
        ),
        ("retailer", published, "SELECT sum(updates) FROM offers"),
        ("retailer", adopted, "SELECT count(*) FROM assortment"),
        ("notification", orders + 2 * dispatched + 2 * cancelled, "SELECT count(*) FROM messages"),
        (
            "notification",
            orders + 2 * dispatched + 2 * cancelled,
            "SELECT count(DISTINCT event_id) FROM messages",
        ),
        ("platform", orders, "SELECT count(*) FROM tenants WHERE created = 1"),
        ("platform", orders + cancelled, "SELECT count(*) FROM ledger"),
        ("platform", dispatched * 10490, "SELECT sum(amount_minor) FROM ledger"),
        ("supplier", adopted, "SELECT count(*) FROM product_adoptions"),
        ("supplier", catalogues, "SELECT sum(updates) FROM catalogs"),
        ("supplier", permissions, "SELECT sum(updates) FROM permissions"),
        ("brand", versions, "SELECT count(*) FROM adoptions"),
    ] {
        let sql = sql.replacen("SELECT sum(", "SELECT CAST(sum(", 1);
        let sql = if sql.contains("CAST(") {
            sql.replacen(") FROM", ") AS bigint) FROM", 1)
        } else {
            sql
        };
        assert_eq!(platform.databases.number(service, &sql).await, wanted, "{service}: {sql}");
    }
    assert_eq!(platform.dead_letters().await, 0, "{}", platform.logs());
}

/// Kills each service once, when it has handled a part of its events.
async fn kill_each_once(platform: &mut Platform) {
    for service in SERVICES {
        if service != "identity" {
            eventually(RUN, async || {
                let handled = platform
                    .databases
                    .try_number(service, "SELECT count(*) FROM processed_events")
                    .await;
                match handled {
                    Ok(handled) if handled > 0 => Ok(()),
                    other => Err(format!("{service}: {other:?}")),
                }
            })
            .await;
        }
        platform.kill(service).await;
        platform.start(service);
    }
}

async fn each_effect_is_there_once_although_all_were_killed_and_consumed_twice(
    databases: Databases,
) {
    let count = if servers::at_full_length() { 1_000 } else { 300 };
    let mut platform = Platform::new(databases).await;
    platform.start_all();
    publish_both(&platform, "run", count).await;
    kill_each_once(&mut platform).await;
    platform.finished(&SERVICES, RUN).await;
    assert_effects(&platform, count).await;

    let ends = platform.ends().await;
    platform.stop_all().await;
    platform.reset_all_groups().await;
    platform.start_all();
    platform.finished(&SERVICES, RUN).await;
    assert_effects(&platform, count).await;
    assert_eq!(platform.ends().await, ends, "consuming again published something");
    platform.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_effect_is_there_once_after_kills_and_resets_on_sqlite() {
    each_effect_is_there_once_although_all_were_killed_and_consumed_twice(Databases::sqlite())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_effect_is_there_once_after_kills_and_resets_on_postgres() {
    each_effect_is_there_once_although_all_were_killed_and_consumed_twice(
        Databases::postgres().await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_service_is_stopped_the_others_finish_and_it_catches_up() {
    let mut platform = Platform::new(Databases::sqlite()).await;
    platform.start_all();
    platform.finished(&SERVICES, RUN).await;
    let mut total = 0;
    for stopped in SERVICES {
        platform.stop(stopped).await;
        let others: Vec<&str> =
            SERVICES.into_iter().filter(|service| *service != stopped).collect();
        publish_both(&platform, &format!("without-{stopped}"), ORGANISATIONS_PER_BRAND).await;
        total += ORGANISATIONS_PER_BRAND;
        platform.finished(&others, RUN).await;
        platform.start(stopped);
        platform.finished(&SERVICES, RUN).await;
        let decided =
            "SELECT count(*) FROM fulfilments WHERE status IN ('dispatched', 'cancelled')";
        let wanted = i64::try_from(total).expect("a small number");
        assert_eq!(
            platform.databases.number("supply-chain", decided).await,
            wanted,
            "without {stopped}"
        );
    }
    assert_eq!(platform.dead_letters().await, 0, "{}", platform.logs());
    platform.end().await;
}
