//! What looks at the others, knows their dead letters, and tells those who ask.

use std::sync::Arc;
use std::time::Duration;

use event_bus::KafkaConfig;
use event_bus::audit::Mirror;
use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::Indexer;
use event_bus::dead_letters::guarded::Worker;
use event_bus::kafka::admin::Admin;
use event_bus::metrics::Metrics;
use event_bus::store::ops::OpsStore;
use event_bus_ops::{LagCollector, Watch, http, panel};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ops::Ops;
use crate::{stop, telling};

/// What looks at the others and tells those who ask.
pub struct Operations {
    pub watch: Watch,
    admin: Admin,
    kafka: KafkaConfig,
    store: Arc<OpsStore>,
    /// Until they work.
    workers: Option<(Indexer, Worker, Mirror, LagCollector)>,
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

impl Operations {
    /// Tells how it is; that nothing is ready yet, until there is something to look at.
    pub fn start(metrics: Metrics, listener: TcpListener, ops: Ops) -> Self {
        let (stop, stopping) = watch::channel(false);
        let mut running = JoinSet::new();
        let Ops { store, indexer, worker, mirror, lag, desk, watch, admin, kafka } = ops;
        let telling = http::router(watch.clone(), metrics, Some(lag.clone()));
        let router = panel::router(&desk, telling);
        running.spawn(telling::answer_by(listener, watch.clone(), router, stopping));
        let workers = Some((indexer, worker, mirror, lag));
        Self { watch, admin, kafka, store, workers, stop, running }
    }

    /// Looks at Kafka from now on, with a pause between two looks. Returns after the first.
    pub async fn look(&mut self, pause: Duration) {
        let (watch, admin) = (self.watch.clone(), self.admin.clone());
        let stopped = stop::of(self.stop.subscribe());
        self.running.spawn(async move { watch.run(admin, pause, stopped).await });
        // The sender lives in `watch`.
        drop(self.watch.snapshots().wait_for(Option::is_some).await);
    }

    /// Knows all dead letters and every lag from now on, and carries replays out. Their topics are there.
    pub fn index(&mut self) {
        let Some((indexer, worker, mirror, lag)) = self.workers.take() else { return };
        let (watch, stopping) = (self.watch.clone(), self.stop.subscribe());
        let (admin, kafka) = (self.admin.clone(), self.kafka.clone());
        let (store, stopped) = (Arc::clone(&self.store), stop::of(stopping.clone()));
        self.running.spawn(async move { lag.run(admin, kafka, &store, stopped).await });
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
            let (of_index, of_mirror) = (stopping.clone(), stopping.clone());
            tokio::join!(indexer.run(of_index), mirror.run(of_mirror), worker.run(stopping));
        });
    }

    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
        self.store.close().await;
    }
}
