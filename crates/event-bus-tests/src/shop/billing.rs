//! Billing: a service whose handler notes each attempt and does what the order tells it to.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use event_bus::service::RunError;
use event_bus::store::Migration;
use event_bus::{
    Catalogue, Context, Event, Failure, Handled, Handler, KafkaConfig, Service, StatelessService,
};
use tokio::sync::{Barrier, oneshot};
use tokio::task::JoinHandle;

use super::{Fate, OrderBilled, OrderPlaced};
use crate::databases::Databases;
use crate::servers;

/// One run of billing's handler.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The order's key.
    pub order_id: String,
    /// Its place among its key's.
    pub number: i64,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// When it started.
    pub at: Instant,
}

/// Billing's handler: notes each attempt and writes one row for each order that it bills. Clones share their notes.
#[derive(Clone, Debug)]
pub struct Billing {
    attempts: Arc<Mutex<Vec<Attempt>>>,
    /// Where two orders of [`Fate::Meet`] wait for each other.
    meeting: Arc<Barrier>,
}

impl Default for Billing {
    fn default() -> Self {
        Self { attempts: Arc::default(), meeting: Arc::new(Barrier::new(2)) }
    }
}

/// Billing refused.
#[derive(Debug, thiserror::Error)]
#[error("order {order_id} can't be billed")]
pub struct Refused {
    order_id: String,
}

impl Billing {
    /// All attempts so far, in the order in which they started.
    ///
    /// # Panics
    /// When a handler panicked while it noted one.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().expect("no handler panics while it notes").clone()
    }

    /// The attempts at one key.
    pub fn attempts_at(&self, order_id: &str) -> Vec<Attempt> {
        self.attempts().into_iter().filter(|attempt| attempt.order_id == order_id).collect()
    }

    fn note(&self, event: &Event<OrderPlaced>) {
        let attempt = Attempt {
            order_id: event.payload.order_id.clone(),
            number: event.payload.number,
            attempt: event.attempt,
            at: Instant::now(),
        };
        self.attempts.lock().expect("no handler panics while it notes").push(attempt);
    }
}

impl Handler<OrderPlaced> for Billing {
    async fn handle(&self, event: Event<OrderPlaced>, context: &mut Context<'_>) -> Handled {
        self.note(&event);
        let OrderPlaced { order_id, number, fate } = &event.payload;
        let values = [order_id.into(), (*number).into(), event.id.to_string().into()];
        context
            .tx()
            .execute("INSERT INTO bills (order_id, number, event_id) VALUES ($1, $2, $3)", &values)
            .await?;
        if matches!(fate, Fate::Emit | Fate::EmitFail | Fate::EmitFailOnce) {
            context.emit(
                &event.tenant,
                &OrderBilled { order_id: order_id.clone(), number: *number },
            )?;
        }
        let refused = || Refused { order_id: order_id.clone() };
        match fate {
            Fate::Ok | Fate::Emit => Ok(()),
            Fate::FailOnce | Fate::EmitFailOnce if event.attempt > 1 => Ok(()),
            Fate::Fail | Fate::FailOnce | Fate::EmitFail | Fate::EmitFailOnce => {
                Err(refused().into())
            }
            Fate::Reject => Err(Failure::reject(refused())),
            Fate::Panic => panic!("order {order_id} makes billing panic"),
            Fate::Hang => std::future::pending().await,
            Fate::Swallow => {
                drop(context.tx().execute("INSERT INTO no_such_table (x) VALUES (1)", &[]).await);
                Ok(())
            }
            Fate::Kill => std::process::abort(),
            Fate::Meet => {
                self.meeting.wait().await;
                Ok(())
            }
        }
    }
}

/// Billing's table. No constraint hides a second effect of one event: it would be a second row. `place` numbers the
/// effects in the order in which they were written.
pub const BILLING_TABLES: &[Migration] = &[Migration {
    version: 1,
    description: "bills",
    postgres: "CREATE TABLE bills (
        place bigserial PRIMARY KEY, order_id text NOT NULL, number bigint NOT NULL, event_id text NOT NULL)",
    sqlite: "CREATE TABLE bills (
        place integer PRIMARY KEY AUTOINCREMENT, order_id text NOT NULL, number bigint NOT NULL, event_id text NOT NULL)",
}];

/// A service that runs until it is stopped.
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Runs a service in the background.
    pub fn start(service: Service) -> Self {
        Self::run(|stop| service.run(stopped(stop)))
    }

    /// Runs a service without a database in the background.
    pub fn start_stateless(service: StatelessService) -> Self {
        Self::run(|stop| service.run(stopped(stop)))
    }

    fn run<R>(run: impl FnOnce(oneshot::Receiver<()>) -> R) -> Self
    where
        R: Future<Output = Result<(), RunError>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let running = run(stopped);
        let task = tokio::spawn(async move { running.await.expect("the service ends well") });
        Self { stop, task }
    }

    /// Stops it as SIGTERM would and waits until it has left its groups.
    ///
    /// # Panics
    /// When the service does not end well, or not within a minute.
    pub async fn stop(self) {
        self.stop.send(()).expect("the service still runs");
        tokio::time::timeout(Duration::from_secs(60), self.task)
            .await
            .expect("it stops in time")
            .expect("it ends well");
    }
}

async fn stopped(stop: oneshot::Receiver<()>) {
    drop(stop.await);
}

/// Runs billing with this handler on a database of its own.
///
/// # Panics
/// When its database can't be opened.
pub async fn run_billing(
    catalogue: &Arc<Catalogue>,
    databases: &Databases,
    handler: Billing,
) -> Running {
    Running::start(open_billing(catalogue, databases).await.on::<OrderPlaced>(handler))
}

/// Billing on a database of its own, without a handler.
///
/// # Panics
/// When its database can't be opened.
pub async fn open_billing(catalogue: &Arc<Catalogue>, databases: &Databases) -> Service {
    open_billing_at(&servers::kafka(), catalogue, databases).await
}

/// As [`open_billing`], on this Kafka.
///
/// # Panics
/// When its database can't be opened.
pub async fn open_billing_at(
    kafka: &KafkaConfig,
    catalogue: &Arc<Catalogue>,
    databases: &Databases,
) -> Service {
    let (url, catalogue) = (databases.url("billing"), Arc::clone(catalogue));
    let opened = Service::open("billing", catalogue, kafka.clone(), &url, BILLING_TABLES).await;
    opened.expect("billing's database opens")
}
