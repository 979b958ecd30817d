//! One call of a subscription's handler: within its time-out, and whatever it does.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::attempts::Attempts;
use super::erased::ErasedHandler;
use super::job::{Job, Verdict};
use super::receive::Received;
use crate::dead_letter::{Cause, Reason};
use crate::handler::{Failure, Handled};
use crate::metrics::SubscriptionMetrics;
use crate::middleware::{Call, Delivery, ErasedMiddleware, Next, Place, Subscriber};
use crate::tracer::Tracer;

/// A subscription's handler with all that stands around it.
#[derive(Clone)]
pub(crate) struct Invoker {
    pub(crate) handler: Arc<dyn ErasedHandler>,
    /// The first is outermost.
    pub(crate) middleware: Arc<[Arc<dyn ErasedMiddleware>]>,
    pub(crate) timeout: Duration,
    pub(crate) metrics: Arc<SubscriptionMetrics>,
    pub(crate) tracer: Tracer,
}

impl Invoker {
    /// Whether one call may have more than one event.
    pub(crate) fn takes_batches(&self) -> bool {
        self.handler.takes_batches()
    }

    /// Calls the handler with events that may be handled. An error is a panic or a time-out, which leaves behind nobody
    /// knows what.
    pub(crate) async fn call(
        &self,
        jobs: &[&Job<Arc<Received>>],
        subscriber: Subscriber<'_>,
        place: Place<'_>,
        attempts: &mut Attempts,
    ) -> Result<Handled, Cause> {
        attempts.call();
        let deliveries: Vec<Delivery<'_>> = jobs
            .iter()
            .filter_map(|job| {
                let envelope = job.received.envelope.as_ref().ok()?;
                let (received, group) = (&*job.received, subscriber.group);
                let trace = attempts.begin(subscriber, job, jobs.len());
                Some(Delivery { received, envelope, group, attempt: job.attempt, trace })
            })
            .collect();
        let next = Next::new(&self.middleware, &*self.handler);
        let handling = next.run_boxed(Call::new(&deliveries, subscriber, place));
        let handling = AssertUnwindSafe(handling).catch_unwind();
        let began = Instant::now();
        let ended = tokio::time::timeout(self.timeout, handling).await;
        self.metrics.handler_took(began.elapsed());
        let called = match ended {
            Ok(Ok(handled)) => Ok(handled),
            Ok(Err(panic)) => {
                let text = format!("the handler panicked: {}", panic_text(&*panic));
                Err(Cause::new(Reason::RetriesExhausted, "Panic", text))
            }
            Err(_) => {
                let text = format!("the handler took longer than {:?}", self.timeout);
                Err(Cause::new(Reason::RetriesExhausted, "TimedOut", text))
            }
        };
        attempts.ended(&called);
        called
    }
}

impl Subscriber<'_> {
    /// Tells of an attempt that failed.
    pub(crate) fn log(&self, job: &Job<Arc<Received>>, verdict: &Verdict) {
        if let Verdict::Failed(cause) | Verdict::Dead(cause) = verdict {
            let record = &job.received.record;
            tracing::warn!(
                group = %self.group, topic = %record.topic, partition = record.partition, offset = record.offset,
                event_id = %job.received.claim.event_id, attempt = job.attempt, error = cause.message, "an attempt failed"
            );
        }
    }
}

/// What follows from how a handler failed.
pub(crate) fn verdict_of(failure: &Failure) -> Verdict {
    match failure {
        Failure::Retry(_) => Verdict::Failed(cause_of(failure)),
        Failure::Reject(_) => Verdict::Dead(cause_of(failure)),
    }
}

pub(super) fn cause_of(failure: &Failure) -> Cause {
    match failure {
        Failure::Retry(error) => Cause::of(Reason::RetriesExhausted, "HandlerError", &**error),
        Failure::Reject(error) => Cause::of(Reason::Rejected, "Rejected", &**error),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is not text")
}
