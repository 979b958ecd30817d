//! Handling events without a database.

use super::{Event, Handled, Identity};
use crate::names::IdempotencyKey;

/// Handles one kind of event **at least once**, without a database: for what only acts on the world outside, such as
/// sending a mail, calling another company's API or dropping an entry of a cache.
///
/// At least once means that the handler may run again for an event that it handled: after a crash, and after a rebalance
/// or a stop that did not wait long enough. Nothing notes which events it handled but the group's offset, which moves
/// only after the handler has returned, and is committed up to a second later. So whatever it does must bear being done
/// twice: because it changes nothing, or because the other side knows [`StatelessContext::idempotency_key`].
/// Who wants effects exactly once has a database, and a [`Handler`](super::Handler).
///
/// Everything else is as with a database: order per key, retries on the catalogue's schedule, and dead letters. The
/// offset moves past a failed event only when Kafka has acknowledged its dead letter; a crash between the two may write
/// that again, under the same `dlq.id`. It takes no connection of the service's pool, so `concurrent(n)` may be large;
/// under `batched` one event of a partition runs at a time. A key can't be parked behind a dead letter.
///
/// It can't emit events: without a transaction an event could leave twice with different bytes.
///
/// ```
/// use event_bus::{Event, Handled, StatelessContext, StatelessHandler};
/// # struct PaymentCaptured { order_id: String }
/// # struct Receipts;
/// # impl Receipts {
/// #     async fn send(&self, order_id: &str, message_id: &str) -> std::io::Result<()> { Ok(()) }
/// # }
/// impl StatelessHandler<PaymentCaptured> for Receipts {
///     async fn handle(&self, event: Event<PaymentCaptured>, context: &StatelessContext<'_>) -> Handled {
///         let message_id = format!("<{}@acme.example>", context.idempotency_key());
///         self.send(&event.payload.order_id, &message_id).await?;
///         Ok(())
///     }
/// }
/// ```
pub trait StatelessHandler<E>: Send + Sync + 'static {
    /// Handles the event, perhaps not for the first time.
    fn handle(
        &self,
        event: Event<E>,
        context: &StatelessContext<'_>,
    ) -> impl Future<Output = Handled> + Send;
}

/// What a [`StatelessHandler`] works with.
#[derive(Debug)]
pub struct StatelessContext<'a> {
    identity: Identity<'a>,
}

impl<'a> StatelessContext<'a> {
    pub(crate) fn new(identity: Identity<'a>) -> Self {
        Self { identity }
    }

    /// What effects outside are asked for under: the same whenever this event is handled here, as [`IdempotencyKey`]
    /// says in full.
    #[must_use]
    pub fn idempotency_key(&self) -> IdempotencyKey {
        self.identity.idempotency_key()
    }
}
