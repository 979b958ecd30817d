//! Log lines, on stderr.

use std::fs::File;
use std::io::{IsTerminal, stderr};

use anyhow::Context;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::exit::UsageError;

/// Starts logging with the given filter, for example `info,event_bus::relay=debug`.
pub fn start(filter: Option<&str>, default: &str) -> anyhow::Result<()> {
    fmt()
        .with_env_filter(filter_of(filter, default)?)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .try_init()
        .map_err(anyhow::Error::from_boxed)
        .context("logging could not be started")
}

/// Starts logging into a file, and into `notes` what a view shows by itself.
pub fn start_in_file(
    filter: Option<&str>,
    default: &str,
    file: File,
    notes: impl Layer<Registry> + Send + Sync,
) -> anyhow::Result<()> {
    let lines = fmt::layer().with_ansi(false).with_writer(file);
    tracing_subscriber::registry()
        .with(notes)
        .with(lines.with_filter(filter_of(filter, default)?))
        .try_init()
        .context("logging could not be started")
}

fn filter_of(filter: Option<&str>, default: &str) -> anyhow::Result<EnvFilter> {
    let filter = filter.unwrap_or(default);
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| UsageError(format!("--log {filter:?} is not a filter: {error}")))?;
    Ok(filter)
}
