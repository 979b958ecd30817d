//! Replays: looked at beforehand, asked for, watched, cancelled.

use std::collections::BTreeMap;

use event_bus::dead_letters::guarded::Guard;
use event_bus::dead_letters::{Filter, Plan, Refusal, Scope, each_original};
use event_bus::names::{GroupName, TopicName};
use event_bus::store::ops::{Asked, Frozen, PlannedRow, ReplayRow, RequestedAction};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::requests::listed;
use super::{Desk, DeskError, in_states};
use crate::access::policy::{Action, Actor, Object, decide};
use crate::access::trail::{Deed, Note};

/// So many of the latest replays are listed.
const LISTED: u32 = 100;
/// So many dead letters are looked into by a preview: each may be in a place of its own, and the page waits.
const LOOKED_INTO: u32 = 250;

/// A replay that goes on from now on.
#[derive(Debug, Serialize, Deserialize)]
pub struct AskedFor {
    /// Names it.
    pub id: Uuid,
    /// Of how many dead letters it is.
    pub letters: u64,
    /// Whether it begins only once somebody else approves it.
    #[serde(default)]
    pub needs_approval: bool,
}

/// What a replay would do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Preview {
    /// How many it would send.
    pub would_replay: u64,
    /// Of what kinds these are.
    pub rows: Vec<PlannedRow>,
    /// How many it would leave out, and why.
    pub refused: BTreeMap<Refusal, u64>,
    /// Those that no handler would see, so that they would be dead at once, and why: of the first ones that were looked into.
    pub unusable: BTreeMap<Uuid, String>,
    /// Those that would come behind newer events of their keys, and how many of these their groups have settled: of those
    /// that were looked into.
    pub overtaken: BTreeMap<Uuid, u64>,
    /// Whether so many events stand behind them that not all were looked at for that.
    pub overtaken_is_cut_off: bool,
    /// How many were looked into.
    pub looked_into: u64,
}

impl Desk {
    /// What a replay would do.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn preview(&self, actor: &Actor, filter: Filter) -> Result<Preview, DeskError> {
        let filter = self.meant(actor, Action::See, filter).await?;
        let planned = self.store.plan_replay(&filter, &self.consumed()).await?;
        let open = in_states(filter, &["open"]);
        let first = self.store.letters(&open, None, LOOKED_INTO).await?;
        let plan = Plan::replay(&self.catalogue, &first.letters);
        let mut unusable = BTreeMap::new();
        let looked = each_original(&self.admin, &plan.letters, |found, record| {
            if let Some(doom) = found.doom(&self.catalogue, &record) {
                let doom = self.personal(found, &record).text(&doom);
                unusable.insert(found.letter.id, doom);
            }
        });
        looked.await.map_err(|error| DeskError::failed(&error))?;
        let overtaken = plan.overtaken(&self.admin).await;
        let overtaken = overtaken.map_err(|error| DeskError::failed(&error))?;
        Ok(Preview {
            would_replay: planned.rows.iter().map(|row| row.letters).sum(),
            rows: planned.rows,
            refused: planned.refused,
            unusable,
            overtaken: overtaken.letters,
            overtaken_is_cut_off: overtaken.is_cut_off,
            looked_into: plan.letters.len() as u64,
        })
    }

    /// How many a replay would send now.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn would_replay(&self, actor: &Actor, filter: Filter) -> Result<u64, DeskError> {
        let filter = self.meant(actor, Action::Replay, filter).await?;
        let planned = self.store.plan_replay(&filter, &self.consumed()).await?;
        Ok(planned.rows.iter().map(|row| row.letters).sum())
    }

    /// Asks for a replay of what is meant and open, under an id: asking twice under one is asking once.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn replay(
        &self,
        actor: &Actor,
        id: Uuid,
        filter: Filter,
        guard: Guard,
        reason: Option<String>,
    ) -> Result<AskedFor, DeskError> {
        if guard.max_dead_percent > 100 || guard.canary.contains(&0) {
            return Err(DeskError::Unclear(
                "max_dead_percent is at most 100, and each step of canary at least 1".to_owned(),
            ));
        }
        // A condition reads events, and only open ones are taken.
        let is_conditional = filter.condition.is_some();
        let filter = if is_conditional { in_states(filter, &["open"]) } else { filter };
        let note = Note::about(Deed::Replay, &filter).because(reason.as_deref());
        let filter = self.meant(actor, Action::Replay, filter).await?;
        let known = self.store.replay(&Scope::default(), id).await?;
        if known.as_ref().is_some_and(|known| known.by != actor.name) {
            // It is told of only where it is in scope.
            self.replay_row(actor, id).await?;
        }
        if let Some(known) = known {
            let letters = known.progress.letters;
            return Ok(AskedFor { id, letters, needs_approval: false });
        }
        let (consumed, by) = (self.consumed(), actor.name.clone());
        let mut asked = Asked { id, filter, consumed, guard, by, reason };
        match self.frozen(actor, RequestedAction::Replay, &asked).await? {
            Some(Frozen::Asked(letters)) => {
                return Ok(AskedFor { id, letters, needs_approval: true });
            }
            Some(Frozen::Listed(_)) => asked.filter = listed(actor, id),
            None => {}
        }
        let note = note.with(json!({ "replay": id }));
        let letters =
            self.does(actor, note, async { Ok(self.store.ask_for_replay(&asked).await?) }).await;
        // Also where it failed: who asks once more is to have what is open by then.
        if asked.filter.request.is_some() {
            self.forget_list(id).await;
        }
        Ok(AskedFor { id, letters: letters?, needs_approval: false })
    }

    /// The latest replays of what is in scope.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn replays(&self, actor: &Actor) -> Result<Vec<ReplayRow>, DeskError> {
        decide(actor, Action::See, Object::InScope)?;
        Ok(self.store.replays(&actor.scope, LISTED).await?)
    }

    /// A replay.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn replay_row(&self, actor: &Actor, id: Uuid) -> Result<ReplayRow, DeskError> {
        decide(actor, Action::See, Object::InScope)?;
        self.store.replay(&actor.scope, id).await?.ok_or(DeskError::NoReplay(id))
    }

    /// Cancels a replay: what is over, or ends already, stays as it is.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn cancel(&self, actor: &Actor, id: Uuid) -> Result<ReplayRow, DeskError> {
        decide(actor, Action::Cancel, Object::InScope)?;
        self.replay_row(actor, id).await?;
        let cancelled = async { Ok(self.store.cancel_replay(id, &actor.name).await?) };
        self.does(actor, Note::of(Deed::Cancel, id), cancelled).await?;
        self.replay_row(actor, id).await
    }

    /// The groups of the catalogue, with the topics that they consume.
    pub(super) fn consumed(&self) -> Vec<(TopicName, GroupName)> {
        let of = |event: &event_bus::catalogue::Event| {
            let topic = event.topic.clone();
            let groups = event.consumers.iter().map(|consumer| consumer.group.clone());
            groups.map(|group| (topic.clone(), group)).collect::<Vec<_>>()
        };
        self.catalogue.events().flat_map(|event| of(event)).collect()
    }
}
