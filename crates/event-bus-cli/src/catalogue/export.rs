//! `event-bus catalogue export`: the catalogue as files for what runs beside the bus.

use clap::Subcommand;
use event_bus::Catalogue;
use event_bus::access::PrincipalPrefix;
use event_bus_ops::deploy::rules::{self, Options};
use event_bus_ops::deploy::{Factor, acls, dashboards, kubernetes, strimzi};

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
    /// Who may do what, as a shell script of kafka-acls; `topics apply --acls` does the same
    Acls {
        /// What stands before users' names, such as User:CN= for certificates
        #[arg(long, value_name = "PREFIX", default_value = "User:")]
        principal_prefix: PrincipalPrefix,
    },
}

impl Export {
    pub fn run(self, catalogue: &Catalogue, output: &mut Output) -> anyhow::Result<Exit> {
        let file = match self {
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
            Self::Acls { principal_prefix } => acls::file(catalogue, &principal_prefix),
        };
        output.text(&file)?;
        output.flush()?;
        Ok(Exit::Done)
    }
}
