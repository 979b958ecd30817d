//! The transactional outbox: an event leaves if, and only if, the transaction that wrote it committed.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::catalogue::Catalogue;
use crate::handler::{Context, Origin};
use crate::names::{EventId, ServiceName};
use crate::store::{Store, Tx};
use crate::trace_context::TraceContext;
use crate::tracer::Tracer;

/// A service's way to change its database and publish, in one transaction. Clones share one pool and one relay.
///
/// ```no_run
/// # async fn place(outbox: &event_bus::outbox::Outbox) -> Result<(), Box<dyn std::error::Error>> {
/// let mut tx = outbox.begin().await?;
/// let mut context = outbox.command(&mut tx);
/// // write rows through context.tx() and publish with context.emit(…)
/// outbox.commit(tx).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Outbox {
    store: Store,
    catalogue: Arc<Catalogue>,
    service: ServiceName,
    nudge: Arc<Notify>,
    tracer: Arc<OnceLock<Tracer>>,
}

impl Outbox {
    pub(crate) fn new(store: Store, catalogue: Arc<Catalogue>, service: ServiceName) -> Self {
        Self { store, catalogue, service, nudge: Arc::default(), tracer: Arc::default() }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin(&self) -> Result<Tx, sqlx::Error> {
        self.store.begin().await
    }

    /// What a command works with inside a transaction of [`Self::begin`].
    pub fn command<'a>(&'a self, tx: &'a mut Tx) -> Context<'a> {
        let id = EventId::at(Timestamp::now());
        let origin = Origin::Command { id, trace: TraceContext::start() };
        Context::new(tx, self, origin)
    }

    /// Commits rows and events together and wakes the relay.
    ///
    /// # Errors
    /// The database's; then neither rows nor events are there.
    pub async fn commit(&self, tx: Tx) -> Result<(), sqlx::Error> {
        tx.commit().await?;
        self.nudge.notify_one();
        Ok(())
    }

    /// Commits what [`Tx::flush`] prepared and wakes the relay.
    pub(crate) async fn end(&self, tx: Tx) -> Result<(), sqlx::Error> {
        tx.end().await?;
        self.nudge.notify_one();
        Ok(())
    }

    /// The database that rows and events are written to.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The contract that events are checked against.
    #[must_use]
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Who publishes.
    #[must_use]
    pub fn service(&self) -> &ServiceName {
        &self.service
    }

    /// Traces what leaves through this outbox and its clones from now on. A second tracer is not heeded.
    pub(crate) fn trace_by(&self, tracer: Tracer) {
        drop(self.tracer.set(tracer));
    }

    pub(crate) fn tracer(&self) -> &Tracer {
        static NONE: Tracer = Tracer::none();
        self.tracer.get().unwrap_or(&NONE)
    }

    pub(crate) fn nudge(&self) -> &Arc<Notify> {
        &self.nudge
    }
}
