//! Exports spans to an OpenTelemetry collector: OTLP over HTTP, in its JSON encoding.
//!
//! Services are never kept waiting: spans queue up to a limit and are dropped beyond it, and a collector that is away
//! is told of once in the log and asked again with a growing wait.
//!
//! TLS and credentials are left to a collector on the same machine or network, which every vendor has.

mod encode;
mod post;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use event_bus::dead_letter::error_chain;
use event_bus::tracer::{Span, SpanProcessor, Tracer};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

pub use post::{Endpoint, NotAnEndpoint};

use post::{PostError, post};

/// How many spans wait at most. What a span takes is below a kibibyte.
const QUEUE: usize = 16_384;
/// How many spans go in one request at most.
const BATCH: usize = 512;
/// How long a span waits for others at most.
const DELAY: Duration = Duration::from_secs(1);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// The wait before a request is made again: doubled each time.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How long the last requests may take when the program ends.
const LAST_REQUESTS: Duration = Duration::from_secs(3);

/// Sends the spans of this process's services to a collector, in the background.
#[derive(Debug)]
pub struct Exporter {
    queue: Arc<Queue>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

/// An ended span, and whose it is.
#[derive(Debug)]
struct Ended {
    /// `service.name` among OpenTelemetry's resource attributes.
    service_name: Arc<str>,
    span: Span,
}

#[derive(Debug)]
struct Queue {
    spans: mpsc::Sender<Ended>,
    dropped: AtomicU64,
}

/// The spans of one service.
struct OfService {
    service_name: Arc<str>,
    queue: Arc<Queue>,
}

impl SpanProcessor for OfService {
    fn on_end(&self, span: Span) {
        let service_name = Arc::clone(&self.service_name);
        if self.queue.spans.try_send(Ended { service_name, span }).is_err() {
            self.queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Exporter {
    /// Starts exporting, on the runtime that this is called in. The collector need not be there yet.
    #[must_use]
    pub fn start(endpoint: Endpoint) -> Self {
        let (spans, waiting) = mpsc::channel(QUEUE);
        let queue = Arc::new(Queue { spans, dropped: AtomicU64::new(0) });
        let (stop, stopping) = watch::channel(false);
        let sending = Sending {
            endpoint,
            queue: Arc::clone(&queue),
            stop: stopping,
            is_away: false,
            is_losing: false,
        };
        let running = tokio::spawn(sending.run(waiting));
        Self { queue, stop, running }
    }

    /// What a service hands its spans to. `service_name` is what the collector knows it as.
    #[must_use]
    pub fn tracer(&self, service_name: &str) -> Tracer {
        Tracer::new(self.processor(service_name))
    }

    fn processor(&self, service_name: &str) -> OfService {
        OfService { service_name: service_name.into(), queue: Arc::clone(&self.queue) }
    }

    /// Sends what waits, as far as the collector takes it in a few seconds, and ends. Spans that come later are
    /// dropped.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let abort = self.running.abort_handle();
        if timeout(LAST_REQUESTS, self.running).await.is_err() {
            abort.abort();
            tracing::warn!("the last spans are lost: the collector did not take them in time");
        }
    }
}

/// What runs in the background.
struct Sending {
    endpoint: Endpoint,
    queue: Arc<Queue>,
    stop: watch::Receiver<bool>,
    /// Whether the collector was told of as being away.
    is_away: bool,
    /// Whether it was told that spans come too fast.
    is_losing: bool,
}

impl Sending {
    async fn run(mut self, mut waiting: mpsc::Receiver<Ended>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            self.fill(&mut batch, &mut waiting).await;
            if batch.is_empty() {
                // The queue is closed, and nothing is left in it.
                return;
            }
            self.deliver(encode::request(&batch).into()).await;
            batch.clear();
        }
    }

    /// Waits for a span, and a little for more. At the stop the queue takes no more.
    async fn fill(&self, batch: &mut Vec<Ended>, waiting: &mut mpsc::Receiver<Ended>) {
        let mut stop = self.stop.clone();
        tokio::select! {
            _ = waiting.recv_many(batch, BATCH) => {}
            () = stopped(&mut stop) => {
                waiting.close();
                waiting.recv_many(batch, BATCH).await;
            }
        }
        let deadline = Instant::now() + DELAY;
        while !batch.is_empty() && batch.len() < BATCH {
            let more = async {
                tokio::select! {
                    more = waiting.recv_many(batch, BATCH - batch.len()) => more,
                    () = stopped(&mut stop) => 0,
                }
            };
            if timeout_at(deadline, more).await.unwrap_or(0) == 0 {
                return;
            }
        }
    }

    /// Makes a request until the collector has taken it or refused it, at the stop once.
    async fn deliver(&mut self, request: Bytes) {
        let mut wait = RETRY_MIN;
        loop {
            let posted = timeout(REQUEST, post(&self.endpoint, request.clone())).await;
            let error = match posted.unwrap_or(Err(PostError::NoAnswer)) {
                Ok(()) => return self.delivered(),
                Err(error) => error,
            };
            if !std::mem::replace(&mut self.is_away, true) {
                tracing::warn!(
                    endpoint = %self.endpoint, error = error_chain(&error),
                    "spans can't be exported: the services go on without, and what does not fit the queue is lost"
                );
            }
            if !error.is_worth_a_retry() || *self.stop.borrow() {
                return;
            }
            drop(timeout(wait, stopped(&mut self.stop)).await);
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    fn delivered(&mut self) {
        let lost = self.queue.dropped.load(Ordering::Relaxed);
        if std::mem::take(&mut self.is_away) {
            tracing::info!(endpoint = %self.endpoint, lost, "spans are exported again");
        } else if lost > 0 && !std::mem::replace(&mut self.is_losing, true) {
            tracing::warn!(endpoint = %self.endpoint, "more spans come than can be exported, and some are lost");
        }
    }
}

/// Completes once the exporter is to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An exporter that was dropped stops too.
    drop(stop.wait_for(|stop| *stop).await);
}

#[cfg(test)]
mod tests;
