//! `processed_events`: which events of a group took effect or are dead.

use bytes::Bytes;
use sqlx::types::Uuid;

use super::sql::Value;
use super::tx::{Connection, Tx};
use super::{postgres, sqlite};
use crate::flaw::{Flaw, Flaws};
use crate::names::{EventId, GroupName, TopicName};
use crate::rerun::Epoch;

/// An event of one partition about to be handled, as the inbox knows it.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The tenant; empty where it can't be read.
    pub tenant: String,
    /// The event's id.
    pub event_id: EventId,
    /// SHA-256 of the record's value.
    pub sha256: [u8; 32],
    /// The record's offset.
    pub offset: i64,
    /// The dead letter that the record is a replay of, for this group.
    pub replay: Option<ReplayClaim>,
}

/// A dead row that is claimed by a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayClaim {
    /// The dead letter: the row is claimed once under its name.
    pub of: Uuid,
    /// The record's key, which may be parked.
    pub key: Option<Bytes>,
    /// The dead letter's place in the chain of its parked key.
    pub chain_seq: Option<i64>,
}

/// Whose events of which partition are claimed.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    /// The consumer group.
    pub group: &'a GroupName,
    /// The topic.
    pub topic: &'a TopicName,
    /// The partition of the topic.
    pub partition: i32,
    /// Rows of events below this offset may have been purged: what has none there took effect. 0 where nothing was.
    pub purged_below: i64,
    /// Under which rows its events run, see [`Rerun`](crate::rerun::Rerun).
    pub epoch: i32,
}

impl<'a> Claimant<'a> {
    /// The group in this partition, before anything was purged or run again.
    #[must_use]
    pub const fn of(group: &'a GroupName, topic: &'a TopicName, partition: i32) -> Self {
        Self { group, topic, partition, purged_below: 0, epoch: 0 }
    }

    /// The same in this epoch.
    #[must_use]
    pub const fn under(self, epoch: Epoch) -> Self {
        Self { purged_below: epoch.purged_below, epoch: epoch.number, ..self }
    }
}

/// What the inbox says to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Never seen: the row is written, the handler may run.
    Fresh,
    /// It took effect or is dead already, with the same bytes.
    Seen,
    /// The id belongs to an event with other bytes.
    Collides,
    /// A replay under a parked key, whose turn it is not: nothing is written.
    OutOfTurn,
}

impl Claim {
    /// What a row with this hash says to the claim. A row that was there may be purged: then its event ran.
    pub(super) fn against(&self, known: Option<&[u8]>) -> Claimed {
        match known {
            // What is replayed may have been mended.
            _ if self.replay.is_some() => Claimed::Seen,
            Some(hash) if hash != self.sha256 => Claimed::Collides,
            _ => Claimed::Seen,
        }
    }
}

