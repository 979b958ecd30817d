//! Buries an event: its row in the inbox and its dead letter, in one transaction.

use jiff::Timestamp;

use super::execute::{Event, Executor, Told};
use super::job::{Death, Verdict};
use crate::dead_letter::{Obituary, Reason, dlq_id, dlq_id_anew};
use crate::replay::{Outcome, OutcomeReport, Replay};
use crate::store::{Claimant, Claimed, Tx};

impl Executor {
    /// Marks the event dead and writes its dead letter, in one transaction.
    pub(super) async fn bury(
        &self,
        tx: &mut Tx,
        claimant: &Claimant<'_>,
        job: &Event,
        death: &Death,
        told: &mut Told,
    ) -> Result<Verdict, sqlx::Error> {
        let received = &job.received;
        let mut claim = received.claim.clone();
        if death.cause.reason == Reason::IdCollision {
            // Its own id has a row, which belongs to the other event.
            claim = received.claim_by_position();
        }
        let own = dlq_id(&self.group, &received.record);
        // What died before and was replayed has told its story; this is another one.
        let dlq_id = if claimant.epoch > 0 { dlq_id_anew(own, claimant.epoch) } else { own };
        let mut marked = tx.mark_dead(claimant, &claim, dlq_id).await?;
        if marked == Claimed::Collides {
            // It would otherwise vanish behind the other event.
            claim = received.claim_by_position();
            marked = tx.mark_dead(claimant, &claim, dlq_id).await?;
        }
        let key = received.record.key.as_deref();
        let replay = received.replay();
        if let Some(replay) = replay {
            let is_new = marked == Claimed::Fresh;
            self.tell(tx, replay, if is_new { Outcome::DeadAgain } else { Outcome::Duplicate });
        }
        if marked == Claimed::Fresh {
            told.tally.dead.push(death.cause.reason);
            told.attempts.bury(self.subscriber(), received, death, dlq_id);
            let died_before = claimant.epoch > 0 && tx.dies_anew(claimant, &claim, dlq_id).await?;
            // Who dies again keeps its place in the chain: what is behind it still waits for it.
            let chain_seq = match replay.and_then(|replay| replay.chain_seq) {
                None if self.parks => Some(tx.park(claimant, key).await?),
                seq => seq,
            };
            let obituary = Obituary {
                id: dlq_id,
                record: &received.record,
                event_id: claim.event_id,
                group: &self.group,
                service: &self.service,
                cause: &death.cause,
                attempts: death.attempts,
                first_failed_at: death.first_failed_at,
                failed_at: death.failed_at,
                chain_seq,
                previous: replay.map(|replay| replay.of).or(died_before.then_some(own)),
            };
            tx.enqueue(obituary.record(&self.event.dead_letter_topic));
            tracing::error!(
                group = %self.group, topic = %received.record.topic, partition = received.record.partition,
                offset = received.record.offset, event_id = %claim.event_id, reason = %death.cause.reason,
                error = death.cause.message, "dead letter"
            );
        }
        // The letter may have been written before, by a commit whose reply got lost.
        let is_parked = self.parks && tx.is_parked(claimant, key).await?;
        Ok(if is_parked { Verdict::Parked } else { Verdict::Settled })
    }

    /// Tells what became of a replay, once the transaction is committed.
    pub(super) fn tell(&self, tx: &mut Tx, replay: &Replay, outcome: Outcome) {
        let report = OutcomeReport::of(replay, &self.service, outcome, Timestamp::now());
        tx.enqueue(report.record(&self.outcomes));
    }
}
