//! Failures: dead letters that look alike, how many there were lately, and what is written about them.

use event_bus::dead_letters::{Failure, Filter};
use event_bus::store::ops::TREND_HOURS;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Desk, DeskError};
use crate::access::policy::{Action, Actor, Object, decide};

/// A failure, and what is known beside its dead letters.
#[derive(Debug, Serialize, Deserialize)]
pub struct FailureRow {
    /// It.
    #[serde(flatten)]
    pub failure: Failure,
    /// How many of its dead letters in scope died in each of the last 24 hours, the one that runs last.
    pub trend: [u64; TREND_HOURS],
    /// How many notes there are about it.
    pub notes: usize,
    /// What the latest of them says.
    pub latest_note: Option<String>,
}

impl Desk {
    /// The failures of what is meant.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn failures(&self, actor: &Actor, filter: Filter) -> Result<Vec<Failure>, DeskError> {
        let filter = self.meant(actor, Action::See, filter).await?;
        Ok(self.store.failures(&filter).await?)
    }

    /// These failures, which somebody was shown, with what is known beside their dead letters.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn rows_of(
        &self,
        actor: &Actor,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Result<Vec<FailureRow>, DeskError> {
        decide(actor, Action::See, Object::InScope)?;
        let fingerprints: Vec<&str> =
            failures.iter().map(|failure| failure.fingerprint.as_str()).collect();
        let trends = self.store.trends(&actor.scope, &fingerprints, now).await?;
        let mut latest = self.store.latest_notes(&fingerprints).await?;
        let row = |failure: Failure| {
            let latest = latest.remove(&failure.fingerprint);
            FailureRow {
                trend: trends.get(&failure.fingerprint).copied().unwrap_or_default(),
                notes: latest.as_ref().map_or(0, |(notes, _)| *notes),
                latest_note: latest.map(|(_, text)| text),
                failure,
            }
        };
        Ok(failures.into_iter().map(row).collect())
    }
}
