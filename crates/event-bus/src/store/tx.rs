//! A transaction of a service's database, with the events that leave if it commits.

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};

use super::sql::{Row, RowOf, Value, postgres_query, rows_of, sqlite_query};
use super::{postgres, sqlite};
use crate::envelope::OutgoingRecord;
use crate::trace_context::TraceContext;
use crate::tracer::{Span, Tracer};

/// A transaction. Dropped without [`Tx::commit`], it leaves nothing behind: no row and no event.
#[derive(Debug)]
pub struct Tx {
    pub(super) connection: Connection,
    outgoing: Vec<OutgoingRecord>,
    /// The spans of those that are traced. They end with the commit, and are never told without it.
    created: Vec<Span>,
    tracer: Tracer,
    /// How much was to leave at the last [`Tx::mark`].
    marked: Emitted,
    /// Whether SQLite ended the transaction at an error. What came after it is in another, which is never committed.
    is_lost: bool,
}

/// How much is to leave.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Emitted {
    records: usize,
    /// How many of them are traced.
    spans: usize,
}

#[derive(Debug)]
pub(super) enum Connection {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Tx {
    pub(super) fn on_postgres(transaction: Transaction<'static, Postgres>) -> Self {
        Self::on(Connection::Postgres(transaction))
    }

    pub(super) fn on_sqlite(transaction: Transaction<'static, Sqlite>) -> Self {
        Self::on(Connection::Sqlite(transaction))
    }

    fn on(connection: Connection) -> Self {
        Self {
            connection,
            outgoing: Vec::new(),
            created: Vec::new(),
            tracer: Tracer::none(),
            marked: Emitted::default(),
            is_lost: false,
        }
    }

    /// Runs a statement that reads the same on both databases, with `$1`, `$2`, … for the values. Says how many
    /// rows it changed.
    ///
    /// # Errors
    /// The database's.
    pub async fn execute(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<u64, sqlx::Error> {
        match &mut self.connection {
            Connection::Postgres(tx) => {
                Ok(postgres_query(sql, values).execute(&mut **tx).await?.rows_affected())
            }
            Connection::Sqlite(tx) => {
                let done = sqlite_query(sql, values).execute(&mut **tx).await;
                self.is_lost |= done.is_err() && sqlite::replace_ended(tx).await;
                Ok(done?.rows_affected())
            }
        }
    }

    /// Runs a query that reads the same on both databases.
    ///
    /// # Errors
    /// The database's.
    pub async fn fetch_all(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match &mut self.connection {
            Connection::Postgres(tx) => {
                let rows = postgres_query(sql, values).fetch_all(&mut **tx).await?;
                rows.into_iter().map(|row| Row(RowOf::Postgres(row))).collect()
            }
            Connection::Sqlite(tx) => {
                let rows = sqlite_query(sql, values).fetch_all(&mut **tx).await;
                self.is_lost |= rows.is_err() && sqlite::replace_ended(tx).await;
                rows?.into_iter().map(|row| Row(RowOf::Sqlite(row))).collect()
            }
        })
    }

    /// How many rows of so many values one statement writes best. SQLite finds the place of each value by going through
    /// all of them, so that it has few; PostgreSQL waits for each statement, so that it has many.
    fn rows_at_once(&self, columns: usize) -> usize {
        let values = match &self.connection {
            Connection::Postgres(_) => 12_500,
            Connection::Sqlite(_) => 400,
        };
        (values / columns).max(1)
    }

    /// Runs a statement with a list of rows, in as many pieces as it takes. `statement` is told the placeholders of the
    /// list, and gives what each piece returns.
    pub(super) async fn with_rows<const COLUMNS: usize>(
        &mut self,
        rows: &[[Value; COLUMNS]],
        statement: impl Fn(&str) -> String,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let mut returned = Vec::new();
        for rows in rows.chunks(self.rows_at_once(COLUMNS)) {
            let sql = statement(&rows_of(rows.len(), COLUMNS));
            returned.extend(self.fetch_made(sql, &rows.concat()).await?);
        }
        Ok(returned)
    }

    /// As [`Self::execute`], a statement that is put together from constants.
    pub(super) async fn execute_made(
        &mut self,
        sql: String,
        values: &[Value],
    ) -> Result<u64, sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        Ok(match &mut self.connection {
            Connection::Postgres(tx) => {
                postgres_query(sql, values).execute(&mut **tx).await?.rows_affected()
            }
            Connection::Sqlite(tx) => {
                sqlite_query(sql, values).execute(&mut **tx).await?.rows_affected()
            }
        })
    }

