//! What a replay would do, in numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::OpsStore;
use super::search::{state_of, unsigned};
use crate::dead_letters::{Filter, Refusal, State, refusal_of};
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
            let refusal = match state_of(row.get("state")?, None, None)? {
                State::Open => (!is_consumed).then_some(Refusal::NoConsumer),
                state => Some(refusal_of(state)),
            };
            match refusal {
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
