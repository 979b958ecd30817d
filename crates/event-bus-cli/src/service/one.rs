use super::Run;
use super::operations::Operations;
use crate::exit::{Exit, UsageError};
use crate::global::Global;
use crate::settings::Settings;
use crate::stop;
use event_bus::dead_letter::error_chain;

/// Runs one service in this process.
pub async fn run(global: &Global, name: &str, run: &Run) -> anyhow::Result<Exit> {
    let settings = Settings::of(global)?;
    let (catalogue, kafka) = (settings.catalogue()?, settings.kafka()?);
    // Before anything is opened, so that a signal meanwhile is not lost.
    let requested = stop::requested(run.until_stdin_ends)?;
    let service =
        match blindstrader::open(name, catalogue, kafka.clone(), &run.store_of(name)).await {
            Err(error @ blindstrader::OpenServiceError::UnknownService { .. }) => {
                return Err(UsageError(error.to_string()).into());
            }
            opened => opened?,
        };
    let service = match &run.instance {
        Some(id) => service.instance(id.clone()),
        None => service,
    };
    let outbox = service.outbox().clone();
    let traces = run.otlp.start();
    let service = service.traced_by(traces.tracer(outbox.catalogue().namespace(), name));
    let operations = match run.http {
        Some(address) => Some(Operations::open(&service, &kafka, address, run).await?),
        None => None,
    };
    let operations = async {
        if let Some(operations) = operations {
            operations.run(requested.clone()).await;
        }
    };
    let traffic = async {
        let Some(rate) = run.traffic else { return };
        if let Err(error) =
            blindstrader::traffic::run(outbox, rate, stop::of(requested.clone())).await
        {
            tracing::error!(error = error_chain(&error), "no more traffic");
        }
    };
    let (ended, (), ()) =
        tokio::join!(service.run(stop::of(requested.clone())), traffic, operations);
    traces.stop().await;
    ended?;
    Ok(Exit::Done)
}
