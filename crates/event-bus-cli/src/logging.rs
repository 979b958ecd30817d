//! Log lines, on stderr.

use std::io::{IsTerminal, stderr};

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::exit::UsageError;

/// Starts logging with the given filter, for example `info,event_bus::relay=debug`.
pub fn start(filter: Option<&str>, default: &str) -> anyhow::Result<()> {
    let filter = filter.unwrap_or(default);
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| UsageError(format!("--log {filter:?} is not a filter: {error}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .try_init()
        .map_err(anyhow::Error::from_boxed)
        .context("logging could not be started")
}
