//! The Kafka that `up` works with: its own embedded broker, or a cluster that somebody named.

use std::net::SocketAddr;

use anyhow::bail;
use event_bus::dead_letter::error_chain;
use event_bus::kafka::admin::Admin;
use event_bus::topics::{Applied, Options, apply, plan};
use event_bus::{Catalogue, KafkaConfig};
use event_bus_broker::{Broker, Config, StartError};

use super::data::DataDir;
use crate::exit::usage;
use crate::settings::Settings;

/// Where a broker of our own listens: where every command looks for one.
const LISTEN: &str = "127.0.0.1:9092";

/// A Kafka that answers.
pub struct Cluster {
    /// `None` where it is somebody else's.
    broker: Option<Broker>,
    /// How to reach it.
    pub kafka: KafkaConfig,
}

impl Cluster {
    /// Starts a broker, unless the settings name one that runs.
    pub async fn start(
        settings: &Settings,
        listen: Option<SocketAddr>,
        data: &DataDir,
    ) -> anyhow::Result<Self> {
        if let Some(bootstrap) = settings.bootstrap_given() {
            return match listen {
                None => Ok(Self { broker: None, kafka: settings.kafka()? }),
                Some(listen) => usage(format!(
                    "--kafka {listen} would start a broker, but {bootstrap} is to be used: leave out one of the two \
                     (the second may come from EVENT_BUS_BOOTSTRAP or the configuration file)"
                )),
            };
        }
        let listen = listen.unwrap_or_else(|| LISTEN.parse().expect("the constant is an address"));
        let config = Config { listen, ..Config::in_directory(data.broker()) };
        let broker = Broker::start(config).await.map_err(with_cure)?;
        let kafka = settings.kafka_at(broker.bootstrap())?;
        Ok(Self { broker: Some(broker), kafka })
    }

    /// Whether the broker is our own.
    pub fn is_embedded(&self) -> bool {
        self.broker.is_some()
    }

    /// Brings the topics to the catalogue. No cluster can keep more copies than it has brokers.
    pub async fn apply_topics(&self, admin: &Admin, catalogue: &Catalogue) -> anyhow::Result<()> {
        let cluster = admin.cluster_with_configs(&catalogue.topics()).await?;
        let brokers = i32::try_from(cluster.brokers).unwrap_or(i32::MAX).max(1);
        let is_small = catalogue.events().any(|event| event.replication > brokers);
        let options = Options { replication: is_small.then_some(brokers), accept_reorder: false };
        let plan = plan(catalogue, &cluster, options);
        if let Some(refused) = plan.refused.first() {
            bail!("{refused}: {}", refused.cure());
        }
        let mut failed = None;
        let ready = apply(admin, &plan, |Applied { step, outcome }| {
            if let Err(error) = outcome {
                failed.get_or_insert_with(|| format!("{step}: {}", error_chain(&error)));
            }
        });
        ready.await?;
        match failed {
            Some(failed) => bail!(failed),
            None => Ok(()),
        }
    }

    /// Ends our own broker, with everything on the disk.
    pub async fn stop(self) {
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
    }
}

/// The cure in the words of this command.
fn with_cure(error: StartError) -> anyhow::Error {
    let cure = match &error {
        StartError::Remote(_) => {
            "; `event-bus up` is for this machine alone: run `event-bus broker --allow-remote`, and this with --bootstrap"
        }
        StartError::Listen { .. } => {
            "; with `event-bus up` that is --kafka HOST:PORT, and --bootstrap uses a Kafka that runs already"
        }
        _ => return error.into(),
    };
    anyhow::anyhow!("{}{cure}", error_chain(&error))
}
