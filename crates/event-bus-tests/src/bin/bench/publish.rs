//! Validated envelopes through the publisher, beside a bare librdkafka producer that sends the same bytes.
//!
//! Both wait for all replicas, are idempotent, batch alike and have as many events under way. They take turns, and each
//! round gives one ratio.

mod bare;
mod orders;
pub mod turn;

use std::collections::VecDeque;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use event_bus::KafkaConfig;
use event_bus::names::TenantId;
use event_bus::publisher::{Publisher, UnderWay};
use tokio::task::JoinSet;

use bare::BareClient;
use orders::OrderPlaced;
use turn::{Quartiles, Took, Turn};

/// Different events, sent in turn.
const POOL: usize = 500;
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
    let mut rounds = Vec::new();
    for round in 0..WARM_UP + args.rounds {
        let round = if round % 2 == 0 {
            let ours = library.publish(load).await;
            Round { ours, theirs: bare.send(&records, load) }
        } else {
            let theirs = bare.send(&records, load);
            Round { ours: library.publish(load).await, theirs }
        };
        println!("{round}");
        rounds.push(round);
    }
    verdict(&rounds[WARM_UP..])
}

/// Both sides' turns.
struct Round {
    ours: Took,
    theirs: Took,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.ours.rate() / self.theirs.rate()
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "publisher {}, bare client {}, ratio {:.3}", self.ours, self.theirs, self.ratio())
    }
}

fn verdict(rounds: &[Round]) -> ExitCode {
    let ratios = Quartiles::of(rounds.iter().map(Round::ratio));
    let cpu = |side: fn(&Round) -> Took| {
        Quartiles::of(rounds.iter().filter_map(|round| side(round).cpu_micros()))
    };
    println!("CPU microseconds an event: publisher {}", cpu(|round| round.ours));
    println!("CPU microseconds an event: bare client {}", cpu(|round| round.theirs));
    println!("ratio of the rates: {ratios}, wanted at least {WANTED}");
    if ratios.median() >= WANTED { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Library {
    /// Publishes from several tasks at once, as the handlers of a service do.
    async fn publish(&self, load: Load) -> Took {
        let turn = Turn::start();
        let mut tasks = JoinSet::new();
        for _ in 0..load.tasks {
            let (publisher, tenant) = (self.publisher.clone(), self.tenant.clone());
            tasks.spawn(publish(publisher, tenant, Arc::clone(&self.orders), load));
        }
        tasks.join_all().await;
        turn.took(load.tasks * load.events)
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
