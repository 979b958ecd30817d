//! Spans: the parts of a trace, of which each tells when a piece of an event's way began and ended.
//!
//! They follow OpenTelemetry's semantic conventions for messaging. This library makes them and knows no exporter: a
//! program gives its [`Tracer`] a [`SpanProcessor`], or none, and then no span is made.
//!
//! A span is plain data, and whole when it is handed over. Its id is chosen when it begins, for it stands in
//! `traceparent` long before the span ends, which may be in another process; and spans of a transaction that is rolled
//! back are dropped without a word. Neither fits spans that tell of themselves as soon as they go out of scope.

pub mod attributes;
mod sending;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::names::{EventId, TopicName};
use crate::trace_context::TraceContext;

/// A piece of an event's way, from its begin to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its trace and its own id.
    pub context: TraceContext,
    /// The span that it belongs under, of the same trace.
    pub parent: Option<TraceContext>,
    /// Earlier spans that it follows from in another way.
    pub links: Vec<TraceContext>,
    /// What part it has in messaging.
    pub kind: SpanKind,
    /// What is done, and with which topic: one of few.
    pub name: String,
    /// When it began.
    pub start: Timestamp,
    /// When it ended, not before it began.
    pub end: Timestamp,
    /// By the names in [`attributes`].
    pub attributes: Vec<(&'static str, AttributeValue)>,
    /// Why it did not end well.
    pub error: Option<String>,
}

/// A span's part in messaging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Makes an event, whose `traceparent` names this span.
    Producer,
    /// Handles an event.
    Consumer,
    /// Asks Kafka for something about an event that is there already.
    Client,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A text.
    Text(Cow<'static, str>),
    /// A whole number.
    Integer(i64),
}

/// Takes spans: what stands before an exporter.
pub trait SpanProcessor: Send + Sync + 'static {
    /// Takes a span that has ended. Called on the way of events and on the Kafka client's threads: it returns at once,
    /// and drops what it has no room for.
    fn on_end(&self, span: Span);
}

/// Where spans go, if anywhere. Clones share one processor; the default has none.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<dyn SpanProcessor>>);

/// What a span does, in the words of the conventions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// Makes an event that leaves through the outbox.
    Create,
    /// Makes an event and sends it.
    Publish,
    /// Sends what was made before.
    Send,
    /// Handles an event.
    Process,
    /// Gives an event up.
    DeadLetter,
}

impl Operation {
    /// Its name, its type and the kind of its spans.
    const fn parts(self) -> (&'static str, &'static str, SpanKind) {
        match self {
            Self::Create => ("create", "create", SpanKind::Producer),
            Self::Publish => ("send", "send", SpanKind::Producer),
            Self::Send => ("send", "send", SpanKind::Client),
            Self::Process => ("process", "process", SpanKind::Consumer),
            Self::DeadLetter => ("dead_letter", "settle", SpanKind::Client),
        }
    }
}

impl Tracer {
    /// Hands all spans to `processor`.
    #[must_use]
    pub fn new(processor: impl SpanProcessor) -> Self {
        Self(Some(Arc::new(processor)))
    }

    /// Makes no spans.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Whether there is anybody to hand spans to.
    pub(crate) fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Whether spans of this trace are to be made.
    pub(crate) fn wants(&self, trace: &TraceContext) -> bool {
        self.is_enabled() && trace.is_sampled()
    }

    /// Hands a span over that has ended.
    pub(crate) fn end(&self, mut span: Span) {
        if let Some(processor) = &self.0 {
            // It may have begun by another machine's clock.
            span.start = span.start.min(span.end);
            processor.on_end(span);
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tracer").field("is_enabled", &self.is_enabled()).finish()
    }
}

impl Span {
    /// A span of what is done with one event of a topic, that begins now. It has no parent yet.
    pub(crate) fn begin(
        operation: Operation,
        topic: &TopicName,
        event: EventId,
        context: TraceContext,
    ) -> Self {
        let (name, kind_of_operation, kind) = operation.parts();
        let now = Timestamp::now();
        Self {
            context,
            parent: None,
            links: Vec::new(),
            kind,
            name: format!("{name} {topic}"),
            start: now,
            end: now,
            attributes: vec![
                (attributes::SYSTEM, AttributeValue::from("kafka")),
                (attributes::OPERATION_NAME, name.into()),
                (attributes::OPERATION_TYPE, kind_of_operation.into()),
                (attributes::DESTINATION, topic.to_string().into()),
                (attributes::MESSAGE_ID, event.to_string().into()),
            ],
            error: None,
        }
    }

    pub(crate) fn under(mut self, parent: Option<TraceContext>) -> Self {
        self.parent = parent;
        self
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<AttributeValue>) -> Self {
        self.set(name, value);
        self
    }

    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<AttributeValue>) {
        self.attributes.push((name, value.into()));
    }

    /// Notes where the record stands.
    pub(crate) fn set_position(&mut self, partition: i32, offset: i64) {
        self.set(attributes::PARTITION, partition.to_string());
        self.set(attributes::OFFSET, offset);
    }

    /// Notes why it did not end well: the kind of the error, one of few, and its text.
    pub(crate) fn fail(&mut self, error_type: impl Into<AttributeValue>, error: String) {
        self.set(attributes::ERROR_TYPE, error_type);
        self.error = Some(error);
    }
}

impl From<&'static str> for AttributeValue {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for AttributeValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

#[cfg(test)]
pub(crate) mod kept {
    use std::sync::{Arc, Mutex};

    use super::{AttributeValue, Span, SpanProcessor};

    /// Keeps the spans of a test.
    #[derive(Clone, Default)]
    pub(crate) struct Kept(Arc<Mutex<Vec<Span>>>);

    impl SpanProcessor for Kept {
        fn on_end(&self, span: Span) {
            self.0.lock().unwrap().push(span);
        }
    }

    impl Kept {
        pub(crate) fn all(&self) -> Vec<Span> {
            self.0.lock().unwrap().clone()
        }

        pub(crate) fn only(&self) -> Span {
            let mut spans = self.all();
            assert_eq!(spans.len(), 1, "{spans:?}");
            spans.remove(0)
        }
    }

    impl Span {
        pub(crate) fn attribute(&self, name: &str) -> Option<&AttributeValue> {
            self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
        }
    }
}
