use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Inspector, Report, Rules};
use crate::catalogue::Catalogue;
use crate::kafka::KafkaConfig;
use crate::kafka::admin::{Admin, Position};
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::names::TopicName;

/// Looks at what topics of the catalogue hold from a position up to their ends as they are now. `tell` is told how many
/// records were read, and how many there are by their offsets.
///
/// # Errors
/// When a topic does not exist or can't be read.
pub async fn inspect(
    catalogue: Arc<Catalogue>,
    kafka: &KafkaConfig,
    topics: &[TopicName],
    from: Position,
    rules: Rules,
    mut tell: impl FnMut(u64, u64),
) -> Result<Report, ReadError> {
    let cluster = Admin::connect(kafka)?.cluster().await?;
    let count = |topic: &TopicName| {
        let state = cluster.topics.get(topic);
        let missing = || ReadError::UnknownTopic { topic: topic.clone() };
        Ok::<_, ReadError>((topic.clone(), state.ok_or_else(missing)?.partitions))
    };
    let partitions: BTreeMap<_, _> = topics.iter().map(count).collect::<Result<_, _>>()?;
    let mut inspector = Inspector::new(catalogue, partitions, rules);
    let mut reader = Reader::start(kafka, topics, from, Until::CaughtUp).await?;
    let (mut read, total) = (0, reader.total());
    while let Some(records) = reader.next().await? {
        for record in &records {
            inspector.look(record);
        }
        read += records.len() as u64;
        tell(read, total);
    }
    Ok(inspector.into_report())
}
