//! Options that every command takes.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use event_bus::names::Namespace;

use crate::address::address;
use crate::output::{Format, Output};

/// Which cluster, which catalogue, and how to show results.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Where Kafka is [default: localhost:9092, or `bootstrap` in the configuration file]
    #[arg(long, global = true, env = "EVENT_BUS_BOOTSTRAP", value_name = "HOST:PORT,…")]
    pub bootstrap: Option<String>,
    /// A property of the Kafka client (librdkafka), such as security.protocol=sasl_ssl; may be given several times. A secret
    /// is read from a file, sasl.password=@FILE, or from the environment, EVENT_BUS_KAFKA_SASL_PASSWORD.
    /// For `up` also the address that its broker listens on [default: 127.0.0.1:9092]
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = kafka)]
    pub kafka: Vec<Kafka>,
    /// The catalogue of events [default: Blindstrader's own]
    #[arg(long, global = true, env = "EVENT_BUS_CATALOGUE", value_name = "FILE")]
    pub catalogue: Option<PathBuf>,
    /// Use the catalogue under another prefix of topics and groups: a second environment on one cluster
    #[arg(long, global = true, env = "EVENT_BUS_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<Namespace>,
    /// Bootstrap, catalogue, namespace and client properties as TOML [default: event-bus.toml where it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How results are written to stdout
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Format,
    /// What is logged to stderr, such as `info` or `warn,event_bus=debug` [default: info for `service run` and `relay`, else warn]
    #[arg(long, global = true, env = "EVENT_BUS_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

/// What `--kafka` says: how to talk to Kafka, or, where one is started, where that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kafka {
    /// A property of the client.
    Property(String, String),
    /// Where the broker of `up` listens.
    Listen(SocketAddr),
}

impl Global {
    /// The options without the address that a broker is to listen on, and that address.
    pub fn without_listen(&self) -> (Self, Option<SocketAddr>) {
        let listen = self.kafka.iter().rev().find_map(|option| match option {
            Kafka::Listen(address) => Some(*address),
            Kafka::Property(..) => None,
        });
        let mut rest = self.clone();
        rest.kafka.retain(|option| matches!(option, Kafka::Property(..)));
        (rest, listen)
    }

    /// Stdout in the chosen format.
    pub fn output(&self) -> Output {
        Output::new(self.output)
    }

    /// The same options as arguments, for a process of our own.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut push = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        if let Some(bootstrap) = &self.bootstrap {
            push("--bootstrap", bootstrap.into());
        }
        for option in &self.kafka {
            let text = match option {
                Kafka::Property(name, value) => format!("{name}={value}"),
                Kafka::Listen(address) => address.to_string(),
            };
            push("--kafka", text.into());
        }
        if let Some(catalogue) = &self.catalogue {
            push("--catalogue", catalogue.into());
        }
        if let Some(namespace) = &self.namespace {
            push("--namespace", namespace.as_str().into());
        }
        if let Some(config) = &self.config {
            push("--config", config.into());
        }
        if let Some(log) = &self.log {
            push("--log", log.into());
        }
        arguments
    }
}

fn kafka(text: &str) -> Result<Kafka, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok(Kafka::Property(name.to_owned(), value.to_owned()))
        }
        Some(_) => Err("want KEY=VALUE".to_owned()),
        None => address(text).map(Kafka::Listen).map_err(|_| {
            "want KEY=VALUE, or for `up` an address such as 127.0.0.1:9092".to_owned()
        }),
    }
}
