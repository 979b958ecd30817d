//! Our side of the workloads: what a service of this library is, in a process of its own, as the peers are.

mod effects;
mod keyed;
mod poison;

use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;
use event_bus::store::Migration;
use event_bus::{Catalogue, KafkaConfig, Service, StatelessService};

use super::event;
use super::keyed::AT_ONCE;

#[derive(clap::Args)]
pub struct Args {
    /// What handles the events
    #[arg(value_enum)]
    handler: Kind,
    /// Kafka's `host:port`
    #[arg(long, env = "BOOTSTRAP")]
    bootstrap: String,
    /// The namespace whose `OrderPlaced` is handled
    #[arg(long, env = "NAMESPACE")]
    namespace: String,
    /// Events until it is done; of poison events' topic, the good ones
    #[arg(long, env = "EVENTS")]
    events: usize,
    /// The service's database
    #[arg(long, env = "DATABASE_URL")]
    database: Option<String>,
    /// Where waiting handlers write when they ran
    #[arg(long, env = "TRACE_FILE")]
    trace: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// W2: many events at once
    Batch,
    /// W2: one at a time
    Single,
    /// W3
    Waits,
    /// W7
    Poison,
    /// W7, without a database
    PoisonStateless,
}

/// Handles the events, prints the result, and ends.
pub async fn run(args: &Args) -> ExitCode {
    match args.handler {
        Kind::Batch | Kind::Single => effects::run(args).await,
        Kind::Waits => keyed::run(args).await,
        Kind::Poison => poison::in_database(args).await,
        Kind::PoisonStateless => poison::stateless(args).await,
    }
    ExitCode::SUCCESS
}

impl Args {
    fn kafka(&self) -> KafkaConfig {
        KafkaConfig::plain(&self.bootstrap)
    }

    fn catalogue(&self) -> Arc<Catalogue> {
        let consumption = match self.handler {
            Kind::Waits => format!("execution = \"concurrent({AT_ONCE})\""),
            _ => String::new(),
        };
        Arc::new(event::contract().catalogue(&self.namespace, &consumption))
    }

    fn database(&self) -> &str {
        self.database.as_deref().expect("DATABASE_URL is set")
    }

    async fn service(&self, tables: &[Migration]) -> Service {
        let opened =
            Service::open("payment", self.catalogue(), self.kafka(), self.database(), tables);
        opened.await.expect("the database opens")
    }

    fn stateless_service(&self) -> StatelessService {
        StatelessService::new("payment", self.catalogue(), self.kafka())
            .expect("it is in the contract")
    }
}
