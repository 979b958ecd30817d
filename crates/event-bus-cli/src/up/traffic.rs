//! What happens in the demonstration without anybody's doing.

use event_bus::dead_letter::error_chain;
use event_bus::outbox::Outbox;
use event_bus::publisher::Publisher;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::stop;

/// Traffic that is being made.
pub struct Traffic {
    running: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Traffic {
    /// None yet.
    pub fn new() -> Self {
        Self { running: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    /// Begins the traffic of one service.
    pub fn begin(&mut self, outbox: Outbox, rate: f64) {
        let stopping = stop::of(self.stop.subscribe());
        self.running.spawn(async move {
            if let Err(error) = blindstrader::traffic::run(outbox, rate, stopping).await {
                tracing::error!(error = error_chain(&error), "no more traffic");
            }
        });
    }

    /// Begins to publish events that fail.
    pub fn begin_failures(&mut self, publisher: Publisher) {
        let stopping = stop::of(self.stop.subscribe());
        let pause = blindstrader::traffic::FAILURE_PAUSE;
        self.running.spawn(blindstrader::traffic::fail(publisher, pause, stopping));
    }

    /// Ends all of it, and returns once it has ended.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }
}
