//! `event-bus catalogue export`: the catalogue as files for what runs beside the bus.

use clap::Subcommand;
use event_bus::Catalogue;
use event_bus::names::ServiceName;
use event_bus_ops::deploy::rules::{self, Options};
use event_bus_ops::deploy::{Factor, asyncapi, dashboards, kubernetes, strimzi};

use crate::exit::{Exit, usage};
use crate::output::Output;

/// Where the shipped runbooks are.
const RUNBOOKS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/runbooks");
/// What `deploy/Dockerfile` makes, of this version.
const IMAGE: &str = concat!("ghcr.io/blindstrader/event-bus:", env!("CARGO_PKG_VERSION"));
/// The Kafka resource of `deploy/kubernetes`.
const CLUSTER: &str = "event-bus";

#[derive(Subcommand)]
pub enum Export {
    /// An AsyncAPI 3.1 document with Kafka bindings: channels, operations of each service, messages with their schemas
    Asyncapi {
        /// Only what this service publishes and consumes
        #[arg(long)]
        service: Option<ServiceName>,
        /// The document's own version: the catalogue has none, for each event has its own
        #[arg(long, value_name = "VERSION", default_value = "1.0.0")]
        document_version: String,
        /// A broker to begin with, HOST:PORT; with kafka-secure:// before it over TLS. May be given several times
        #[arg(long, value_name = "SERVER")]
        server: Vec<asyncapi::Server>,
    },
    /// Alerts for Prometheus, with the catalogue's thresholds
    PrometheusRules {
        /// Multiply all durations with this, for tests: with 0.01 five minutes are three seconds
        #[arg(long, value_name = "FACTOR", default_value = "1")]
        durations_times: Factor,
        /// The address below which the alerts' runbooks are
        #[arg(long, value_name = "URL", default_value = RUNBOOKS)]
        runbooks: String,
    },
    /// A dashboard for Grafana
    GrafanaDashboard {
        /// Which
        #[arg(value_parser = dashboards::NAMES)]
        name: String,
    },
    /// The services as workloads of Kubernetes
    Kubernetes {
        /// The image that they run
        #[arg(long, default_value = IMAGE)]
        image: String,
        /// The name of the Kafka resource
        #[arg(long, value_name = "NAME", default_value = CLUSTER)]
        cluster: String,
        /// The host of PostgreSQL, where each service has a database and a user of its own
        #[arg(long, value_name = "HOST", default_value = "postgres")]
        postgres: String,
    },
    /// Topics and users for Strimzi, which runs Kafka on Kubernetes
    Strimzi {
        /// The name of the Kafka resource
        #[arg(long, value_name = "NAME", default_value = CLUSTER)]
        cluster: String,
    },
}

impl Export {
    pub fn run(self, catalogue: &Catalogue, output: &mut Output) -> anyhow::Result<Exit> {
        let file = match self {
            Self::Asyncapi { service, document_version, server } => {
                if let Some(unknown) = &service
                    && !catalogue.services().any(|(known, _)| known == unknown)
                {
                    return usage(format!("the catalogue has no service {unknown}"));
                }
                let options =
                    asyncapi::Options { service, version: document_version, servers: server };
                output.json_document(&asyncapi::document(catalogue, &options)?)?;
                return Ok(Exit::Done);
            }
            Self::PrometheusRules { durations_times, runbooks } => {
                let runbooks = runbooks.trim_end_matches('/').to_owned();
                rules::file(catalogue, &Options { durations_times, runbooks })
            }
            Self::GrafanaDashboard { name } => {
                let Some(dashboard) = dashboards::of(&name, catalogue) else {
                    return usage(format!("there is no dashboard {name}"));
                };
                output.json_document(&dashboard.json())?;
                return Ok(Exit::Done);
            }
            Self::Kubernetes { image, cluster, postgres } => {
                kubernetes::file(catalogue, &kubernetes::Options { image, cluster, postgres })
            }
            Self::Strimzi { cluster } => strimzi::file(catalogue, &cluster),
        };
        output.text(&file)?;
        output.flush()?;
        Ok(Exit::Done)
    }
}
