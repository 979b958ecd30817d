//! A group goes on from elsewhere: looked at beforehand, and done as it was shown.

use std::sync::Arc;

use event_bus::audit::OffsetMove;
use event_bus::control::Asker;
use event_bus::names::GroupName;
use event_bus::reset::{Effect, Moves, Reset, Target};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Desk, DeskError};
use crate::access::policy::{Action, Actor};
use crate::access::trail::{Deed, Note};

/// What a reset would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlannedReset {
    /// Whose offsets would move.
    pub group: GroupName,
    /// How many are in the group, who would have to leave it for the reset.
    pub members: usize,
    /// Where each partition would go.
    pub moves: Vec<PlannedMove>,
    /// How many events would come again, which take no effect where the inbox knows them.
    pub again: u64,
    /// How many events would be passed over.
    pub skipped: u64,
    /// How many partitions stay as they are: they did not tell their offsets, or the target says nothing of them.
    pub left: usize,
}

/// Where a partition would go, and what becomes of its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMove {
    /// From where to where.
    #[serde(flatten)]
    pub step: OffsetMove,
    /// What becomes of events.
    #[serde(flatten)]
    pub effect: Effect,
}

/// A reset as somebody asks for it, who was shown what it would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskForReset {
    /// Where to, as for the preview.
    pub to: String,
    /// Which partitions, as for the preview.
    #[serde(default)]
    pub partitions: Vec<i32>,
    /// What the preview showed. Only that is done.
    pub shown: Vec<OffsetMove>,
    /// Whether the group's running service is to leave it for the reset, and come back.
    #[serde(default)]
    pub coordinate: bool,
    /// Why.
    pub reason: String,
}

/// A reset that was made.
#[derive(Debug, Serialize, Deserialize)]
pub struct ResetDone {
    /// From where to where each partition went.
    pub moves: Vec<OffsetMove>,
}

impl PlannedReset {
    fn of(group: GroupName, moves: &Moves, members: usize) -> Self {
        let planned =
            moves.effects().map(|(step, effect)| PlannedMove { step: step.clone(), effect });
        let planned: Vec<PlannedMove> = planned.collect();
        let sum = |of: fn(&Effect) -> u64| planned.iter().map(|planned| of(&planned.effect)).sum();
        Self {
            group,
            members,
            again: sum(|effect| effect.again),
            skipped: sum(|effect| effect.skipped),
            moves: planned,
            left: moves.left,
        }
    }
}

impl Desk {
    /// What a reset would do.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn plan_reset(
        &self,
        actor: &Actor,
        group: &str,
        target: Target,
        partitions: Vec<i32>,
    ) -> Result<PlannedReset, DeskError> {
        let reset = self.meant_reset(actor, group, target, partitions)?;
        let (moves, members) = reset.preview(&self.catalogue, &self.admin).await?;
        Ok(PlannedReset::of(reset.group, &moves, members))
    }

    /// Resets a group as it was shown. Whoever asks may go: it is done to its end.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn reset(
        &self,
        actor: &Actor,
        group: &str,
        asked: AskForReset,
    ) -> Result<ResetDone, DeskError> {
        let target = target(&asked.to)?;
        let reset = self.meant_reset(actor, group, target, asked.partitions)?;
        let reason = asked.reason.trim().to_owned();
        if reason.is_empty() {
            let told = "a reason is needed to reset a group";
            return Err(DeskError::Unclear(told.to_owned()));
        }
        let note = Note::of(Deed::Reset, &reset.group).because(Some(&reason)).with(json!({
            "topic": reset.topic,
            "partitions": reset.partitions,
            "to": asked.to,
        }));
        let (desk, actor, coordinate) = (self.clone(), actor.clone(), asked.coordinate);
        let doing =
            Doing { desk: self.clone(), reset, shown: asked.shown, by: actor.name.clone(), reason };
        let done = tokio::spawn(async move {
            let done = async {
                match coordinate {
                    true => doing.coordinated().await,
                    false => doing.done(false).await,
                }
            };
            desk.does(&actor, note, done).await
        });
        done.await.map_err(|error| DeskError::failed(&error))?
    }

    fn meant_reset(
        &self,
        actor: &Actor,
        group: &str,
        target: Target,
        partitions: Vec<i32>,
    ) -> Result<Reset, DeskError> {
        let found = self.subscription(actor, Action::Reset, group)?;
        let topic = Some(found.event.topic.clone());
        Ok(Reset { group: found.consumer.group.clone(), topic, partitions, target })
    }
}

/// Where to, as a text says it.
pub(crate) fn target(text: &str) -> Result<Target, DeskError> {
    text.parse().map_err(|error| DeskError::Unclear(format!("to={text}: {error}")))
}

/// A reset on its way.
struct Doing {
    desk: Desk,
    reset: Reset,
    shown: Vec<OffsetMove>,
    by: String,
    reason: String,
}

impl Doing {
    /// Does it while the group's running service is out of it. Where nobody is in the group, nobody has to leave.
    async fn coordinated(self) -> Result<ResetDone, DeskError> {
        let Desk { admin, kafka, publisher, .. } = self.desk.clone();
        let group = self.reset.group.clone();
        let state = admin.group(&group).await?;
        if state.is_none_or(|state| state.members.is_empty()) {
            return self.done(false).await;
        }
        let mut asker = Asker::of(group, &*self.by, &kafka, Arc::clone(&publisher)).await?;
        asker.while_away(&admin, self.done(true)).await
    }

    /// Does it; the group `ran` since it was shown.
    async fn done(&self, ran: bool) -> Result<ResetDone, DeskError> {
        let Desk { catalogue, admin, publisher, .. } = &self.desk;
        let planned = self.reset.plan(catalogue, admin).await?.confirm(&self.shown, ran)?;
        planned.carry_out(admin, publisher, &self.by, Some(&self.reason)).await?;
        Ok(ResetDone { moves: planned.moves })
    }
}
