//! The eight services, all in this process.
//!
//! `service run --all` gives each a process of its own, so that a crash takes no neighbour along. A look around is
//! better served by one process: it starts in a fraction of the time and the memory, and ends with its terminal.

use std::sync::Arc;

use blindstrader::OpenServiceError;
use event_bus::dead_letter::error_chain;
use event_bus::metrics::Metrics;
use event_bus::outbox::Outbox;
use event_bus::service::RunError;
use event_bus::{Catalogue, KafkaConfig, Service};
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::data::Databases;
use crate::otlp::Traces;
use crate::stop;

/// Services that run.
pub struct Services {
    running: JoinSet<(&'static str, Result<(), RunError>)>,
    stop: watch::Sender<bool>,
    outboxes: Vec<Outbox>,
}

/// A service that ended by itself or not well.
pub struct Ended {
    pub service: &'static str,
    pub error: String,
}

impl Services {
    /// Opens all databases side by side, making those that are missing.
    pub async fn open(
        catalogue: &Arc<Catalogue>,
        kafka: &KafkaConfig,
        databases: &Databases,
    ) -> Result<Vec<(&'static str, Service)>, OpenServiceError> {
        let opening = blindstrader::SERVICES.into_iter().map(async |name| {
            let (catalogue, kafka) = (Arc::clone(catalogue), kafka.clone());
            let service = blindstrader::open(name, catalogue, kafka, &databases.of(name)).await?;
            Ok((name, service))
        });
        try_join_all(opening).await
    }

    /// Runs them until [`Self::stop`]; they count together, and each traces by itself.
    pub fn start(
        services: Vec<(&'static str, Service)>,
        metrics: &Metrics,
        traces: &Traces,
    ) -> Self {
        let (stop, stopping) = watch::channel(false);
        let outboxes = services.iter().map(|(_, service)| service.outbox().clone()).collect();
        let mut running = JoinSet::new();
        for (name, service) in services {
            let stopping = stopping.clone();
            let tracer = traces.tracer(service.outbox().catalogue().namespace(), name);
            let service = service.counting_in(metrics.clone()).traced_by(tracer);
            running.spawn(async move { (name, service.run(stop::of(stopping)).await) });
        }
        Self { running, stop, outboxes }
    }

    /// The outbox of each.
    pub fn outboxes(&self) -> impl Iterator<Item = &Outbox> {
        self.outboxes.iter()
    }

    /// The next that ends before it is asked to; never, once none is left.
    pub async fn next_ended(&mut self) -> Ended {
        match self.running.join_next().await {
            Some(Ok((service, Ok(())))) => {
                Ended { service, error: "it stopped unasked".to_owned() }
            }
            Some(Ok((service, Err(error)))) => Ended { service, error: error_chain(&error) },
            Some(Err(error)) => Ended { service: "a service", error: error.to_string() },
            None => std::future::pending().await,
        }
    }

    /// Lets all finish what they are at, and send what that led to. Gives those that did not end well.
    pub async fn stop(mut self) -> Vec<Ended> {
        self.stop.send_replace(true);
        let mut failed = Vec::new();
        while let Some(joined) = self.running.join_next().await {
            match joined {
                Ok((_, Ok(()))) => {}
                Ok((service, Err(error))) => {
                    failed.push(Ended { service, error: error_chain(&error) });
                }
                Err(error) => {
                    failed.push(Ended { service: "a service", error: error.to_string() });
                }
            }
        }
        failed
    }
}
