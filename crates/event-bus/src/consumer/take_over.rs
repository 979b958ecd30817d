//! Takes partitions over in the service's database, and lets them go.

use super::command::{CutOff, Release};
use super::execute::Executor;
use super::infrastructure::trouble_of;
use super::trouble::Trouble;
use crate::dead_letter::error_chain;
use crate::rerun::{InboxState, Opening, Past};
use crate::store::{Claimant, Holding};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Executor {
    pub(super) fn claimant(&self, partition: i32) -> Claimant<'_> {
        Claimant::of(&self.group, &self.event.topic, partition)
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
                holding.past = self.past(&claimant, from).await?;
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

    /// What the inbox knows of the present topic's partition beside its rows. Kafka is asked which topic that is only where
    /// there is anything.
    pub(super) async fn past(
        &self,
        claimant: &Claimant<'_>,
        from: Option<i64>,
    ) -> Result<Past, Trouble> {
        let (group, topic, partition) = (&self.group, &self.event.topic, claimant.partition);
        let refused = |error: &(dyn std::error::Error + 'static)| {
            tracing::warn!(
                %group, %topic, partition, error = error_chain(error),
                "what was purged of the inbox could not be read, and the partition is not taken over yet"
            );
        };
        let store = self.outbox.store();
        let known = async {
            Ok::<_, sqlx::Error>((
                store.purged_below(claimant).await?,
                store.reruns(claimant, from).await?,
            ))
        };
        let (purged, reruns) = known.await.map_err(|error| {
            refused(&error);
            trouble_of(&error).unwrap_or(Trouble::Down)
        })?;
        if purged.is_empty() && reruns.is_empty() {
            return Ok(Past::default());
        }
        let topic_id = self.admin.topic_id(topic).await.map_err(|error| {
            refused(&error);
            Trouble::Down
        })?;
        let of_this = purged.into_iter().find(|(of, _)| Some(*of) == topic_id);
        let reruns = reruns.into_iter().filter(|(of, _)| Some(*of) == topic_id);
        Ok(Past {
            purged_below: of_this.map_or(0, |(_, below)| below),
            reruns: reruns.map(|(_, rerun)| rerun).collect(),
        })
    }

    /// What has to be known of the inbox before a range of the present topic runs again.
    pub(super) async fn inbox_state(&self) -> Result<InboxState, BoxError> {
        let topic = &self.event.topic;
        let Some(topic_id) = self.admin.topic_id(topic).await? else {
            return Ok(InboxState::default());
        };
        let state = self.outbox.store().inbox_state(&self.group, topic, topic_id).await?;
        Ok(state.unwrap_or_default())
    }

    /// Has ranges of the present topic run again when they come.
    pub(super) async fn open_rerun(&self, opening: &Opening) -> Result<(), BoxError> {
        let topic = &self.event.topic;
        let topic_id = self.admin.topic_id(topic).await?.ok_or("its topic does not exist")?;
        Ok(self.outbox.store().open_rerun((&self.group, topic, topic_id), opening).await?)
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
