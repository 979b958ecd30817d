//! What a replay would do, in numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::OpsStore;
use super::search::unsigned;
use crate::dead_letters::{Filter, Refusal, State};
use crate::names::{GroupName, TopicName};

/// So many dead letters of one kind would be replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRow {
    /// Their failure.
    pub fingerprint: String,
    /// The topic that they go back to.
    pub topic: String,
    /// The group that they are for.
    pub group: String,
    /// The version of their payloads, where they are envelopes.
    pub version: Option<String>,
    /// How many they are.
    pub letters: u64,
}

/// What a replay would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// What it would send.
    pub rows: Vec<PlannedRow>,
    /// How many it would leave out, and why.
    pub refused: BTreeMap<Refusal, u64>,
}

impl OpsStore {
    /// What a replay of these would do, where these groups are handled.
    ///
    /// # Errors
    /// The database's.
    pub async fn plan_replay(
        &self,
        filter: &Filter,
        consumed: &[(TopicName, GroupName)],
    ) -> Result<Planned, sqlx::Error> {
        let conditions = self.conditions(filter).await?;
        let select = format!(
            "SELECT fingerprint, topic, consumer_group, version, state, CAST(sum(letters) AS bigint) AS letters
             FROM ({}) AS summed WHERE letters > 0
             GROUP BY fingerprint, topic, consumer_group, version, state ORDER BY fingerprint, version",
            conditions.summed()
        );
        let rows = self.read.read_all(select, &conditions.values).await?;
        self.tell_names(&rows, &["fingerprint", "topic", "consumer_group", "version"]).await?;
        let mut planned = Planned::default();
        for row in &rows {
            let name = |column: &str| Ok::<_, sqlx::Error>(self.names.name(row.get(column)?));
            let (topic, group) = (name("topic")?, name("consumer_group")?);
            let (topic, group) = (topic.unwrap_or_default(), group.unwrap_or_default());
            let letters = unsigned(row, "letters")?;
            let is_consumed =
                consumed.iter().any(|(on, by)| *on == topic.as_str() && by.as_str() == group);
            match refusal(row.get("state")?, is_consumed) {
                Some(refusal) => *planned.refused.entry(refusal).or_default() += letters,
                None => planned.rows.push(PlannedRow {
                    fingerprint: name("fingerprint")?.unwrap_or_default(),
                    version: name("version")?,
                    topic,
                    group,
                    letters,
                }),
            }
        }
        Ok(planned)
    }
}

/// Why dead letters in a state are left out of a replay.
fn refusal(state: i64, is_consumed: bool) -> Option<Refusal> {
    let name = usize::try_from(state).ok().and_then(|state| State::NAMES.get(state).copied());
    match name {
        Some("open") if is_consumed => None,
        Some("replaying") => Some(Refusal::Replaying),
        Some("resolved") => Some(Refusal::Resolved),
        Some("dead-again") => Some(Refusal::DeadAgain),
        Some("discarded") => Some(Refusal::Discarded),
        _ => Some(Refusal::NoConsumer),
    }
}
