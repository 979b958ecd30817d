//! Hands rows to a producer, and never one behind a row of its topic and key that Kafka refused.
//!
//! Rows go out in a stream, so a refusal is known when later rows are on their way. Kafka itself holds those back: they
//! carry sequence numbers, and it takes none behind a gap. It knows of a gap only where it has numbers of this producer
//! already, so the first row of each partition goes alone. A refusal ends the producer; the rows of that topic which
//! were on their way go one by one afterwards, for Kafka refuses batches, and a batch may be too large where none of
//! its records is. A row that is refused alone is refused for good.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::kafka::producer::{Delivered, OnDelivery, Producer, SendError};
use crate::names::TopicName;
use crate::partition::partition_for;
use crate::store::PendingRow;
use crate::tracer::Tracer;

/// How long one question about a topic's partitions may take.
const ASK: Duration = Duration::from_secs(5);

/// A partition of a topic.
pub(super) type Place = (TopicName, i32);

/// How a row's send ended.
pub(super) struct Report {
    pub(super) id: i64,
    pub(super) result: Result<Delivered, SendError>,
}

/// What became of a row that was offered.
pub(super) enum Handed {
    /// It is on its way, and others may follow.
    Streamed,
    /// It is on its way, and no other may follow before its report: the first one there, or one that must go alone.
    Alone(Option<Place>),
    /// The producer has too much to do.
    Full(PendingRow),
}

/// A producer and the partitions that it has delivered to.
pub(super) struct Sender {
    producer: Producer,
    tracer: Tracer,
    opened: HashSet<Place>,
    reports: mpsc::UnboundedSender<Report>,
}

impl Sender {
    pub(super) fn new(
        producer: Producer,
        tracer: Tracer,
        reports: mpsc::UnboundedSender<Report>,
    ) -> Self {
        Self { producer, tracer, opened: HashSet::new(), reports }
    }

    /// Whether it sends nothing any more: another must take its place.
    pub(super) fn has_ended(&self) -> bool {
        self.producer.has_ended()
    }

    /// A row that went alone has arrived.
    pub(super) fn opened(&mut self, place: Option<Place>) {
        self.opened.extend(place);
    }

    /// Asks Kafka again for a topic's partitions.
    pub(super) fn forget_partition_count(&self, topic: &TopicName) {
        self.producer.forget_partition_count(topic);
    }

    /// Hands a row over. Its report comes where this sender's reports go; after an error none comes.
    pub(super) async fn hand_over(
        &self,
        mut row: PendingRow,
        goes_alone: bool,
    ) -> Result<Handed, SendError> {
        let place = self.address(&mut row).await?;
        let alone = goes_alone || place.as_ref().is_some_and(|place| !self.opened.contains(place));
        let sending = self.tracer.relaying(&row.record, row.since);
        let (id, reports) = (row.id, self.reports.clone());
        let on_delivery = OnDelivery::Run(Box::new(move |result| {
            // Whatever else it is that ended badly, the row waits on.
            let has_ended = match &result {
                Ok(_) => true,
                Err(error) => alone && matches!(error, SendError::Refused { .. }),
            };
            if let Some(sending) = sending.filter(|_| has_ended) {
                sending.ended(&result);
            }
            // The relay may have ended.
            drop(reports.send(Report { id, result }));
        }));
        match self.producer.send(&row.record, on_delivery) {
            Ok(()) if alone => Ok(Handed::Alone(place)),
            Ok(()) => Ok(Handed::Streamed),
            Err((SendError::QueueFull, _)) => Ok(Handed::Full(row)),
            Err((error, _)) => Err(error),
        }
    }

    /// Folds the record's partition into those that there are, and says where it goes, if that is known.
    async fn address(&self, row: &mut PendingRow) -> Result<Option<Place>, SendError> {
        let record = &mut row.record;
        let count = match self.producer.known_partition_count(&record.topic) {
            Some(count) => count,
            None => {
                let (producer, topic) = (self.producer.clone(), record.topic.clone());
                let asked =
                    tokio::task::spawn_blocking(move || producer.partition_count(&topic, ASK))
                        .await;
                asked.unwrap_or(Err(SendError::Gone))?
            }
        };
        record.partition = record.partition.map(|partition| partition % count);
        let key_place = || Some(partition_for(record.key.as_deref()?, count));
        let place = record.partition.or_else(key_place);
        Ok(place.map(|partition| (record.topic.clone(), partition)))
    }
}