impl Tx {
    /// Writes a row for each event that has none and says which those are, in the order of `claims`. A claim waits
    /// while another transaction holds the same one, and sees what became of it. It comes before any effect.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim(
        &mut self,
        claimant: &Claimant<'_>,
        claims: &[Claim],
    ) -> Result<Vec<Claimed>, sqlx::Error> {
        let flaws = Flaws::of_process();
        if flaws.have(Flaw::SelectThenInsert) {
            let claimed = self.look_up(claimant, claims).await?;
            self.claim_now(claimant, claims).await?;
            return Ok(claimed);
        }
        if flaws.have(Flaw::EffectBeforeInbox) {
            return self.look_up(claimant, claims).await;
        }
        self.claim_now(claimant, claims).await
    }

    pub(crate) async fn claim_now(
        &mut self,
        claimant: &Claimant<'_>,
        claims: &[Claim],
    ) -> Result<Vec<Claimed>, sqlx::Error> {
        if claims.iter().all(|claim| claim.replay.is_none()) {
            return self.insert_claims(claimant, claims).await;
        }
        let decided = self.claim_replays(claimant, claims).await?;
        let rest = claims.iter().zip(&decided).filter(|(_, decided)| decided.is_none());
        let rest: Vec<Claim> = rest.map(|(claim, _)| claim.clone()).collect();
        let mut inserted = self.insert_claims(claimant, &rest).await?.into_iter();
        let answers = decided.into_iter().map(|decided| decided.or_else(|| inserted.next()));
        Ok(answers.map(|answer| answer.unwrap_or(Claimed::Seen)).collect())
    }

    async fn insert_claims(
        &mut self,
        claimant: &Claimant<'_>,
        claims: &[Claim],
    ) -> Result<Vec<Claimed>, sqlx::Error> {
        let claimed = match &mut self.connection {
            _ if claims.is_empty() => return Ok(Vec::new()),
            Connection::Postgres(tx) => postgres::claim(tx, claimant, claims).await?,
            Connection::Sqlite(tx) => sqlite::claim(tx, claimant, claims).await?,
        };
        if claimant.epoch > 0 {
            let fresh =
                claims.iter().zip(&claimed).filter(|(_, claimed)| **claimed == Claimed::Fresh);
            for (claim, _) in fresh {
                self.outlive(claimant, &claim.tenant, claim.event_id.as_uuid()).await?;
            }
        }
        Ok(claimed)
    }

    /// What is to be said to replays: it is not their turn, or they have claimed their dead row. `None` for others, and
    /// where there is no such dead row (any more).
    async fn claim_replays(
        &mut self,
        claimant: &Claimant<'_>,
        claims: &[Claim],
    ) -> Result<Vec<Option<Claimed>>, sqlx::Error> {
        let mut answers = Vec::with_capacity(claims.len());
        for claim in claims {
            answers.push(match &claim.replay {
                None => None,
                Some(replay) if !self.is_next_in_chain(claimant, replay).await? => {
                    Some(Claimed::OutOfTurn)
                }
                Some(replay) => {
                    let id = claim.event_id.as_uuid();
                    if self.claim_dead(claimant, claim, replay.of, None).await? {
                        Some(Claimed::Fresh)
                    } else {
                        // It may be in another epoch that it took effect.
                        let is_known = self.has_any_row(claimant, &claim.tenant, id).await?;
                        is_known.then_some(Claimed::Seen)
                    }
                }
            });
        }
        Ok(answers)
    }

    /// Turns the dead row of this dead letter into one that is done, or into the row of a later dead letter. Says whether
    /// there was one. It waits while another transaction has the row, and sees what became of it. The row keeps the hash of
    /// the original, which a reset may bring again.
    async fn claim_dead(
        &mut self,
        claimant: &Claimant<'_>,
        claim: &Claim,
        of: Uuid,
        again: Option<Uuid>,
    ) -> Result<bool, sqlx::Error> {
        macro_rules! claim_dead {
            ($now:literal) => {
                concat!(
                    "UPDATE processed_events
                     SET status = $6, dlq_id = $7, partition_id = $8, record_offset = $9,
                       processed_at = ",
                    $now,
                    " WHERE consumer_group = $1 AND topic = $2 AND tenant_id = $3
                        AND event_id = $4 AND status = 'dead' AND dlq_id = $5"
                )
            };
        }
        let sql = match &self.connection {
            Connection::Postgres(_) => claim_dead!("now()"),
            Connection::Sqlite(_) => claim_dead!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"),
        };
        let status = if again.is_some() { "dead" } else { "done" };
        let values = [
            claimant.group.as_ref().into(),
            claimant.topic.as_ref().into(),
            (&claim.tenant).into(),
            Value::Uuid(Some(claim.event_id.as_uuid())),
            Value::Uuid(Some(of)),
            status.into(),
            Value::Uuid(again),
            claimant.partition.into(),
            claim.offset.into(),
        ];
        // In each epoch that it is dead in.
        Ok(self.execute(sql, &values).await? > 0)
    }

    /// What a mistake does instead of claiming, see [`Flaw`].
    async fn look_up(
        &mut self,
        claimant: &Claimant<'_>,
        claims: &[Claim],
    ) -> Result<Vec<Claimed>, sqlx::Error> {
        let sql = "SELECT value_sha256 FROM processed_events
                   WHERE consumer_group = $1 AND epoch = 0 AND topic = $2 AND tenant_id = $3
                     AND CAST(event_id AS text) = $4";
        let mut claimed = Vec::with_capacity(claims.len());
        for claim in claims {
            let (tenant, id) = ((&claim.tenant).into(), claim.event_id.to_string().into());
            let values =
                [claimant.group.as_ref().into(), claimant.topic.as_ref().into(), tenant, id];
            let known: Option<Vec<u8>> = match self.fetch_optional(sql, &values).await? {
                Some(row) => row.get("value_sha256")?,
                None => None,
            };
            claimed.push(known.map_or(Claimed::Fresh, |hash| claim.against(Some(&hash))));
        }
        Ok(claimed)
    }

    /// Notes an event as dead, unless it has a row already; then nothing is written, and the answer says whose it is.
    ///
    /// # Errors
    /// The database's.
    pub async fn mark_dead(
        &mut self,
        claimant: &Claimant<'_>,
        claim: &Claim,
        dlq_id: Uuid,
    ) -> Result<Claimed, sqlx::Error> {
        if let Some(replay) = &claim.replay
            && self.claim_dead(claimant, claim, replay.of, Some(dlq_id)).await?
        {
            return Ok(Claimed::Fresh);
        }
        match &mut self.connection {
            Connection::Postgres(tx) => postgres::mark_dead(tx, claimant, claim, dlq_id).await,
            Connection::Sqlite(tx) => sqlite::mark_dead(tx, claimant, claim, dlq_id).await,
        }
    }
}
