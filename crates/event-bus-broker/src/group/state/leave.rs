//! `LeaveGroup`: members go, by themselves or sent away by an administrator.

use kafka_protocol::ResponseError;

use super::super::action::Action;
use super::super::settings::GroupSettings;
use super::{Group, Phase};

/// Who leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaver {
    /// Empty: whoever has the instance id.
    pub member_id: String,
    pub instance_id: Option<String>,
}

/// Who has left, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub leaver: Leaver,
    pub error: Option<ResponseError>,
}

impl Group {
    /// Members leave. The others rebalance at once.
    pub fn leave(
        &mut self,
        leavers: Vec<Leaver>,
        now_ms: i64,
        settings: &GroupSettings,
    ) -> (Vec<Left>, Vec<Action>) {
        let mut actions = Vec::new();
        let left: Vec<Left> = leavers
            .into_iter()
            .map(|leaver| {
                let error = self.remove_leaver(&leaver, &mut actions).err();
                Left { leaver, error }
            })
            .collect();
        if left.iter().any(|left| left.error.is_none()) {
            match self.phase {
                Phase::Stable | Phase::CompletingRebalance => {
                    self.prepare_rebalance(now_ms, settings, &mut actions);
                }
                Phase::PreparingRebalance => {
                    self.complete_if_joined(now_ms, &mut actions);
                }
                Phase::Empty => {}
            }
        }
        (left, actions)
    }

    fn remove_leaver(
        &mut self,
        leaver: &Leaver,
        actions: &mut Vec<Action>,
    ) -> Result<(), ResponseError> {
        let Leaver { member_id, instance_id } = leaver;
        let id = if member_id.is_empty() {
            let known = instance_id.as_ref().and_then(|id| self.statics.get(id));
            known.cloned().ok_or(ResponseError::UnknownMemberId)?
        } else {
            if !self.pending_joins.contains_key(member_id) {
                self.check_member(member_id, instance_id.as_deref())?;
            }
            member_id.clone()
        };
        self.remove(&id, actions);
        Ok(())
    }
}
