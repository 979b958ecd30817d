//! Which ids of the outbox are decided: visible to whoever looks from now on, or never to be.
//!
//! On PostgreSQL a removed row leaves its index entry behind until a vacuum, and no vacuum takes it while a transaction is
//! open that might still see the row, be it one that never heard of the outbox. A look at the first rows walks over all
//! of these entries. So a relay wants to begin somewhere behind them; but ids commit out of order, and a relay that
//! begins behind the last id it has seen loses the rows that show up later below it.
//!
//! An id is drawn by an INSERT, which has had `RowExclusiveLock` on the outbox since before it drew, and that lock lasts
//! to the end of its transaction. So:
//!
//! 1. Read the last id that was drawn, S. Every id up to S was drawn before this moment, and every later one is greater.
//! 2. Then read who holds that lock. Whoever drew an id up to S holds it, or has ended; and who has ended is visible (or
//!    gone) to every snapshot from now on, for PostgreSQL makes a commit visible before it lets locks go.
//! 3. Once all of those have ended, each id up to S is decided, for every snapshot that is taken afterwards.
//!
//! A transaction that has not written to the outbox is not among them, however long it stays open: it will draw greater
//! ids. What might be a hole, and is none:
//!
//! - *Statement order.* Ids and locks are read by two statements, in this order. The other way round, a writer that comes
//!   in between has an id up to S and is not among the holders.
//! - *A savepoint that is rolled back* lets its locks go before the transaction ends. The ids that were drawn in it are
//!   aborted with it, and what is drawn later is greater than S.
//! - *A prepared transaction* gives up its name (`virtualtransaction`) with PREPARE and goes on under another. All that
//!   are prepared share the prefix `-1/`, so nothing is decided while any of them holds the lock.
//! - *The fast path* of locks: `pg_locks` reads it before the shared table, and locks only move from there to here.
//! - *A crash* of the server. The sequence may go on up to 32 ids further: S is then greater than what was drawn, and what
//!   will be drawn is greater than S. But it may also fall back, to where its last record in the log was that reached the
//!   disk, and ids up to S would be drawn once more. So where the log ends is read behind S, and nothing is decided before
//!   the log is on the disk up to there.
//! - *A failover* to a server that has not got everything: a relay forgets what is decided at each error of the database,
//!   which a connection's end is. A service that commits without waiting (`synchronous_commit = off`) and a failover that
//!   loses what was committed lose order as well as events.
//! - *An id from elsewhere* (`OVERRIDING SYSTEM VALUE`, a `setval` back) would break the rule. It breaks the order of the
//!   outbox as well and is forbidden by the contract.
//!
//! What is decided and still there (it is on its way, its topic is missing, it is halted behind a quarantined row) is the
//! relay's own affair, see `relay::look`.
//!
//! SQLite has one writer at a time, who draws ids behind the lock that it holds to the end of its transaction: whatever was
//! drawn is decided, and what is rolled back is drawn again.

use super::connect::{Backend, Store};
use super::{postgres, sqlite};

/// Of what a name of a prepared transaction begins with.
const PREPARED: &str = "-1/";

/// What was drawn, and who might have drawn it and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    last_drawn: i64,
    /// How far the server's log has to be on the disk, as text; `None` where that is so.
    log_end: Option<String>,
    writers: Vec<String>,
}

impl Mark {
    /// The last id that is decided once the mark is.
    #[must_use]
    pub fn last_drawn(&self) -> i64 {
        self.last_drawn
    }

    /// Whether it is decided from the start, for nobody was writing.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.writers.is_empty() && self.log_end.is_none()
    }

    /// Whether everybody who might have drawn an id up to the mark has ended, if these are all who write now.
    fn is_decided(&self, writers_now: &[String]) -> bool {
        let may_be_one =
            |writer: &String| self.writers.contains(writer) || writer.starts_with(PREPARED);
        !writers_now.iter().any(may_be_one)
    }
}

impl Store {
    /// Marks the last id that was drawn.
    ///
    /// # Errors
    /// The database's.
    pub async fn mark(&self) -> Result<Mark, sqlx::Error> {
        match &self.backend {
            Backend::Postgres(pool) => {
                let connection = &mut *pool.acquire().await?;
                let last_drawn = postgres::relays::last_drawn(connection).await?;
                let log_end = postgres::relays::log_end(connection).await?;
                let writers = postgres::relays::writers(connection).await?;
                Ok(Mark { last_drawn, log_end, writers })
            }
            Backend::Sqlite(pool) => {
                let connection = &mut *pool.acquire().await?;
                let last_drawn = sqlite::relays::last_drawn(connection).await?;
                Ok(Mark { last_drawn, log_end: None, writers: Vec::new() })
            }
        }
    }

    /// Whether each id up to the mark is visible to whoever looks after this answer, or will never be.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_decided(&self, mark: &Mark) -> Result<bool, sqlx::Error> {
        let Backend::Postgres(pool) = &self.backend else { return Ok(true) };
        let connection = &mut *pool.acquire().await?;
        if let Some(end) = &mark.log_end
            && !postgres::relays::is_logged(connection, end).await?
        {
            return Ok(false);
        }
        Ok(mark.is_decided(&postgres::relays::writers(connection).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_decided_once_its_writers_are_gone_and_nobody_is_prepared() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mark = Mark { last_drawn: 7, log_end: None, writers: names(&["3/17", "4/2"]) };
        assert!(!mark.is_decided(&names(&["3/17", "5/1"])));
        assert!(!mark.is_decided(&names(&["-1/812"])));
        assert!(mark.is_decided(&names(&["3/18", "5/1"])));
        assert!(mark.is_decided(&[]) && !mark.is_free());
        assert!(Mark { writers: Vec::new(), ..mark.clone() }.is_free());
        let log_end = Some("0/16B3748".to_owned());
        assert!(!Mark { writers: Vec::new(), log_end, ..mark }.is_free());
    }
}
