//! A writer of the bank: one transaction after the other, several at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use event_bus::outbox::Outbox;
use event_bus::store::Tx;
use tokio::time::{MissedTickBehavior, interval};

use super::{Args, Ended, pause, sigterm};
use crate::bank::{BANK, BANK_TABLES, CUSTOMERS, Fate, MoneyMoved, tenant};
use crate::clock;
use crate::journal::{Journal, Note};

/// Transactions at a time: ids of the outbox are drawn in another order than they are committed in.
const AT_ONCE: u32 = 4;
/// The first of a process's transactions that may enqueue an event which aborts the ledger.
const BEFORE_ABORTS: i64 = 30;

/// Of a hundred transactions.
const ROLLED_BACK: u32 = 6;
const REFUSED: u32 = 4;
/// Of a thousand events.
const FAILING: u32 = 8;
const REJECTED: u32 = 4;

/// Of so many transactions one visits first, for so long.
const VISITS_ONE_IN: u32 = 6;
const VISIT: Duration = Duration::from_millis(15);

/// How a transaction is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    RollBack,
    /// By a constraint that is looked at in the commit.
    Refuse,
}

struct Writer {
    outbox: Outbox,
    journal: Journal,
    /// Events that are still to abort the ledger.
    aborting: AtomicI64,
    begun: AtomicI64,
}

pub async fn run(args: &Args) -> Ended {
    let service = args.service(BANK, BANK_TABLES).await?;
    let outbox = service.outbox().clone();
    let writer = Arc::new(Writer {
        aborting: AtomicI64::new(args.aborting - aborting_so_far(&outbox).await?),
        outbox,
        journal: args.journal(),
        begun: AtomicI64::new(0),
    });
    let pause = Duration::from_secs(1) * AT_ONCE / args.rate.max(1);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let writer = Arc::clone(&writer);
        tasks.spawn(async move {
            let mut ticks = interval(pause);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                writer.transaction().await;
            }
        });
    }
    sigterm().await;
    tasks.shutdown().await;
    Ok(())
}

/// How many such events the bank has enqueued.
async fn aborting_so_far(outbox: &Outbox) -> Result<i64, sqlx::Error> {
    let mut tx = outbox.begin().await?;
    let sql = "SELECT count(*) AS events FROM history WHERE fate = 'abort'";
    let row = tx.fetch_optional(sql, &[]).await?.ok_or(sqlx::Error::RowNotFound)?;
    row.get("events")
}

impl Writer {
    async fn transaction(&self) {
        self.journal.note(&Note::Began);
        // A database that is away, or a deadlock: the next transaction tries anew.
        let written = self.write().await;
        self.journal.note(&Note::Ended);
        if let Err(error) = written {
            eprintln!("a transaction failed: {error}");
        }
    }

    async fn write(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let (fate, end) = self.choice();
        let mut tx = self.outbox.begin().await?;
        let customer = format!("c-{:02}", rand::random_range(0..CUSTOMERS));
        if rand::random_ratio(1, VISITS_ONE_IN) {
            visit(&mut tx, &customer).await?;
        }
        let pence = rand::random_range(-500..=500_i64);
        let version = raise_version(&mut tx, &customer, pence).await?;
        let moved =
            MoneyMoved { customer: customer.clone(), version, previous: version - 1, pence, fate };
        let id = self.outbox.command(&mut tx).emit(&tenant(), &moved)?.to_string();
        let values =
            [customer.into(), version.into(), (&id).into(), pence.into(), fate.as_str().into()];
        tx.execute(
            "INSERT INTO history (customer, version, event_id, pence, fate) VALUES ($1, $2, $3, $4, $5)",
            &values,
        )
        .await?;
        pause(&self.journal, &id).await;
        match end {
            End::Commit => {
                self.outbox
                    .commit(tx)
                    .await
                    .inspect_err(|_| self.journal.note(&Note::Unknown(id)))?;
            }
            End::RollBack => {
                self.journal.note(&Note::RolledBack(id));
                tx.rollback().await?;
            }
            End::Refuse => {
                tx.execute("INSERT INTO pledges (customer) VALUES ('nobody')", &[]).await?;
                if self.outbox.commit(tx).await.is_err() {
                    self.journal.note(&Note::Refused(id));
                }
            }
        }
        Ok(())
    }

    fn choice(&self) -> (Fate, End) {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        if begun >= BEFORE_ABORTS && self.aborting.fetch_sub(1, Ordering::Relaxed) > 0 {
            return (Fate::Abort, End::Commit);
        }
        let fate = match rand::random_range(0..1_000_u32) {
            chance if chance < FAILING => Fate::Fail,
            chance if chance < FAILING + REJECTED => Fate::Reject,
            _ => Fate::Book,
        };
        let end = match rand::random_range(0..100_u32) {
            chance if chance < ROLLED_BACK => End::RollBack,
            chance if chance < ROLLED_BACK + REFUSED => End::Refuse,
            _ => End::Commit,
        };
        (fate, end)
    }
}

/// Writes elsewhere before the customer's row is locked: the transaction has its id before others that commit first.
async fn visit(tx: &mut Tx, customer: &str) -> Result<(), sqlx::Error> {
    tx.execute("INSERT INTO visits (customer) VALUES ($1)", &[customer.into()]).await?;
    clock::pass(VISIT).await;
    Ok(())
}

/// Moves the money and gives the customer's new version. The row is locked until the transaction ends.
async fn raise_version(tx: &mut Tx, customer: &str, pence: i64) -> Result<i64, sqlx::Error> {
    let sql = "INSERT INTO customers AS customer (name, version, current, savings) VALUES ($1, 1, -$2, $2)
               ON CONFLICT (name) DO UPDATE
               SET version = customer.version + 1, current = customer.current - $2,
                   savings = customer.savings + $2
               RETURNING version";
    let row = tx.fetch_optional(sql, &[customer.into(), pence.into()]).await?;
    row.ok_or(sqlx::Error::RowNotFound)?.get("version")
}