    /// As [`Self::fetch_all`], a query that is put together from constants.
    pub(super) async fn fetch_made(
        &mut self,
        sql: String,
        values: &[Value],
    ) -> Result<Vec<Row>, sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        Ok(match &mut self.connection {
            Connection::Postgres(tx) => {
                let rows = postgres_query(sql, values).fetch_all(&mut **tx).await?;
                rows.into_iter().map(|row| Row(RowOf::Postgres(row))).collect()
            }
            Connection::Sqlite(tx) => {
                let rows = sqlite_query(sql, values).fetch_all(&mut **tx).await?;
                rows.into_iter().map(|row| Row(RowOf::Sqlite(row))).collect()
            }
        })
    }

    /// Runs a query and gives its first row, if there is one.
    ///
    /// # Errors
    /// The database's.
    pub async fn fetch_optional(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Option<Row>, sqlx::Error> {
        Ok(self.fetch_all(sql, values).await?.into_iter().next())
    }

    /// The connection inside the transaction, on PostgreSQL, for everything that sqlx can do. Don't end the
    /// transaction on it.
    pub fn as_postgres(&mut self) -> Option<&mut PgConnection> {
        match &mut self.connection {
            Connection::Postgres(tx) => Some(tx),
            Connection::Sqlite(_) => None,
        }
    }

    /// The connection inside the transaction, on SQLite. Don't end the transaction on it.
    pub fn as_sqlite(&mut self) -> Option<&mut SqliteConnection> {
        match &mut self.connection {
            Connection::Postgres(_) => None,
            Connection::Sqlite(tx) => Some(tx),
        }
    }

    /// Lets a record leave if this transaction commits. Events of a service go through
    /// [`Context::emit`](crate::Context::emit), which checks them.
    pub fn enqueue(&mut self, record: OutgoingRecord) {
        self.outgoing.push(record);
    }

    /// Has `span` told if this transaction commits, and if anybody wants the spans of its trace.
    pub(crate) fn trace(
        &mut self,
        tracer: &Tracer,
        trace: TraceContext,
        span: impl FnOnce() -> Span,
    ) {
        if tracer.wants(&trace) {
            self.tracer = tracer.clone();
            self.created.push(span());
        }
    }

    /// Writes the buffered events into the outbox and commits both.
    ///
    /// # Errors
    /// The database's; then nothing is committed. A statement that failed and that nobody heeded may be behind it:
    /// PostgreSQL gives up its transaction then and would say that it committed, SQLite does after some errors.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.flush().await?;
        self.end().await
    }

    /// Writes the buffered events into the outbox: the first half of [`Self::commit`].
    ///
    /// # Errors
    /// The database's; then the transaction must not be ended with [`Self::end`].
    pub(crate) async fn flush(&mut self) -> Result<(), sqlx::Error> {
        let outgoing = std::mem::take(&mut self.outgoing);
        match &mut self.connection {
            Connection::Postgres(tx) if outgoing.is_empty() => postgres::probe(tx).await,
            Connection::Postgres(tx) => postgres::outbox::insert_outgoing(tx, &outgoing).await,
            Connection::Sqlite(tx) => {
                if self.is_lost || sqlite::replace_ended(tx).await {
                    self.is_lost = true;
                    sqlite::roll_back(tx).await
                } else {
                    sqlite::outbox::insert_outgoing(tx, &outgoing).await
                }
            }
        }
    }

    /// Commits what [`Self::flush`] prepared.
    ///
    /// # Errors
    /// The database's; then nothing is committed.
    pub(crate) async fn end(self) -> Result<(), sqlx::Error> {
        match self.connection {
            Connection::Postgres(tx) => tx.commit().await?,
            Connection::Sqlite(tx) => tx.commit().await?,
        }
        for span in self.created {
            self.tracer.end(Span { end: Timestamp::now(), ..span });
        }
        Ok(())
    }

    /// Whether SQLite ended the transaction at an error that somebody met in it.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Rolls everything back.
    ///
    /// # Errors
    /// The database's; dropping the transaction rolls it back as well.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        match self.connection {
            Connection::Postgres(tx) => tx.rollback().await,
            Connection::Sqlite(tx) => tx.rollback().await,
        }
    }

    /// How much is to leave so far.
    pub(crate) fn emitted(&self) -> Emitted {
        Emitted { records: self.outgoing.len(), spans: self.created.len() }
    }

    /// Has nothing leave that came since.
    pub(crate) fn unemit(&mut self, before: Emitted) {
        self.outgoing.truncate(before.records);
        self.created.truncate(before.spans);
    }

    /// What is to leave.
    pub(crate) fn outgoing(&self) -> &[OutgoingRecord] {
        &self.outgoing
    }

    /// Begins what [`Self::keep`] keeps and [`Self::undo`] takes back.
    ///
    /// # Errors
    /// The database's.
    pub async fn mark(&mut self) -> Result<(), sqlx::Error> {
        self.marked = self.emitted();
        self.execute("SAVEPOINT event_bus", &[]).await.map(drop)
    }

    /// Keeps what happened since [`Self::mark`].
    ///
    /// # Errors
    /// The database's.
    pub async fn keep(&mut self) -> Result<(), sqlx::Error> {
        self.execute("RELEASE SAVEPOINT event_bus", &[]).await.map(drop)
    }

    /// Takes back what happened since [`Self::mark`], what was to leave included.
    ///
    /// # Errors
    /// The database's.
    pub async fn undo(&mut self) -> Result<(), sqlx::Error> {
        self.unemit(self.marked);
        self.execute("ROLLBACK TO SAVEPOINT event_bus", &[]).await?;
        self.keep().await
    }
}
