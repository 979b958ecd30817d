//! `event-bus catalogue export`: the catalogue as files for what runs beside the bus.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Subcommand;
use event_bus::Catalogue;
use event_bus::access::PrincipalPrefix;
use event_bus::catalogue::Event;
use event_bus::names::ServiceName;
use event_bus_ops::deploy::rules::{self, Options};
use event_bus_ops::deploy::{
    Factor, acls, asyncapi, dashboards, json_schema, kubernetes, markdown, strimzi,
};
use serde_json::{Value, json};

use super::source::Bundle;
use crate::exit::{Exit, usage};
use crate::output::Output;
use crate::settings::Settings;

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
    /// JSON Schemas 2020-12 of whole envelopes: one document for all of them, or a file for each version of an event
    JsonSchema {
        /// Write <Event>/<version>.json into this directory, in place of one document to stdout
        #[arg(long, value_name = "DIR")]
        output_dir: Option<PathBuf>,
    },
    /// Pages to read: fields, samples, producers, consumers, keys, retention, personal data
    Markdown,
    /// The catalogue and its schemas in one file, to be published for `catalogue diff` elsewhere
    Bundle,
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
    pub fn run(self, settings: &Settings, output: &mut Output) -> anyhow::Result<Exit> {
        let catalogue = &*settings.catalogue()?;
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
            Self::JsonSchema { output_dir: None } => {
                output.json_document(&json_schema::bundle(catalogue))?;
                return Ok(Exit::Done);
            }
            Self::JsonSchema { output_dir: Some(directory) } => {
                return schema_files(catalogue, &directory, output);
            }
            Self::Bundle => {
                output.json_document(&bundle(catalogue, settings)?)?;
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
            Self::Markdown => markdown::file(catalogue),
            Self::Strimzi { cluster } => strimzi::file(catalogue, &cluster),
            Self::Acls { principal_prefix } => acls::file(catalogue, &principal_prefix),
        };
        output.text(&file)?;
        output.flush()?;
        Ok(Exit::Done)
    }
}

fn bundle(catalogue: &Catalogue, settings: &Settings) -> anyhow::Result<Bundle> {
    let text = match settings.catalogue_file() {
        Some(file) => {
            fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))?
        }
        None => blindstrader::CATALOGUE.to_owned(),
    };
    let of = |event: &Arc<Event>| -> Vec<(String, Value)> {
        let named = event.versions.iter().map(|known| {
            (format!("{}/{}.json", event.name, known.version), known.schema.json().clone())
        });
        named.collect()
    };
    Ok(Bundle { catalogue: text, schemas: catalogue.events().flat_map(of).collect() })
}

/// Writes the schemas that are wanted, removes nothing, and tells the files.
fn schema_files(
    catalogue: &Catalogue,
    directory: &Path,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let mut written = Vec::new();
    for event in catalogue.events() {
        let folder = directory.join(event.name.as_str());
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} can't be made", folder.display()))?;
        for known in &event.versions {
            let file = folder.join(format!("{}.json", known.version));
            let text = serde_json::to_string_pretty(&json_schema::of(catalogue, event, known))?;
            fs::write(&file, format!("{text}\n"))
                .with_context(|| format!("{} can't be written", file.display()))?;
            written.push(file.display().to_string());
        }
    }
    if output.is_json() {
        output.json_document(&json!({ "files": written }))?;
    } else {
        written.iter().try_for_each(|file| output.line(file))?;
        output.flush()?;
    }
    Ok(Exit::Done)
}
