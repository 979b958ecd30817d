//! `event-bus relay`: a relay without its service, for a database whose services are not built on the library, or to
//! send what one left behind.

use std::net::SocketAddr;
use std::time::Duration;

use event_bus::metrics::Metrics;
use event_bus::relay::Relay;
use event_bus::store::Store;
use event_bus_ops::{STALLED_AFTER, Watch};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::address::address;
use crate::exit::Exit;
use crate::global::Global;
use crate::settings::Settings;
use crate::{stop, telling};

/// The pause between two looks at the database. Answers are for probes, which come every few seconds.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the database may take to say farewell. Nothing is done on its connections any more.
const STORE_CLOSE: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub struct Args {
    /// The database with the outbox, sqlite://… or postgres://…; it must be there
    #[arg(long, value_name = "URL")]
    store: String,
    /// Whose outbox it is, for logs and metrics; if the catalogue has it, operators can ask the relay about the outbox
    #[arg(long, value_name = "NAME", default_value = "relay")]
    service: String,
    /// Where /readyz, /livez and /metrics answer
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    http: Option<SocketAddr>,
    /// Not ready once the first row has waited for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = STALLED_AFTER.as_secs())]
    stalled_after: u64,
}

impl Args {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let (kafka, catalogue) = (settings.kafka()?, settings.catalogue()?);
        // Before anything is opened, so that a signal meanwhile is not lost.
        let requested = stop::requested(false)?;
        let store = Store::open_existing(&self.store).await?;
        let listener = match self.http {
            Some(address) => Some(telling::listen(address).await?),
            None => None,
        };
        let metrics = Metrics::default();
        let relay = Relay::new(store.clone(), kafka, &*self.service).counting_in(&metrics);
        let relay = relay.answering(&catalogue);
        tracing::info!(service = self.service, "relaying");
        let telling = async {
            if let Some(listener) = listener {
                self.tell(listener, metrics, &store, requested.clone()).await;
            }
        };
        tokio::join!(relay.run(requested.clone()), telling);
        if tokio::time::timeout(STORE_CLOSE, store.close()).await.is_err() {
            tracing::warn!("the database did not let go of its connections in time");
        }
        Ok(Exit::Done)
    }

    /// Looks at the outbox and tells of it until the stop.
    async fn tell(
        &self,
        listener: TcpListener,
        metrics: Metrics,
        store: &Store,
        stop: watch::Receiver<bool>,
    ) {
        let watch = Watch::of_outbox(Duration::from_secs(self.stalled_after));
        watch.started();
        if let Ok(address) = listener.local_addr() {
            tracing::info!(service = self.service, http = %address, "health and metrics");
        }
        let answering = telling::answer(listener, watch.clone(), metrics, stop.clone());
        tokio::join!(answering, watch.look_at_store(store, PAUSE, stop::of(stop.clone())));
    }
}
