//! The `event-bus` command: arguments in, calls of the library's verbs, tables or JSON out. It holds no logic of the
//! bus itself.

mod address;
mod exit;
mod global;
mod logging;
mod otlp;
mod operator;
mod output;
mod progress;
mod settings;
mod stop;
mod telling;
mod view;

mod catalogue;
mod topics;
mod doctor;
mod conform;
mod publish;
mod tail;
mod trace;
mod selection;
mod secrets;
mod service;
mod inbox;
mod outbox;
mod relay;
mod replay;
mod groups;
mod dlq;
mod ops;
mod audit;
mod broker;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Exit;
use global::Global;

/// Events on Apache Kafka by a catalogue: topics, publishing, reading, services and consumer groups.
#[derive(Parser)]
#[command(name = "event-bus", version, after_help = exit::HELP, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check and show the catalogue of events
    #[command(subcommand)]
    Catalogue(catalogue::Command),
    /// Compare the cluster's topics with the catalogue, and bring them to it
    #[command(subcommand)]
    Topics(topics::Command),
    /// Find what is wrong with a cluster, by the catalogue and good practice, and say what to do about it
    Doctor(doctor::Args),
    /// Tell whether services keep to the contract, whatever they are written in
    #[command(subcommand)]
    Conform(conform::Command),
    /// Publish events from NDJSON: a payload or a whole envelope per line
    Publish(publish::Args),
    /// Show events as they come, or from an earlier time on
    Tail(tail::Args),
    /// Show every event that carries an id, across all topics, in time order
    Trace(trace::Args),
    /// Run Blindstrader's services
    #[command(subcommand)]
    Service(service::Command),
    /// Send what a database's outbox holds, until SIGTERM or Ctrl-C: a relay without its service
    Relay(relay::Args),
    /// Show the rows of a database's outbox that can't be sent, and decide about them
    #[command(subcommand)]
    Outbox(outbox::Command),
    /// Show consumer groups and how far they are behind
    #[command(subcommand)]
    Groups(groups::Command),
    /// Have a consumer group run a range of an event's topic again, or try what that would do
    Replay(replay::Args),
    /// Find, understand and replay dead letters
    Dlq(dlq::Args),
    /// Run the process that indexes dead letters and carries replays out, and decide who may ask it
    #[command(subcommand)]
    Ops(ops::Command),
    /// Tell whether the audit of an ops store is as it was written
    #[command(subcommand)]
    Audit(audit::Command),
    /// Show what a service's inbox holds, and remove what is old
    #[command(subcommand)]
    Inbox(inbox::Command),
    /// Run a broker that speaks Kafka's protocol, on this machine and without a cluster
    Broker(broker::Args),
    /// Run everything: a broker, the eight services with some traffic, and a live view of them
    Up(up::Args),
}

impl Command {
    async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Self::Catalogue(command) => command.run(global).await,
            Self::Topics(command) => command.run(global).await,
            Self::Doctor(args) => args.run(global).await,
            Self::Conform(command) => command.run(global).await,
            Self::Publish(args) => args.run(global).await,
            Self::Tail(args) => args.run(global).await,
            Self::Trace(args) => args.run(global).await,
            Self::Service(command) => command.run(global).await,
            Self::Outbox(command) => command.run(global).await,
            Self::Relay(args) => args.run(global).await,
            Self::Groups(command) => command.run(global).await,
            Self::Replay(args) => args.run(global).await,
            Self::Dlq(args) => args.run(global).await,
            Self::Ops(command) => command.run(global).await,
            Self::Audit(command) => command.run(global).await,
            Self::Inbox(command) => command.run(global).await,
            Self::Broker(args) => args.run(global).await,
            Self::Up(args) => args.run(global).await,
        }
    }

    /// A relay alone does one thing at a time: with a single thread for its tasks, none has to wake another.
    fn runtime(&self) -> tokio::runtime::Builder {
        match self {
            Self::Relay(_) => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        }
    }

    /// What is logged when nobody says: what runs for long tells what it does, a tool only what goes wrong.
    fn default_log(&self) -> &'static str {
        match self {
            Self::Service(_) | Self::Relay(_) | Self::Ops(ops::Command::Serve(_)) => "info",
            _ => "warn",
        }
    }

    /// Log lines would tear the live view, which shows them itself.
    fn start_logging(&self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Up(args) => args.start_logging(global),
            _ => logging::start(global.log.as_deref(), self.default_log()),
        }
    }
}

