//! `processed_events`: which events of a group took effect or are dead.

use sqlx::types::Uuid;

use super::tx::{Connection, Tx};
use super::{postgres, sqlite};
use crate::flaw::{Flaw, Flaws};
use crate::names::{EventId, GroupName, TopicName};

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
}

/// Whose events of which partition are claimed.
#[derive(Clone, Debug)]
pub struct Claimant<'a> {
    /// The consumer group.
    pub group: &'a GroupName,
    /// The topic.
    pub topic: &'a TopicName,
    /// The partition of the topic.
    pub partition: i32,
    /// Rows of events below this offset may have been purged: what has none there took effect. 0 where nothing was.
    pub purged_below: i64,
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
}

impl Claim {
    /// What a row with this hash says to the claim. A row that was there may be purged: then its event ran.
    pub(super) fn against(&self, known: Option<&[u8]>) -> Claimed {
        match known {
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
        match &mut self.connection {
            Connection::Postgres(tx) => postgres::claim(tx, claimant, claims).await,
            Connection::Sqlite(tx) => sqlite::claim(tx, claimant, claims).await,
        }
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
        match &mut self.connection {
            Connection::Postgres(tx) => postgres::mark_dead(tx, claimant, claim, dlq_id).await,
            Connection::Sqlite(tx) => sqlite::mark_dead(tx, claimant, claim, dlq_id).await,
        }
    }
}
