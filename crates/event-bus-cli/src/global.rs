//! Options that every command takes.

use std::ffi::OsString;
use std::path::PathBuf;

use event_bus::names::Namespace;

use crate::output::{Format, Output};

/// Which cluster, which catalogue, and how to show results.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Where Kafka is [default: localhost:9092, or `bootstrap` in the configuration file]
    #[arg(long, global = true, env = "EVENT_BUS_BOOTSTRAP", value_name = "HOST:PORT,…")]
    pub bootstrap: Option<String>,
    /// A property of the Kafka client (librdkafka), such as security.protocol=sasl_ssl; may be given several times
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = property)]
    pub kafka: Vec<(String, String)>,
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
    /// What is logged to stderr, such as `info` or `warn,event_bus=debug` [default: info for `service run`, else warn]
    #[arg(long, global = true, env = "EVENT_BUS_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

impl Global {
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
        for (name, value) in &self.kafka {
            push("--kafka", format!("{name}={value}").into());
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

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("want KEY=VALUE".to_owned()),
    }
}
