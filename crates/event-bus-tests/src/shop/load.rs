//! Orders that keep coming while something else goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use event_bus::Catalogue;
use event_bus::publisher::{Publisher, UnderWay};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::interval;

use super::{Fate, OrderPlaced, order, tenant};
use crate::kafka;

/// Enough to keep every partition of a test busy, and less than one transaction a time brings through on a machine that
/// compiles beside it.
pub const PER_SECOND: usize = 200;
/// How many keys take turns.
const KEYS: i64 = 60;
/// The orders of one such time are sent together.
const PAUSE: Duration = Duration::from_millis(50);
const AT_ONCE: usize = PER_SECOND / 20;

/// Orders that are being published.
pub struct Load {
    published: Arc<AtomicI64>,
    end: oneshot::Sender<()>,
    task: JoinHandle<Vec<OrderPlaced>>,
}

impl Load {
    /// Publishes [`PER_SECOND`] orders with this fate, of all keys in turn, until it is told to end.
    pub fn start(catalogue: &Arc<Catalogue>, fate: Fate) -> Self {
        let published = Arc::new(AtomicI64::new(0));
        let (end, ending) = oneshot::channel();
        let task = tokio::spawn(publish(
            kafka::publisher(catalogue),
            fate,
            Arc::clone(&published),
            ending,
        ));
        Self { published, end, task }
    }

    /// How many orders Kafka has acknowledged.
    pub fn published(&self) -> i64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Ends it, and gives all orders in the order in which they were published.
    ///
    /// # Panics
    /// When Kafka did not take one.
    pub async fn end(self) -> Vec<OrderPlaced> {
        // When the task has ended by itself, it says below why.
        let _ = self.end.send(());
        self.task.await.expect("Kafka takes every order")
    }
}

async fn publish(
    publisher: Publisher,
    fate: Fate,
    published: Arc<AtomicI64>,
    mut ending: oneshot::Receiver<()>,
) -> Vec<OrderPlaced> {
    let tenant = tenant();
    let mut orders = Vec::new();
    let mut ticks = interval(PAUSE);
    let mut numbers = 0..;
    loop {
        tokio::select! {
            _ = &mut ending => return orders,
            _ = ticks.tick() => {}
        }
        let mut under_way: Vec<UnderWay> = Vec::with_capacity(AT_ONCE);
        for n in numbers.by_ref().take(AT_ONCE) {
            let order = order(&format!("o-{}", n % KEYS), n / KEYS, fate);
            let begun = publisher.begin(&tenant, &order).await;
            under_way.push(begun.expect("the client takes the order"));
            orders.push(order);
        }
        for order in under_way {
            order.receipt().await.expect("Kafka takes the order");
            published.fetch_add(1, Ordering::Relaxed);
        }
    }
}
