//! The spans of a transaction's attempts and dead letters, told once it is known how the transaction ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use uuid::Uuid;

use super::invoke::cause_of;
use super::job::{Death, Job};
use super::receive::Received;
use crate::dead_letter::Cause;
use crate::handler::{Failure, Handled};
use crate::middleware::Subscriber;
use crate::trace_context::TraceContext;
use crate::tracer::{Operation, Span, Tracer, attributes};

/// Attempts since the begin of a transaction. Dropped without [`Self::committed`], they were in vain, and no dead
/// letter was written.
#[derive(Debug)]
pub(crate) struct Attempts {
    tracer: Tracer,
    begun: Vec<Attempt>,
    /// Where the last call's begin.
    call: usize,
    dead_letters: Vec<Span>,
}

#[derive(Debug)]
struct Attempt {
    span: Span,
    /// Unknown while it runs.
    outcome: Option<&'static str>,
}

const DONE: &str = "done";
const FAILED: &str = "failed";
const REJECTED: &str = "rejected";
const ROLLED_BACK: &str = "rolled-back";

/// The span of an event's latest attempt, which the next one links to.
#[derive(Debug, Default)]
pub(crate) struct Latest(AtomicU64);

impl Latest {
    fn get(&self, trace: TraceContext) -> Option<TraceContext> {
        known(self.0.load(Ordering::Relaxed), trace)
    }

    fn replace(&self, by: TraceContext) -> Option<TraceContext> {
        known(self.0.swap(by.span(), Ordering::Relaxed), by)
    }
}

/// Zero means that there was none.
fn known(span: u64, trace: TraceContext) -> Option<TraceContext> {
    (span != 0).then(|| trace.at_span(span))
}

impl Attempts {
    pub(crate) fn new(tracer: &Tracer) -> Self {
        Self { tracer: tracer.clone(), begun: Vec::new(), call: 0, dead_letters: Vec::new() }
    }

    /// A call of the handler is about to begin.
    pub(super) fn call(&mut self) {
        self.call = self.begun.len();
    }

    /// Begins an attempt of the call, which has so many events. Gives the context that follows from it: its span, or
    /// the event's own where nobody wants spans.
    pub(super) fn begin(
        &mut self,
        subscriber: Subscriber<'_>,
        job: &Job<Arc<Received>>,
        events: usize,
    ) -> TraceContext {
        let trace = job.received.trace();
        if !self.tracer.wants(&trace) {
            return trace;
        }
        let mut span = span_of(Operation::Process, subscriber, &job.received, trace)
            .with(attributes::ATTEMPT, i64::from(job.attempt));
        if events > 1 {
            span.set(attributes::BATCH, i64::try_from(events).unwrap_or(i64::MAX));
        }
        span.links.extend(job.received.latest.replace(span.context));
        let context = span.context;
        self.begun.push(Attempt { span, outcome: None });
        context
    }

    /// The call ended. An error is a panic or a time-out.
    pub(super) fn ended(&mut self, called: &Result<Handled, Cause>) {
        if self.begun.len() == self.call {
            return;
        }
        match called {
            Ok(Ok(())) => self.end(DONE, None),
            Ok(Err(failure @ Failure::Retry(_))) => self.end(FAILED, Some(&cause_of(failure))),
            Ok(Err(failure @ Failure::Reject(_))) => self.end(REJECTED, Some(&cause_of(failure))),
            Err(cause) => self.end(FAILED, Some(cause)),
        }
    }

    /// What the call did could not be kept, which is its own fault.
    pub(super) fn failed(&mut self, cause: &Cause) {
        self.end(FAILED, Some(cause));
    }

    fn end(&mut self, outcome: &'static str, cause: Option<&Cause>) {
        let now = Timestamp::now();
        for attempt in &mut self.begun[self.call..] {
            attempt.outcome = Some(outcome);
            attempt.span.end = now;
            if let Some(cause) = cause {
                attempt.span.fail(cause.error_type.clone(), cause.message.clone());
            }
        }
    }

