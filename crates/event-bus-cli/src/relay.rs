//! `event-bus relay`: a relay without its service, for a database whose services are not built on the library, or to
//! take over from theirs.

use std::time::Duration;

use event_bus::relay::Relay;
use event_bus::store::Store;

use crate::exit::Exit;
use crate::global::Global;
use crate::settings::Settings;
use crate::stop;

/// How long the database may take to say farewell. Nothing is done on its connections any more.
const STORE_CLOSE: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub struct Args {
    /// The database with the outbox, sqlite://… or postgres://…; it must be there
    #[arg(long, value_name = "URL")]
    store: String,
    /// Whose outbox it is, for those who read the log
    #[arg(long, value_name = "NAME", default_value = "relay")]
    service: String,
}

impl Args {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let kafka = Settings::of(global)?.kafka()?;
        // Before anything is opened, so that a signal meanwhile is not lost.
        let requested = stop::requested(false)?;
        let store = Store::open_existing(&self.store).await?;
        tracing::info!(service = self.service, "relaying");
        Relay::new(store.clone(), kafka, self.service).run(requested).await;
        if tokio::time::timeout(STORE_CLOSE, store.close()).await.is_err() {
            tracing::warn!("the database did not let go of its connections in time");
        }
        Ok(Exit::Done)
    }
}
