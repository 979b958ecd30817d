//! Reads topics of others.

use super::{Foreign, ForeignFilter};
use crate::dead_letters::Progress;
use crate::kafka::admin::Position;
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::kafka::{KafkaConfig, Record};
use crate::names::TopicName;

/// Reads the topics up to their ends and hands over what is meant, with its record: each partition in its order. What
/// this bus wrote is passed over. `progress` is told how many records there are, and then how many were read each time.
///
/// # Errors
/// When a topic does not exist, or Kafka does not answer.
pub async fn read_foreign(
    kafka: &KafkaConfig,
    topics: &[TopicName],
    filter: &ForeignFilter,
    mut progress: impl FnMut(Progress),
    mut found: impl FnMut(Foreign, Record),
) -> Result<(), ReadError> {
    let mut reader = Reader::start(kafka, topics, Position::Start, Until::CaughtUp).await?;
    progress(Progress::Of(reader.total()));
    while let Some(records) = reader.next().await? {
        progress(Progress::Read(records.len() as u64));
        for record in records {
            if let Some(letter) = Foreign::read(&record).filter(|letter| filter.matches(letter)) {
                found(letter, record);
            }
        }
    }
    Ok(())
}
