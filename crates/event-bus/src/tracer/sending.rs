//! A record on its way to Kafka.

use jiff::Timestamp;

use super::{Operation, Span, Tracer};
use crate::envelope::{Outgoing, OutgoingRecord};
use crate::headers::{DLQ_ID, REPLAY_ID, TRACEPARENT};
use crate::kafka::producer::{Delivered, SendError};
use crate::names::EventId;
use crate::trace_context::TraceContext;

/// The span of a record that Kafka did not acknowledge yet. It ends with the delivery report; dropped before, it is
/// never told.
#[derive(Debug)]
pub(crate) struct Sending {
    tracer: Tracer,
    span: Span,
}

impl Tracer {
    /// The span of a record that is published now. A first publish is the span that the record's `traceparent` names.
    pub(crate) fn publishing(&self, record: &impl Outgoing, event: EventId) -> Option<Sending> {
        if !self.is_enabled() {
            return None;
        }
        let is_first = !record.headers().any(|(name, _)| matches!(name, DLQ_ID | REPLAY_ID));
        match traceparent(record) {
            Some(context) if is_first => {
                let begun = || Span::begin(Operation::Publish, record.topic(), event, context);
                self.wants(&context).then(|| Sending { tracer: self.clone(), span: begun() })
            }
            published => self.sending(record, event, published),
        }
    }

    /// The span of a record that waits in the outbox since then.
    pub(crate) fn relaying(&self, record: &OutgoingRecord, since: Timestamp) -> Option<Sending> {
        if !self.is_enabled() {
            return None;
        }
        let mut sending = self.sending(record, record.event_id, traceparent(record))?;
        sending.span.start = since;
        Some(sending)
    }

    /// The span of a record whose event was published, or made, by another span.
    fn sending(
        &self,
        record: &impl Outgoing,
        event: EventId,
        published: Option<TraceContext>,
    ) -> Option<Sending> {
        let trace = published.unwrap_or_else(|| TraceContext::of_event(event));
        self.wants(&trace).then(|| {
            let span = Span::begin(Operation::Send, record.topic(), event, trace.child());
            Sending { tracer: self.clone(), span: span.under(published) }
        })
    }
}

impl Sending {
    /// Ends with the delivery report.
    pub(crate) fn ended(mut self, report: &Result<Delivered, SendError>) {
        match report {
            Ok(delivered) => self.span.set_position(delivered.partition, delivered.offset),
            Err(error) => self.span.fail(error.kind(), error.to_string()),
        }
        self.span.end = Timestamp::now();
        self.tracer.end(self.span);
    }
}

fn traceparent(record: &impl Outgoing) -> Option<TraceContext> {
    let (_, value) = record.headers().filter(|(name, _)| *name == TRACEPARENT).last()?;
    std::str::from_utf8(value?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Header;
    use crate::tracer::kept::Kept;
    use crate::tracer::{AttributeValue, SpanKind, attributes};

    const ID: &str = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10";
    const TRACEPARENT_TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn record(headers: &[(&'static str, &str)]) -> OutgoingRecord {
        OutgoingRecord {
            topic: "acme.order.placed".parse().unwrap(),
            partition: None,
            key: None,
            value: None,
            headers: headers.iter().map(|(name, value)| Header::text(*name, *value)).collect(),
            event_id: ID.parse().unwrap(),
        }
    }

    fn published(headers: &[(&'static str, &str)], report: &Result<Delivered, SendError>) -> Span {
        let (kept, record) = (Kept::default(), record(headers));
        let tracer = Tracer::new(kept.clone());
        tracer.publishing(&record, record.event_id).expect("it is traced").ended(report);
        kept.only()
    }

    const DELIVERED: Result<Delivered, SendError> = Ok(Delivered { partition: 2, offset: 17 });

    #[test]
    fn a_first_publish_is_the_span_of_its_traceparent() {
        let span = published(&[(TRACEPARENT, TRACEPARENT_TEXT)], &DELIVERED);
        assert_eq!((span.context.to_string().as_str(), span.parent), (TRACEPARENT_TEXT, None));
        assert_eq!((span.kind, &*span.name), (SpanKind::Producer, "send acme.order.placed"));
        assert_eq!(span.attribute(attributes::PARTITION), Some(&AttributeValue::from("2")));
        assert_eq!(span.attribute(attributes::OFFSET), Some(&AttributeValue::from(17)));
        assert_eq!(span.error, None);
    }

    #[test]
    fn a_replay_is_another_span_of_its_events_trace() {
        let first: TraceContext = TRACEPARENT_TEXT.parse().unwrap();
        let span = published(&[(TRACEPARENT, TRACEPARENT_TEXT), (REPLAY_ID, "r")], &DELIVERED);
        assert_eq!((span.kind, span.parent), (SpanKind::Client, Some(first)));
        assert_eq!(span.context.trace_id(), first.trace_id());
        assert_ne!(span.context.span_id(), first.span_id());
    }

    #[test]
    fn a_record_that_kafka_does_not_take_is_a_failed_span() {
        let span = published(&[(TRACEPARENT, TRACEPARENT_TEXT)], &Err(SendError::Gone));
        assert_eq!(span.attribute(attributes::ERROR_TYPE), Some(&AttributeValue::from("Gone")));
        assert_eq!(span.error, Some(SendError::Gone.to_string()));
    }

    #[test]
    fn nothing_is_made_that_nobody_wants() {
        let record = record(&[(TRACEPARENT, TRACEPARENT_TEXT)]);
        assert!(Tracer::none().publishing(&record, record.event_id).is_none());
        assert!(Tracer::none().relaying(&record, Timestamp::now()).is_none());
        let unsampled = TRACEPARENT_TEXT.replace("-01", "-00");
        let unsampled = self::record(&[(TRACEPARENT, &unsampled)]);
        let tracer = Tracer::new(Kept::default());
        assert!(tracer.publishing(&unsampled, unsampled.event_id).is_none());
        assert!(tracer.relaying(&unsampled, Timestamp::now()).is_none());
    }

    #[test]
    fn a_wait_that_began_by_a_clock_ahead_does_not_end_before() {
        let (kept, record) = (Kept::default(), record(&[(TRACEPARENT, TRACEPARENT_TEXT)]));
        let ahead = Timestamp::now() + jiff::SignedDuration::from_hours(1);
        let tracer = Tracer::new(kept.clone());
        tracer.relaying(&record, ahead).expect("it is traced").ended(&DELIVERED);
        assert_eq!(kept.only().start, kept.only().end);
    }
}
