//! Middleware around handlers of all kinds.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_bus::{Call, Handled, Middleware, Next};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, lag};
use event_bus_tests::shop::{
    self, Billing, Fate, OrderPlaced, Running, TENANT, open_billing, order,
};

use crate::each::on_each;

const SOON: Duration = Duration::from_secs(60);

/// Notes what passes it.
struct Noting {
    name: &'static str,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Middleware for Noting {
    async fn around(&self, call: Call<'_>, next: Next<'_>) -> Handled {
        let note = |text: String| self.notes.lock().expect("nobody panics while noting").push(text);
        note(format!("{} before {}", self.name, call.event()));
        let handled = next.run(call).await;
        note(format!("{} after {}", self.name, if handled.is_ok() { "ok" } else { "error" }));
        handled
    }
}

/// Writes a row of its own in the handler's transaction.
struct Audit;

impl Middleware for Audit {
    async fn around(&self, mut call: Call<'_>, next: Next<'_>) -> Handled {
        assert_eq!(call.tenant().map(AsRef::as_ref), Some(TENANT));
        let id = call.deliveries()[0].id().to_string();
        if let Some(tx) = call.tx() {
            let sql = "INSERT INTO bills (order_id, number, event_id) VALUES ('audit', 0, $1)";
            tx.execute(sql, &[id.into()]).await?;
        }
        next.run(call).await
    }
}

async fn the_first_middleware_is_outermost_and_works_in_the_transaction(
    databases: Databases,
    settings: &str,
) {
    let catalogue = shop::catalogue(1, settings);
    create_topics(&catalogue).await;
    shop::publish(&catalogue, &[order("o-1", 0, Fate::FailOnce)]).await;
    let notes = Arc::new(Mutex::new(Vec::new()));
    let noting = |name| Noting { name, notes: Arc::clone(&notes) };
    let service = open_billing(&catalogue, &databases).await;
    let service = service.with(noting("outer")).on::<OrderPlaced>(Billing::default());
    let running = Running::start(service.with(noting("inner")).with(Audit));
    let (group, orders) = (shop::billing_group(&catalogue), shop::orders(&catalogue));
    eventually(SOON, async || equal(lag(&group, &orders).await, 0)).await;
    running.stop().await;
    let notes = notes.lock().expect("nobody panics while noting").clone();
    let attempt = |end: &str| {
        [
            "outer before OrderPlaced".to_owned(),
            "inner before OrderPlaced".to_owned(),
            format!("inner after {end}"),
            format!("outer after {end}"),
        ]
    };
    assert_eq!(notes, [attempt("error"), attempt("ok")].concat());
    let audits = "SELECT count(*) FROM bills WHERE order_id = 'audit'";
    assert_eq!(databases.number("billing", audits).await, 1, "the failed attempt's row is gone");
    databases.drop_all().await;
}

on_each!(the_first_middleware_is_outermost_and_works_in_the_transaction);
