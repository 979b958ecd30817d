//! Takes partitions over in the service's database, and lets them go.

use super::command::{CutOff, Release};
use super::execute::Executor;
use super::infrastructure::trouble_of;
use super::trouble::Trouble;
use crate::dead_letter::error_chain;
use crate::store::{Claimant, Holding};

impl Executor {
    pub(super) fn claimant(&self, partition: i32) -> Claimant<'_> {
        Claimant { group: &self.group, topic: &self.event.topic, partition, purged_below: 0 }
    }

    /// Takes a partition over. What stands before `from` is settled.
    pub(super) async fn take_over(
        &self,
        partition: i32,
        from: Option<i64>,
    ) -> Result<Holding, Trouble> {
        let claimant = self.claimant(partition);
        let taken = self.outbox.store().take_over(&claimant, from).await;
        let (group, topic) = (&self.group, &self.event.topic);
        match taken {
            Ok(mut holding) => {
                holding.purged_below = self.purged_below(&claimant).await?;
                if holding.is_dirty {
                    tracing::warn!(
                        %group, %topic, partition,
                        "the last owner of the partition never let go of it, as when its process was killed: what it had \
                         begun runs one event at a time"
                    );
                }
                Ok(holding)
            }
            Err(error) => {
                tracing::warn!(
                    %group, %topic, partition, error = error_chain(&error), "the partition could not be taken over yet"
                );
                Err(trouble_of(&error).unwrap_or(Trouble::Down))
            }
        }
    }

    /// Below which offset of the present topic rows of the inbox were purged. Kafka is asked only where any were.
    async fn purged_below(&self, claimant: &Claimant<'_>) -> Result<i64, Trouble> {
        let (group, topic, partition) = (&self.group, &self.event.topic, claimant.partition);
        let refused = |error: &(dyn std::error::Error + 'static)| {
            tracing::warn!(
                %group, %topic, partition, error = error_chain(error),
                "what was purged of the inbox could not be read, and the partition is not taken over yet"
            );
        };
        let purged = self.outbox.store().purged_below(claimant).await.map_err(|error| {
            refused(&error);
            trouble_of(&error).unwrap_or(Trouble::Down)
        })?;
        if purged.is_empty() {
            return Ok(0);
        }
        let topic_id = self.admin.topic_id(topic).await.map_err(|error| {
            refused(&error);
            Trouble::Down
        })?;
        let of_this = purged.into_iter().find(|(of, _)| Some(*of) == topic_id);
        Ok(of_this.map_or(0, |(_, below)| below))
    }

    /// Tells that partitions are let go: which attempts don't count, and whose next owner is spared the care.
    pub(super) async fn release(&self, release: &Release) {
        let (group, topic, store) = (&self.group, &self.event.topic, self.outbox.store());
        for CutOff { partition, token, offset, attempts } in &release.cut_off {
            let claimant = self.claimant(*partition);
            if let Err(error) = store.take_attempt_back(&claimant, *token, *offset, *attempts).await
            {
                tracing::warn!(
                    %group, %topic, partition, offset, error = error_chain(&error),
                    "the database could not be told that an attempt was cut off: it counts as if its process had died"
                );
            }
        }
        for (partition, token) in &release.clean {
            if let Err(error) = store.release(&self.claimant(*partition), *token).await {
                tracing::warn!(
                    %group, %topic, partition, error = error_chain(&error),
                    "the database could not be told that a partition is let go: its next owner will be careful"
                );
            }
        }
    }
}
