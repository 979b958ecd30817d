//! A producer for those who outlive its client.

use std::mem;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::Duration;

use super::KafkaConfig;
use super::producer::{ConnectError, OnDelivery, Producer, SendError};
use crate::envelope::Outgoing;

/// How long a client that has ended may wait for the answers to what it had sent.
const LAST_REPORTS: Duration = Duration::from_secs(10);

/// A producer whose client is made anew once it has ended. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct LastingProducer {
    config: KafkaConfig,
    current: Arc<RwLock<Producer>>,
}

impl LastingProducer {
    /// A producer with its first client.
    ///
    /// # Errors
    /// As [`Producer::connect`].
    pub(crate) fn connect(config: &KafkaConfig) -> Result<Self, ConnectError> {
        let current = Arc::new(RwLock::new(Producer::connect(config)?));
        Ok(Self { config: config.clone(), current })
    }

    /// The client of now: a new one if the last has ended.
    ///
    /// # Errors
    /// When a new one is needed and can't be made.
    pub(crate) fn current(&self) -> Result<Producer, ConnectError> {
        let current = self.read().clone();
        if current.has_ended() { self.renewed() } else { Ok(current) }
    }

    /// As [`Producer::send`], by a new client if the last has ended.
    ///
    /// # Errors
    /// As [`Producer::send`], and when a new client is needed and can't be made.
    pub(crate) fn send(
        &self,
        record: &impl Outgoing,
        on_delivery: OnDelivery,
    ) -> Result<(), (SendError, OnDelivery)> {
        let sent = self.read().send(record, on_delivery);
        match sent {
            Err((SendError::Fatal { .. }, back)) => match self.renewed() {
                Ok(current) => current.send(record, back),
                Err(error) => Err((error.into(), back)),
            },
            sent => sent,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Producer> {
        // The only change is one assignment, so a panic leaves nothing half done.
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn renewed(&self) -> Result<Producer, ConnectError> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Of those who found it ended at the same time one is first.
        if current.has_ended() {
            let ended = mem::replace(&mut *current, Producer::connect(&self.config)?);
            tracing::warn!(
                bootstrap = self.config.bootstrap(),
                "the Kafka producer had ended and is made anew"
            );
            // A client's end waits for its threads, and no caller should.
            let farewell = move || drop(ended.flush(LAST_REPORTS));
            drop(thread::Builder::new().name("last reports".to_owned()).spawn(farewell));
        }
        Ok(current.clone())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;
    use crate::envelope::OutgoingRecord;
    use crate::names::EventId;

    const SOON: Duration = Duration::from_secs(20);

    fn record() -> OutgoingRecord {
        OutgoingRecord {
            topic: "orders".parse().unwrap(),
            partition: None,
            key: None,
            value: Some(Bytes::from_static(b"{}")),
            headers: Vec::new(),
            event_id: EventId::at(jiff::Timestamp::now()),
        }
    }

    /// Nobody listens on port 1, so what is sent waits in the client.
    #[tokio::test]
    async fn a_client_that_ended_reports_what_it_has_and_another_takes_the_next_record() {
        let producer = LastingProducer::connect(&KafkaConfig::plain("127.0.0.1:1")).unwrap();
        let (report, reported) = oneshot::channel();
        assert!(producer.send(&record(), OnDelivery::Tell(report)).is_ok());
        producer.current().unwrap().end();
        let report = timeout(SOON, reported).await.expect("it is reported").unwrap();
        assert!(matches!(report, Err(SendError::Fatal { .. })), "{report:?}");
        assert!(producer.read().has_ended());
        let (report, mut reported) = oneshot::channel();
        assert!(producer.clone().send(&record(), OnDelivery::Tell(report)).is_ok());
        assert!(!producer.read().has_ended());
        assert!(reported.try_recv().is_err(), "it waits for Kafka");
    }

    #[test]
    fn whoever_asks_for_the_client_gets_one_that_has_not_ended() {
        let producer = LastingProducer::connect(&KafkaConfig::plain("127.0.0.1:1")).unwrap();
        producer.current().unwrap().end();
        assert!(!producer.current().unwrap().has_ended());
    }
}
