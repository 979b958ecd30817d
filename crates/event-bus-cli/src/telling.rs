//! Where a command tells of its health and its metrics.

use std::net::SocketAddr;

use anyhow::Context;
use event_bus::dead_letter::error_chain;
use event_bus::metrics::Metrics;
use event_bus_ops::Watch;
use event_bus_ops::http::{self, Router};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Listens where `--http` says.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{address} can't be listened on: choose another address with --http")
    })
}

/// Answers until the stop.
pub async fn answer(
    listener: TcpListener,
    watch: Watch,
    metrics: Metrics,
    stop: watch::Receiver<bool>,
) {
    answer_by(listener, watch.clone(), http::router(watch, metrics, None), stop).await;
}

/// Answers by these routes until the stop.
pub async fn answer_by(
    listener: TcpListener,
    watch: Watch,
    router: Router,
    stop: watch::Receiver<bool>,
) {
    if let Err(error) = http::answer(listener, router, stop).await {
        tracing::error!(error = error_chain(&error), "HTTP is not answered any more");
        watch.part_ended("the HTTP server", error_chain(&error));
    }
}
