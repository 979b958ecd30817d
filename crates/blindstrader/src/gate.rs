//! The gate: a row that a handler updates before it decides on facts that come by different topics.
//!
//! The race: on PostgreSQL two transactions can each write their fact and then look for the other's. Neither sees it,
//! for neither has committed, and what needed both facts never happens. Behind the gate the second waits until the
//! first has committed and then reads what it wrote, since under READ COMMITTED every statement sees what is
//! committed when it begins.
//!
//! A lock per order, SKU or supplier would let more transactions run side by side. But the runtime handles up to 500
//! events in one transaction, in the order of their partition, and two such batches would take the same rows' locks
//! in different orders and deadlock. A single row that is always taken first can't. Handlers that only add a fact
//! which nobody decides on stay outside.

use event_bus::store::{Migration, Tx};

/// Makes the gate. A service that needs it has this as its first step.
pub(crate) const MIGRATION: Migration = Migration::same(
    1,
    "gate",
    "CREATE TABLE gate (passed bigint NOT NULL);
     INSERT INTO gate (passed) VALUES (0);",
);

/// Waits for every transaction that passed before, and holds back those that come after until this one ends.
pub(crate) async fn pass(tx: &mut Tx) -> Result<(), sqlx::Error> {
    tx.execute("UPDATE gate SET passed = passed + 1", &[]).await.map(drop)
}
