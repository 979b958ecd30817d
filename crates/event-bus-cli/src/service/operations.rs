//! What one service tells of itself: health and metrics.

use std::net::SocketAddr;
use std::time::Duration;

use event_bus::kafka::admin::Admin;
use event_bus::metrics::Metrics;
use event_bus::outbox::Outbox;
use event_bus::{KafkaConfig, Service};
use event_bus_ops::Watch;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Run;
use crate::{stop, telling};

/// The pause between two looks at Kafka and at the database. Answers are for probes, which come every few seconds.
const PAUSE: Duration = Duration::from_secs(2);

/// A listener, and what is told there.
pub struct Operations {
    listener: TcpListener,
    admin: Admin,
    watch: Watch,
    outbox: Outbox,
    metrics: Metrics,
}

impl Operations {
    /// Opens the listener, so that an address in use is known before anything runs.
    pub async fn open(
        service: &Service,
        kafka: &KafkaConfig,
        address: SocketAddr,
        run: &Run,
    ) -> anyhow::Result<Self> {
        let listener = telling::listen(address).await?;
        let outbox = service.outbox().clone();
        let stalled_after = Duration::from_secs(run.stalled_after);
        let watch =
            Watch::of_service(outbox.catalogue().clone(), outbox.service().clone(), stalled_after);
        tracing::info!(service = %outbox.service(), http = %listener.local_addr()?, "health and metrics");
        let (admin, metrics) = (Admin::connect(kafka)?, service.metrics().clone());
        Ok(Self { listener, admin, watch, outbox, metrics })
    }

    /// Looks and tells until the stop.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        self.watch.started();
        let Self { listener, admin, watch, outbox, metrics } = self;
        tokio::join!(
            telling::answer(listener, watch.clone(), metrics, stop.clone()),
            watch.run(admin, PAUSE, stop::of(stop.clone())),
            watch.look_at_store(outbox.store(), PAUSE, stop::of(stop.clone())),
        );
    }
}