    /// A dead letter is about to be written.
    pub(super) fn bury(
        &mut self,
        subscriber: Subscriber<'_>,
        received: &Received,
        death: &Death,
        dlq_id: Uuid,
    ) {
        let trace = received.trace();
        if !self.tracer.wants(&trace) {
            return;
        }
        let mut span = span_of(Operation::DeadLetter, subscriber, received, trace)
            .with(attributes::ATTEMPT, i64::from(death.attempts))
            .with(attributes::DLQ_REASON, death.cause.reason.as_str())
            .with(attributes::DLQ_ID, dlq_id.to_string());
        span.links.extend(received.latest.get(trace));
        span.fail(death.cause.error_type.clone(), death.cause.message.clone());
        self.dead_letters.push(span);
    }

    /// The transaction is committed, or there is none.
    pub(super) fn committed(mut self) {
        let now = Timestamp::now();
        for Attempt { span, outcome } in self.begun.drain(..) {
            self.tracer.end(span.with(attributes::OUTCOME, outcome.unwrap_or(DONE)));
        }
        for letter in self.dead_letters.drain(..) {
            self.tracer.end(Span { end: now, ..letter });
        }
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        for Attempt { mut span, outcome } in self.begun.drain(..) {
            if outcome.is_none() {
                span.end = Timestamp::now();
            }
            let outcome = outcome.filter(|outcome| *outcome != DONE).unwrap_or(ROLLED_BACK);
            self.tracer.end(span.with(attributes::OUTCOME, outcome));
        }
    }
}

/// A new span under the one that published the event.
fn span_of(
    operation: Operation,
    subscriber: Subscriber<'_>,
    received: &Received,
    trace: TraceContext,
) -> Span {
    let (record, event_id) = (&received.record, received.claim.event_id);
    let mut span = Span::begin(operation, &record.topic, event_id, trace.child())
        .under(received.published())
        .with(attributes::GROUP, subscriber.group.to_string());
    span.set_position(record.partition, record.offset);
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::Reason;
    use crate::tracer::AttributeValue;
    use crate::tracer::kept::Kept;

    fn span(operation: Operation) -> Span {
        let id = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10".parse().unwrap();
        Span::begin(operation, &"acme.order.placed".parse().unwrap(), id, TraceContext::start())
    }

    /// A transaction in which one attempt was done, one failed, one runs, and an event was given up.
    fn attempts(kept: &Kept) -> Attempts {
        let mut attempts = Attempts::new(&Tracer::new(kept.clone()));
        let begun = || Attempt { span: span(Operation::Process), outcome: None };
        attempts.call();
        attempts.begun.push(begun());
        attempts.ended(&Ok(Ok(())));
        attempts.call();
        attempts.begun.push(begun());
        attempts.ended(&Err(Cause::new(Reason::RetriesExhausted, "Panic", "no paper")));
        attempts.call();
        attempts.begun.push(begun());
        attempts.dead_letters.push(span(Operation::DeadLetter));
        attempts
    }

    fn outcomes(kept: &Kept) -> Vec<Option<AttributeValue>> {
        kept.all().iter().map(|span| span.attribute(attributes::OUTCOME).cloned()).collect()
    }

    #[test]
    fn a_commit_tells_of_attempts_and_dead_letters() {
        let kept = Kept::default();
        let mut attempts = attempts(&kept);
        attempts.ended(&Ok(Ok(())));
        attempts.committed();
        let done = || Some(AttributeValue::from(DONE));
        assert_eq!(outcomes(&kept), [done(), Some(FAILED.into()), done(), None]);
        assert_eq!(kept.all()[1].error.as_deref(), Some("no paper"));
    }

    #[test]
    fn what_is_rolled_back_was_tried_in_vain_and_gave_nothing_up() {
        let kept = Kept::default();
        drop(attempts(&kept));
        let in_vain = || Some(AttributeValue::from(ROLLED_BACK));
        assert_eq!(outcomes(&kept), [in_vain(), Some(FAILED.into()), in_vain()]);
    }

    #[test]
    fn an_attempt_is_remembered_for_the_next() {
        let (latest, first) = (Latest::default(), TraceContext::start());
        assert_eq!((latest.get(first), latest.replace(first)), (None, None));
        let second = first.child();
        assert_eq!(latest.replace(second), Some(first));
        assert_eq!(latest.get(first), Some(second));
    }
}
