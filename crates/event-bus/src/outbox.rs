//! The transactional outbox: an event leaves if, and only if, the transaction that wrote it committed.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::catalogue::Catalogue;
use crate::envelope::{Draft, SealError};
use crate::handler::{Context, Origin};
use crate::names::{EventId, ServiceName};
use crate::store::{OutboxConnection, Store, Tx};
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

/// Why an event was not written into the outbox. The transaction is as it was, unless the database refused.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// The event can't be published.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database refused or did not answer: roll the transaction back.
    #[error("the event could not be written into the outbox")]
    Store(#[from] sqlx::Error),
}

/// Writes events into the outbox within a transaction of the caller's own, for a service that is not built on this
/// library otherwise: they leave if, and only if, it commits. They are checked against schemas and limits, all before
/// any is written, and are sent per key in their order by whichever relay runs on the database.
///
/// Enqueue at the end of the transaction and all events at once: on PostgreSQL the locks of their keys are held from here
/// to the commit, and two transactions that take theirs in several steps may deadlock. On SQLite begin with
/// `BEGIN IMMEDIATE`, as always before writing there.
///
/// ```no_run
/// # use event_bus::{Catalogue, EventType, envelope::Draft, outbox::enqueue};
/// # async fn place<O: EventType>(
/// #     pool: &sqlx::PgPool, catalogue: &Catalogue, order: O,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut tx = pool.begin().await?;
/// // … the service's own rows …
/// let event = catalogue.event(O::NAME).ok_or("the catalogue has it")?;
/// let tenant = "blinds-direct".parse()?;
/// enqueue(&mut *tx, [Draft::typed(event, &tenant, &order, jiff::Timestamp::now())?]).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When an event breaks its schema or a limit, or the database refuses.
pub async fn enqueue<'a>(
    connection: &mut impl OutboxConnection,
    events: impl IntoIterator<Item = Draft<'a>>,
) -> Result<Vec<EventId>, EnqueueError> {
    let sealed: Result<Vec<_>, SealError> = events.into_iter().map(Draft::seal).collect();
    let records = sealed?;
    if !records.is_empty() {
        connection.insert(&records).await?;
    }
    Ok(records.iter().map(|record| record.event_id).collect())
}
