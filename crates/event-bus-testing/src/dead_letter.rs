use event_bus::headers;
use event_bus::kafka::Record;

/// A dead letter: which event a service gave up, and why.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The service that gave it up.
    pub service: String,
    /// Why, as in `dlq.reason`: `retries-exhausted`, `rejected`, …
    pub reason: String,
    /// After how many attempts.
    pub attempts: u32,
    /// The last error and its sources.
    pub error: String,
    /// The letter itself: the event's record with headers added.
    pub record: Record,
}

impl DeadLetter {
    pub(crate) fn of(record: Record) -> DeadLetter {
        let text = |name| headers::last(&record.headers, name).unwrap_or_default().to_owned();
        let attempts = text(headers::DLQ_ERRORS_DELIVERY_COUNT);
        DeadLetter {
            service: text(headers::DLQ_SERVICE),
            reason: text(headers::DLQ_REASON),
            attempts: attempts.parse().expect("a dead letter says how often it was tried"),
            error: text(headers::DLQ_ERRORS_MESSAGE),
            record,
        }
    }
}
