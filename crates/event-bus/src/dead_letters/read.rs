//! Reads what the topics say.

use super::state::Histories;
use super::told::{Sources, Told};
use super::{Filter, Found};
use crate::catalogue::Catalogue;
use crate::kafka::KafkaConfig;
use crate::kafka::admin::{Admin, Position};
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::names::TopicName;

/// All dead letters of a catalogue, as of one reading: about 700 bytes of memory each.
#[derive(Debug, Default)]
pub struct DeadLetters {
    letters: Vec<Found>,
    /// What others than this library wrote to the dead letter topics, or what can't be read.
    foreign: Vec<String>,
}

impl DeadLetters {
    /// Reads the dead letter topics of the catalogue, what was decided and what became of it. Topics that do not exist
    /// say nothing. `progress` is told how many records there are, and then how many were read each time.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn read(
        kafka: &KafkaConfig,
        catalogue: &Catalogue,
        mut progress: impl FnMut(Progress),
    ) -> Result<Self, ReadError> {
        let sources = Sources::of(catalogue);
        let cluster = Admin::connect(kafka)?.cluster().await?;
        let topics: Vec<TopicName> =
            sources.all().filter(|topic| cluster.topics.contains_key(*topic)).cloned().collect();
        let mut all = Self::default();
        if topics.is_empty() {
            return Ok(all);
        }
        let mut histories = Histories::default();
        let mut letters = Vec::new();
        let mut reader = Reader::start(kafka, &topics, Position::Start, Until::CaughtUp).await?;
        progress(Progress::Of(reader.total()));
        while let Some(records) = reader.next().await? {
            progress(Progress::Read(records.len() as u64));
            for record in records {
                match sources.read(&record) {
                    Ok(Told::Letter(letter)) => letters.push(*letter),
                    Ok(Told::Deed(deed)) => histories.decide(deed),
                    Ok(Told::Outcome(told)) => histories.tell(&told),
                    Ok(Told::Audited) => {}
                    Err(error) => all.foreign.push(error),
                }
            }
        }
        // A relay that died before it removed its row has sent a letter twice, and a consumer without a database that died
        // before its offset moved has written another one of the same name.
        letters.sort_by_key(|letter| (letter.id, letter.failed_at, letter.dead_letter_offset));
        letters.dedup_by_key(|letter| letter.id);
        letters.sort_by_key(|letter| (letter.failed_at, letter.id));
        let found = letters.into_iter().map(|letter| {
            let state = histories.state_of(letter.id);
            Found { letter, state }
        });
        all.letters = found.collect();
        Ok(all)
    }

    /// Those that are meant, the first that failed first.
    pub fn matching<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a Found> {
        self.letters.iter().filter(|found| filter.matches(found))
    }

    /// The dead letters of its event and group, in the order in which they died: each but the first died in a replay.
    pub fn lineage<'a>(&'a self, of: &'a Found) -> impl Iterator<Item = &'a Found> {
        self.letters.iter().filter(|found| {
            found.letter.group == of.letter.group && found.letter.event_id == of.letter.event_id
        })
    }

    /// What was on the topics and could not be read, in words.
    #[must_use]
    pub fn foreign(&self) -> &[String] {
        &self.foreign
    }
}

/// How far a reading is.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// So many records are to be read.
    Of(u64),
    /// So many more were.
    Read(u64),
}
