//! A static member comes back without its member id: it replaces its former self, who is fenced.

use kafka_protocol::ResponseError;

use super::super::action::{Action, JoinAnswer, Returning, SyncAnswer, Then};
use super::super::settings::GroupSettings;
use super::join::Join;
use super::{Group, Phase};

impl Group {
    /// Gives the static member `former` its new id, and rebalances only where that changes anything for others.
    pub(super) fn replace_static(
        &mut self,
        former: &str,
        join: Join,
        now_ms: i64,
        settings: &GroupSettings,
        actions: &mut Vec<Action>,
    ) {
        let id = join.new_member_id.clone();
        let former_leader = self.leader.clone().unwrap_or_default();
        let can_skip_assignment = join.can_skip_assignment;
        self.rename_static(former, &id, actions);
        self.update(&id, join, actions);
        self.keep_alive(&id, now_ms);
        match self.phase {
            Phase::Stable if self.chosen_protocol() == self.protocol => {
                let member_id = id;
                let returning = Returning { member_id, former_leader, can_skip_assignment };
                actions.push(Action::Persist(self.record(), Then::WelcomeBack(returning)));
            }
            Phase::Stable => self.rebalance_or_complete(now_ms, settings, actions),
            // The former id may have gone to the leader already, so the new one would get no assignment.
            Phase::CompletingRebalance => self.prepare_rebalance(now_ms, settings, actions),
            Phase::PreparingRebalance | Phase::Empty => {
                self.complete_if_joined(now_ms, actions);
            }
        }
    }

    /// Puts a new id in the place of the former one, whose parked requests are fenced.
    fn rename_static(&mut self, former: &str, id: &str, actions: &mut Vec<Action>) {
        let Some(mut member) = self.members.remove(former) else { return };
        let error = ResponseError::FencedInstanceId;
        if let Some(waiter) = member.joining.take() {
            actions.push(Action::AnswerJoin(waiter, JoinAnswer::refused(error, former)));
        }
        if let Some(waiter) = member.syncing.take() {
            actions.push(Action::AnswerSync(waiter, SyncAnswer::refused(error)));
        }
        if let Some(instance_id) = &member.instance_id {
            self.statics.insert(instance_id.clone(), id.to_owned());
        }
        if self.is_leader(former) {
            self.leader = Some(id.to_owned());
        }
        if self.pending_syncs.remove(former) {
            self.pending_syncs.insert(id.to_owned());
        }
        id.clone_into(&mut member.id);
        member.is_new = false;
        self.members.insert(member.id.clone(), member);
    }

    /// The new id is durable: the member goes on with its assignment, if the group is still where it was. If a
    /// rebalance began meanwhile, its parked join takes part in that.
    pub(super) fn welcome_back(
        &mut self,
        returning: &Returning,
        is_durable: bool,
        actions: &mut Vec<Action>,
    ) {
        let Returning { member_id, former_leader, can_skip_assignment } = returning;
        if self.phase != Phase::Stable {
            return;
        }
        let answer = if !is_durable {
            JoinAnswer::refused(ResponseError::CoordinatorNotAvailable, "")
        } else if *can_skip_assignment {
            let skip_assignment = self.is_leader(member_id);
            JoinAnswer { skip_assignment, ..self.welcome(member_id) }
        } else {
            // It can't be told not to assign, so it must not learn that it leads.
            let leader = former_leader.clone();
            JoinAnswer { leader, members: Vec::new(), ..self.welcome(member_id) }
        };
        self.answer_join(member_id, answer, actions);
    }
}
