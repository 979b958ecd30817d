//! `--otlp`: where the traces of events go.

use event_bus::names::Namespace;
use event_bus::tracer::Tracer;
use event_bus_ops::otlp::{Endpoint, Exporter};

#[derive(clap::Args)]
pub struct Otlp {
    /// Trace events, and send the spans to this OpenTelemetry collector (OTLP over HTTP), such as http://127.0.0.1:4318
    #[arg(long = "otlp", value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    endpoint: Option<Endpoint>,
}

/// What exports spans, if anything does.
pub struct Traces(Option<Exporter>);

impl Otlp {
    /// Starts exporting, if that is wanted.
    pub fn start(&self) -> Traces {
        Traces(self.endpoint.clone().map(Exporter::start))
    }

    /// The option again, for a process of our own.
    pub fn arguments(&self) -> Vec<String> {
        let endpoint = self.endpoint.iter();
        endpoint.flat_map(|endpoint| ["--otlp".to_owned(), endpoint.to_string()]).collect()
    }
}

impl Traces {
    /// What traces a service, which a collector knows by its namespace and its name.
    pub fn tracer(&self, namespace: &Namespace, service: &str) -> Tracer {
        let exporter = self.0.as_ref();
        exporter
            .map(|exporter| exporter.tracer(&format!("{namespace}-{service}")))
            .unwrap_or_default()
    }

    /// Sends what is left.
    pub async fn stop(self) {
        if let Some(exporter) = self.0 {
            exporter.stop().await;
        }
    }
}
