//! What looks at the others, knows their dead letters, and tells those who ask.

use std::sync::Arc;
use std::time::Duration;

use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::Indexer;
use event_bus::dead_letters::guarded::Worker;
use event_bus::kafka::admin::Admin;
use event_bus::metrics::Metrics;
use event_bus::publisher::Publisher;
use event_bus::store::ops::OpsStore;
use event_bus::{Catalogue, KafkaConfig};
use event_bus_ops::desk::Desk;
use event_bus_ops::{Watch, http, panel};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::data::Databases;
use crate::{stop, telling};

/// The name of the ops store among the databases of the services.
const STORE: &str = "ops";

/// What the panel stands on.
pub struct Desktop {
    pub store: Arc<OpsStore>,
    desk: Desk,
    /// Until they work.
    workers: Option<(Indexer, Worker)>,
}

impl Desktop {
    /// On a database beside those of the services, which is made where it is missing.
    pub async fn open(
        databases: &Databases,
        catalogue: &Arc<Catalogue>,
        kafka: &KafkaConfig,
    ) -> anyhow::Result<Self> {
        let store = Arc::new(OpsStore::open(&databases.of(STORE)).await?);
        let publisher = Publisher::connect(Arc::clone(catalogue), &kafka.without_linger())?;
        let publisher = Arc::new(publisher);
        let indexer = Indexer::new(Arc::clone(&store), kafka.clone(), Arc::clone(catalogue));
        let worker = Worker::new(Arc::clone(&store), kafka.clone(), Arc::clone(&publisher));
        let (store_of_desk, catalogue) = (Arc::clone(&store), Arc::clone(catalogue));
        let desk = Desk::new(store_of_desk, catalogue, kafka.clone(), publisher);
        Ok(Self { store, desk, workers: Some((indexer, worker)) })
    }
}

/// What looks at the others and tells those who ask.
pub struct Operations {
    pub watch: Watch,
    desktop: Desktop,
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

impl Operations {
    /// Tells how it is; that nothing is ready yet, until there is something to look at.
    pub fn start(watch: Watch, metrics: Metrics, listener: TcpListener, desktop: Desktop) -> Self {
        let (stop, stopping) = watch::channel(false);
        let mut running = JoinSet::new();
        let router = panel::answering(&desktop.desk, http::router(watch.clone(), metrics));
        running.spawn(telling::answer_by(listener, watch.clone(), router, stopping));
        Self { watch, desktop, stop, running }
    }

    /// Looks at Kafka from now on, with a pause between two looks. Returns after the first.
    pub async fn look(&mut self, admin: Admin, pause: Duration) {
        let (watch, stopped) = (self.watch.clone(), stop::of(self.stop.subscribe()));
        self.running.spawn(async move { watch.run(admin, pause, stopped).await });
        // The sender lives in `watch`.
        drop(self.watch.snapshots().wait_for(Option::is_some).await);
    }

    /// Knows all dead letters from now on, and carries replays out. Their topics are there.
    pub fn index(&mut self) {
        let Some((indexer, worker)) = self.desktop.workers.take() else { return };
        let (watch, stopping) = (self.watch.clone(), self.stop.subscribe());
        self.running.spawn(async move {
            let caught_up = tokio::select! {
                caught_up = indexer.catch_up(|_| ()) => caught_up,
                () = stop::of(stopping.clone()) => return,
            };
            if let Err(error) = caught_up {
                tracing::error!(error = error_chain(&error), "dead letters are not indexed");
                watch.part_ended("the index of dead letters", error_chain(&error));
                return;
            }
            tokio::join!(indexer.run(stopping.clone()), worker.run(stopping));
        });
    }

    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
        self.desktop.store.close().await;
    }
}
