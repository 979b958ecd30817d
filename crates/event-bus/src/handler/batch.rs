//! Handling many events at once.

use std::collections::HashMap;

use super::{Context, Event, Handled, Identity, Origin};
use crate::names::{EventId, GroupName};
use crate::outbox::Outbox;
use crate::store::Tx;

/// Handles many events of one kind in one transaction, for those who can write many rows with one statement.
///
/// A batch holds the events of one partition that queued up while the last transaction committed, in their order and
/// without those that took effect before: one event at low load, up to 500 at high load. All that it writes and emits
/// takes effect once per event, as a [`Handler`](super::Handler)'s work does.
///
/// On an error, a panic or a time-out the whole batch is rolled back, and its events run once more in batches of one,
/// each behind a savepoint: the good ones commit, and only the one that fails is tried again on the schedule or becomes
/// a dead letter. So a batch must mean the same as its events one by one, and an error need not say whose it is. The
/// handler's time-out holds for the batch as a whole.
///
/// Under `concurrent(n)` every event has its own transaction, and a batch is one event.
///
/// ```
/// use event_bus::{BatchContext, BatchHandler, Event, Failure, Handled};
/// # struct OrderPlaced { order_id: String }
/// struct Mails;
///
/// impl BatchHandler<OrderPlaced> for Mails {
///     async fn handle_batch(&self, events: &[Event<OrderPlaced>], context: &mut BatchContext<'_>) -> Handled {
///         let ids: Vec<&str> = events.iter().map(|event| &*event.payload.order_id).collect();
///         let Some(postgres) = context.tx().as_postgres() else { return Err(Failure::reject("no PostgreSQL")) };
///         let sql = "INSERT INTO mails (order_id) SELECT unnest($1::text[])";
///         sqlx::query(sql).bind(&ids).execute(postgres).await?;
///         Ok(())
///     }
/// }
/// ```
pub trait BatchHandler<E>: Send + Sync + 'static {
    /// Handles the events, of which there is at least one.
    fn handle_batch(
        &self,
        events: &[Event<E>],
        context: &mut BatchContext<'_>,
    ) -> impl Future<Output = Handled> + Send;
}

/// What a [`BatchHandler`] works with: the one transaction of the batch, and a [`Context`] for each event of it.
#[derive(Debug)]
pub struct BatchContext<'a> {
    tx: &'a mut Tx,
    outbox: &'a Outbox,
    group: &'a GroupName,
    /// How many events follow from each already.
    emitted: HashMap<EventId, u32>,
}

impl<'a> BatchContext<'a> {
    pub(crate) fn new(tx: &'a mut Tx, outbox: &'a Outbox, group: &'a GroupName) -> Self {
        Self { tx, outbox, group, emitted: HashMap::new() }
    }

    /// The open transaction. The runtime commits it, with the events' rows in the inbox and what was emitted.
    pub fn tx(&mut self) -> &mut Tx {
        self.tx
    }

    /// The context of one event of the batch. What is emitted through it follows from that event: its id and its
    /// trace derive from the event's, and are the same whether the event runs in this batch, in another or alone.
    ///
    /// ```
    /// # use event_bus::{BatchContext, Event, EventType, Handled};
    /// # struct Placed;
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct MailQueued { mails: u32 }
    /// # impl EventType for MailQueued { const NAME: &'static str = "MailQueued"; const VERSION: &'static str = "1.0"; }
    /// # fn emit(events: &[Event<Placed>], context: &mut BatchContext<'_>) -> Handled {
    /// for event in events {
    ///     context.of(event).emit(&event.tenant, &MailQueued { mails: 1 })?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn of<'b, E>(&'b mut self, event: &'b Event<E>) -> Context<'b> {
        let identity = Identity { id: event.id, tenant: &event.tenant, group: self.group };
        let emitted = self.emitted.entry(event.id).or_default();
        let origin = Origin::Event { identity, trace: event.trace, emitted };
        Context::new(self.tx, self.outbox, origin)
    }
}
