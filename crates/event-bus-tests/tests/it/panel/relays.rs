//! Relays of a workshop's services, without those services, and rows that their topic took for too large.

use std::time::Duration;

use event_bus::headers::{CE_TENANTID, Header};
use event_bus::kafka::admin::Admin;
use event_bus::relay::Relay;
use event_bus::store::Store;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::raw;
use rand::distr::{Alphanumeric, SampleString};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::workshop::Workshop;

const SOON: Duration = Duration::from_secs(60);
/// Whose outbox has rows.
pub const CUTTING: &str = "cutting";

pub struct Relays {
    pub cutting: Store,
    stores: Vec<Store>,
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

impl Relays {
    /// One on the database of each of these services; of one that is named twice, two.
    pub async fn start(workshop: &Workshop, databases: &Databases, services: &[&str]) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (mut running, mut stores) = (JoinSet::new(), Vec::new());
        let open = async |service: &str| {
            Store::open(&databases.url(service), &[]).await.expect("the store opens")
        };
        for service in services {
            let store = open(service).await;
            let relay = Relay::new(store.clone(), workshop.kafka.clone(), *service);
            running.spawn(relay.answering(&workshop.catalogue).run(stopping.clone()));
            stores.push(store);
        }
        Self { cutting: open(CUTTING).await, stores, stop, running }
    }

    /// One for each service of the workshop.
    pub async fn of_all(workshop: &Workshop, databases: &Databases) -> Self {
        let services: Vec<&str> =
            workshop.catalogue.services().map(|(service, _)| service.as_str()).collect();
        Self::start(workshop, databases, &services).await
    }

    /// Pieces that are too large for their topic, which was made narrow: each of a tenant, under a key of its own, with an
    /// owner. Behind each comes one that is not too large. Returns once all of the former are set aside.
    pub async fn halt(
        &self,
        workshop: &Workshop,
        databases: &Databases,
        pieces: &[(&str, &str, &str)],
    ) {
        set_limit(workshop, 2_000).await;
        let mut tx = self.cutting.begin().await.expect("a transaction begins");
        for (tenant, piece, owner) in pieces {
            for filling in [4_000, 10] {
                // What can't be compressed.
                let filling = Alphanumeric.sample_string(&mut rand::rng(), filling);
                let value = json!({
                    "event": "PieceCut", "version": "1.0", "occurred_at": jiff::Timestamp::now(),
                    "service": CUTTING, "tenant_id": tenant,
                    "payload": { "piece": piece, "number": 1, "filling": filling,
                                 "owner": { "name": owner } },
                });
                let key = format!("{tenant}/{piece}");
                let headers = vec![Header::text(CE_TENANTID, *tenant)];
                let (key, value) = (key.as_bytes(), value.to_string());
                tx.enqueue(raw(&workshop.topic(), Some(key), Some(value.as_bytes()), headers));
            }
        }
        tx.commit().await.expect("it commits");
        let halted = i64::try_from(pieces.len()).expect("it is small");
        is_set_aside(databases, halted).await;
    }

    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
        for store in self.stores {
            store.close().await;
        }
        self.cutting.close().await;
    }
}

/// Returns once so many rows are set aside.
pub async fn is_set_aside(databases: &Databases, rows: i64) {
    let quarantined = "SELECT count(*) FROM outbox WHERE status = 'quarantined'";
    eventually(SOON, async || equal(databases.number(CUTTING, quarantined).await, rows)).await;
}

/// From now on the topic of pieces takes records of so many bytes.
pub async fn set_limit(workshop: &Workshop, bytes: usize) {
    let admin = Admin::connect(&workshop.kafka).expect("one can be made");
    let config = vec![("max.message.bytes", bytes.to_string())];
    let set = admin.set_configs(vec![(workshop.topic(), config)]).await;
    for (_, outcome) in set.expect("Kafka answers") {
        outcome.expect("it is set");
    }
}

/// What the outbox of pieces holds.
pub async fn held(databases: &Databases) -> i64 {
    databases.number(CUTTING, "SELECT count(*) FROM outbox").await
}