/// Runs the command that the process was called with.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let outcome = command.start_logging(&global).and_then(|()| {
        let runtime = command.runtime().enable_all().build()?;
        let outcome = runtime.block_on(command.run(&global));
        // A blocked call to a broker that is gone must not hold the process.
        runtime.shutdown_background();
        outcome
    });
    exit::report(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_documented_command_lines_parse() {
        for line in [
            "event-bus catalogue check",
            "event-bus catalogue check my.toml --output json",
            "event-bus catalogue show --namespace staging",
            "event-bus catalogue export prometheus-rules --durations-times 0.01 --runbooks https://wiki.example/runbooks",
            "event-bus catalogue export grafana-dashboard consumer-lag",
            "event-bus catalogue export strimzi --cluster bus",
            "event-bus catalogue diff main",
            "event-bus catalogue diff v1:catalogue/acme.toml catalogue/acme.toml --accept OrderPlaced:mail:consumer-gone --output json",
            "event-bus catalogue diff - catalogue",
            "event-bus catalogue usage",
            "event-bus catalogue usage OrderPlaced order.confirmed --since 30d --output json",
            "event-bus catalogue usage --since 2025-06-01T10:30:00Z",
            "event-bus catalogue export bundle",
            "event-bus catalogue export markdown",
            "event-bus catalogue export json-schema",
            "event-bus catalogue export json-schema --output-dir schemas",
            "event-bus catalogue export asyncapi",
            "event-bus catalogue export asyncapi --service payment --document-version 2.1.0 --server kafka-secure://kafka.example:9093",
            "event-bus catalogue export kubernetes --image event-bus:test --cluster bus --postgres db.example",
            "event-bus topics plan --bootstrap a:9092,b:9092",
            "event-bus --kafka security.protocol=sasl_ssl topics apply --replication 1 --accept-reorder",
            "event-bus topics apply --acls --revoke --principal-prefix User:CN=shop-",
            "event-bus --kafka sasl.password=@/run/secrets/kafka topics plan --acls",
            "event-bus catalogue export acls --principal-prefix User:CN=",
            "event-bus broker --data DIR --users users --acls --super-user User:admin --tls-certificate broker.pem --tls-key key.pem --tls-client-ca ca.pem --tls-revoked crl.pem",
            "event-bus doctor",
            "event-bus doctor --store sqlite://brand.db --store postgres://localhost/order --output json",
            "event-bus conform topics",
            "event-bus conform topics --topic OrderPlaced --topic order.confirmed --from end --service retailer \
             --sequence BrandCatalogUpdated=/catalog_version --slack 5 --output json",
            "event-bus conform consumer --service payment --event OrderPlaced --probe-sql sqlite://payment.db --poison bad.json \
             --namespace trial --payload good.json --within 30 --used-topics --output json",
            "event-bus conform consumer --service payment --event OrderPlaced --probe-http http://127.0.0.1:8080/effects",
            "event-bus publish OrderPlaced --tenant louvolite --file -",
            "event-bus publish OrderPlaced --strict --file orders.ndjson",
            "event-bus tail",
            "event-bus tail OrderPlaced order.confirmed --from beginning --tenant t --key k --max 3 --until-end --dlq",
            "event-bus tail --from 2025-06-01T10:30:00Z",
            "event-bus trace ORD-1001",
            "event-bus service run brand --store sqlite://brand.db",
            "event-bus service run --all --store sqlite://{service}.db --traffic 5",
            "event-bus service run brand --store sqlite://brand.db --otlp http://127.0.0.1:4318",
            "event-bus relay --store postgres://localhost/shop --service shop --http 127.0.0.1:9101",
            "event-bus outbox init --store sqlite://shop.db",
            "event-bus outbox list --store sqlite://shop.db --discarded",
            "event-bus outbox retry 17 --store sqlite://shop.db",
            "event-bus outbox discard 17 --reason duplicate --store sqlite://shop.db",
            "event-bus groups list --all",
            "event-bus groups lag --partitions",
            "event-bus groups reset shop-payment-order-placed --to -10 --coordinate",
            "event-bus replay OrderPlaced --into shop-payment-order-placed --from earliest --mode dry-run --most 10",
            "event-bus replay order.placed --into shop-payment-order-placed --from -100 --to 2025-06-01T10:30:00Z --key k \
             --tenant t --mode reprocess --emit --yes --store sqlite://payment.db --reason rebuilt --by me",
            "event-bus dlq foreign list orders-dlt payments.errors --family spring-kafka --text money --limit 0",
            "event-bus dlq foreign redrive orders-dlt --partition 1 --offset 17 --to orders --dry-run",
            "event-bus dlq foreign redrive orders-dlt --original-topic orders --yes --reason mended --by me",
            "event-bus dlq foreign redrive orders-dlt --all",
            "event-bus inbox stats --store sqlite://brand.db",
            "event-bus inbox purge --store postgres://localhost/brand --older-than 90",
            "event-bus ops serve --store sqlite://ops.db --http 127.0.0.1:0 --rebuild",
            "event-bus ops token make alice --role viewer --store sqlite://ops.db",
            "event-bus ops token revoke alice",
            "event-bus dlq list --ops http://127.0.0.1:9300 --state open",
            "event-bus dlq --ops http://127.0.0.1:9300 replay --all --canary 1,10 --max-dead 5 --rate 100 --wait",
            "event-bus dlq edit 0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10 --value - --reason typo --dry-run",
            "event-bus dlq export --format csv --values --state open",
            "event-bus dlq replays --ops http://127.0.0.1:9300",
            "event-bus dlq cancel 0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10 --ops http://127.0.0.1:9300",
            "event-bus broker --memory --faults faults.toml",
            "event-bus broker --data DIR --listen localhost:9092 --durability lazy --allow-remote",
            "event-bus up",
            "event-bus up --data DIR --http 127.0.0.1:0 --kafka 127.0.0.1:0 --rate 0.5 --seed-failures",
            "event-bus up --otlp http://collector:4318/",
            "event-bus up --bootstrap a:9092 --kafka security.protocol=ssl --rate 0",
        ] {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in [
            "event-bus",
            "event-bus tail --from yesterday-ish",
            "event-bus service run --store sqlite://x.db",
            "event-bus service run brand --all --store sqlite://{service}.db",
            "event-bus topics apply --replication 0",
            "event-bus catalogue export prometheus-rules --durations-times 0",
            "event-bus catalogue export grafana-dashboard weather",
            "event-bus conform topics --sequence OrderPlaced",
            "event-bus conform consumer --service payment --event OrderPlaced",
            "event-bus conform consumer --service payment --event OrderPlaced --probe-http https://127.0.0.1:8080",
            "event-bus catalogue diff",
            "event-bus catalogue usage --since yesterday",
            "event-bus catalogue export asyncapi --server http://kafka.example:80",
            "event-bus dlq foreign list",
            "event-bus dlq foreign redrive orders-dlt --offset 17",
            "event-bus dlq foreign redrive orders-dlt --all --partition 1",
            "event-bus dlq foreign list orders-dlt --family nobody",
            "event-bus inbox purge --store sqlite://brand.db --older-than 0",
            "event-bus --kafka nonsense topics plan",
            "event-bus topics apply --revoke",
            "event-bus broker --memory --super-user User:admin",
            "event-bus broker --memory --tls-certificate broker.pem",
            "event-bus --namespace Upper topics plan",
            "event-bus dlq list --ops https://127.0.0.1:9300",
            "event-bus ops token make alice --role king",
            "event-bus broker",
            "event-bus broker --memory --data DIR",
            "event-bus outbox discard 17 --store sqlite://shop.db",
            "event-bus up --rate -1",
            "event-bus up --otlp https://collector:4318",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
