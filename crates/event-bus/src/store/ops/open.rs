//! How many dead letters nobody has settled yet.

use jiff::Timestamp;

use super::super::sql::Value;
use super::OpsStore;
use super::letters::moment;
use super::search::code;
use crate::dead_letters::State;

/// The dead letters of a topic's events that are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLetters {
    /// The topic that the events came from.
    pub topic: String,
    /// How many there are, never none.
    pub letters: u64,
    /// When the first of them failed for the last time.
    pub oldest: Timestamp,
}

impl OpsStore {
    /// The open dead letters of each topic that has some. It takes as long as there are failures, not dead letters.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_letters(&self) -> Result<Vec<OpenLetters>, sqlx::Error> {
        // The sums' times only ever widen, so the oldest is asked of the dead letters: by their index, once for a failure.
        let select = "SELECT names.name AS topic, CAST(sum(failures.letters) AS bigint) AS letters,
                   min(failures.oldest) AS oldest
             FROM (SELECT sums.topic, sum(sums.letters) AS letters,
                     (SELECT min(letter.failed_at) FROM ops_letters letter
                      WHERE letter.fingerprint = sums.fingerprint AND letter.state = $1) AS oldest
                   FROM ops_sums sums WHERE sums.state = $1
                   GROUP BY sums.topic, sums.fingerprint) failures
             JOIN ops_names names ON names.id = failures.topic
             WHERE failures.letters > 0
             GROUP BY names.name ORDER BY names.name"
            .to_owned();
        let rows = self.read.read_all(select, &[Value::from(code(State::Open))]).await?;
        let open = rows.iter().map(|row| {
            Ok(OpenLetters {
                topic: row.get("topic")?,
                letters: u64::try_from(row.get::<i64>("letters")?).unwrap_or(0),
                oldest: moment(row.get("oldest")?)?,
            })
        });
        open.collect()
    }
}
