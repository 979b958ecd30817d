//! Validated envelopes through the publisher, beside a bare librdkafka producer that sends the same bytes.
//!
//! Both wait for all replicas, are idempotent, batch alike and have as many events under way. They take turns, and each
//! round gives one ratio.

mod bare;
mod orders;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_bus::KafkaConfig;
use event_bus::names::TenantId;
use event_bus::publisher::{Publisher, UnderWay};
use tokio::task::JoinSet;

use bare::BareClient;
use orders::OrderPlaced;

/// Different events, sent in turn.
const POOL: usize = 10_000;
/// Rounds that are not counted: connections open, memory grows, Kafka's compiler warms up.
const WARM_UP: usize = 3;
/// The publisher must reach this share of the bare client's rate.
const WANTED: f64 = 0.85;

#[derive(clap::Args)]
pub struct Args {
    /// Kafka's `host:port`
    #[arg(long)]
    bootstrap: String,
    /// Events in each round of each side
    #[arg(long, default_value_t = 200_000)]
    events: usize,
    /// Tasks that publish at once, and threads of the bare client
    #[arg(long, default_value_t = 2)]
    tasks: usize,
    /// Events under way at once
    #[arg(long, default_value_t = 20_000)]
    under_way: usize,
    /// Rounds, after those that are not counted
    #[arg(long, default_value_t = 15)]
    rounds: usize,
}

/// What each side does in its turn.
#[derive(Clone, Copy)]
struct Load {
    tasks: usize,
    /// Of each task.
    events: usize,
    /// Of each task. With so many it waits until half of them are acknowledged.
    under_way: usize,
}

/// One side's counterpart: the library.
struct Library {
    publisher: Publisher,
    tenant: TenantId,
    orders: Arc<Vec<OrderPlaced>>,
}

/// Runs the rounds and prints each side's rate and the ratio; fails when the median ratio is below [`WANTED`].
pub async fn run(args: &Args) -> ExitCode {
    let kafka = KafkaConfig::plain(&args.bootstrap);
    let catalogue = orders::catalogue(&kafka).await;
    let tenant: TenantId = "louvolite".parse().expect("a valid tenant");
    let orders: Vec<OrderPlaced> = (0..POOL).map(orders::order).collect();
    let records = orders::sealed(&catalogue, &tenant, &orders);
    let load = Load {
        tasks: args.tasks,
        events: args.events / args.tasks,
        under_way: args.under_way / args.tasks,
    };
    let bytes = records[0].value.as_ref().map_or(0, bytes::Bytes::len);
    let headers = records[0].headers.len();
    println!(
        "{} events of {bytes} bytes with {headers} headers a round, from {} tasks, up to {} under way",
        args.events, args.tasks, args.under_way
    );
    let bare = BareClient::connect(&args.bootstrap, load);
    let publisher = Publisher::connect(catalogue, &kafka).expect("a publisher can be made");
    let library = Library { publisher, tenant, orders: Arc::new(orders) };
    let mut ratios = Vec::new();
    for round in 0..WARM_UP + args.rounds {
        let (ours, theirs) = if round % 2 == 0 {
            let ours = library.publish(load).await;
            (ours, bare.send(&records, load))
        } else {
            let theirs = bare.send(&records, load);
            (library.publish(load).await, theirs)
        };
        let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
        let (ours, theirs) = (rate(args.events, ours), rate(args.events, theirs));
        let counts = if round < WARM_UP { " (warm-up)" } else { "" };
        println!("publisher {ours:.0}/s, bare client {theirs:.0}/s, ratio {ratio:.3}{counts}");
        if round >= WARM_UP {
            ratios.push(ratio);
        }
    }
    verdict(ratios)
}

fn verdict(mut ratios: Vec<f64>) -> ExitCode {
    ratios.sort_by(f64::total_cmp);
    let quantile = |share: usize| ratios[(ratios.len() - 1) * share / 4];
    println!(
        "median ratio {:.3} (half of them {:.3} to {:.3}, all {:.3} to {:.3}), wanted at least {WANTED}",
        quantile(2),
        quantile(1),
        quantile(3),
        quantile(0),
        quantile(4),
    );
    if quantile(2) >= WANTED { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Library {
    /// Publishes from several tasks at once, as the handlers of a service do.
    async fn publish(&self, load: Load) -> Duration {
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..load.tasks {
            let (publisher, tenant) = (self.publisher.clone(), self.tenant.clone());
            tasks.spawn(publish(publisher, tenant, Arc::clone(&self.orders), load));
        }
        tasks.join_all().await;
        started.elapsed()
    }
}

async fn publish(
    publisher: Publisher,
    tenant: TenantId,
    orders: Arc<Vec<OrderPlaced>>,
    load: Load,
) {
    let mut under_way: VecDeque<UnderWay> = VecDeque::with_capacity(load.under_way);
    for order in orders.iter().cycle().take(load.events) {
        if under_way.len() == load.under_way {
            for oldest in under_way.drain(..load.under_way / 2) {
                oldest.receipt().await.expect("Kafka acknowledges");
            }
        }
        under_way.push_back(publisher.begin(&tenant, order).await.expect("the event is valid"));
    }
    for event in under_way {
        event.receipt().await.expect("Kafka acknowledges");
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^53")]
fn rate(events: usize, time: Duration) -> f64 {
    events as f64 / time.as_secs_f64()
}
