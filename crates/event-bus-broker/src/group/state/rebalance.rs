//! A rebalance, from the first join to the next generation.

use kafka_protocol::ResponseError;

use super::super::action::{Action, SyncAnswer, Then};
use super::super::ledger::GroupRecord;
use super::super::settings::{GroupSettings, millis};
use super::{Group, JoinDeadline, Phase};

impl Group {
    /// Asks all members to join again, for whatever reason from outside. An empty group has nobody to ask, one
    /// that is rebalancing already does so.
    pub fn force_rebalance(&mut self, now_ms: i64, settings: &GroupSettings) -> Vec<Action> {
        let mut actions = Vec::new();
        if matches!(self.phase, Phase::Stable | Phase::CompletingRebalance) {
            self.prepare_rebalance(now_ms, settings, &mut actions);
        }
        actions
    }

    /// Begins a rebalance, or goes on with the one that runs.
    pub(super) fn rebalance_or_complete(
        &mut self,
        now_ms: i64,
        settings: &GroupSettings,
        actions: &mut Vec<Action>,
    ) {
        if self.phase == Phase::PreparingRebalance {
            self.complete_if_joined(now_ms, actions);
        } else {
            self.prepare_rebalance(now_ms, settings, actions);
        }
    }

    pub(super) fn prepare_rebalance(
        &mut self,
        now_ms: i64,
        settings: &GroupSettings,
        actions: &mut Vec<Action>,
    ) {
        if self.phase == Phase::CompletingRebalance {
            self.refuse_syncs(ResponseError::RebalanceInProgress, now_ms, actions);
        }
        self.pending_syncs.clear();
        self.sync_deadline_ms = None;
        let was_empty = self.phase == Phase::Empty;
        self.transition_to(Phase::PreparingRebalance, now_ms);
        let delay_ms = millis(settings.initial_rebalance_delay);
        if was_empty && delay_ms > 0 {
            let remaining_ms = (self.rebalance_timeout_ms() - delay_ms).max(0);
            self.new_member_added = false;
            self.wait_for_joins(now_ms.saturating_add(delay_ms), Some((delay_ms, remaining_ms)));
        } else if was_empty || self.all_joined() {
            self.complete_join(now_ms, actions);
        } else {
            self.wait_for_joins(now_ms.saturating_add(self.rebalance_timeout_ms()), None);
        }
    }

    pub(super) fn wait_for_joins(&mut self, at_ms: i64, initial: Option<(i64, i64)>) {
        self.join_deadline = Some(JoinDeadline { at_ms, initial });
        self.wake_by(at_ms);
    }

    /// Completes the joins once everybody is there; those of a first rebalance wait for its delay.
    pub(super) fn complete_if_joined(&mut self, now_ms: i64, actions: &mut Vec<Action>) {
        let may = self.phase == Phase::PreparingRebalance && self.previous != Phase::Empty;
        if may && self.all_joined() {
            self.complete_join(now_ms, actions);
        }
    }

    /// The joins are over: dynamic members that aren't there are out, and the next generation begins.
    pub(super) fn complete_join(&mut self, now_ms: i64, actions: &mut Vec<Action>) {
        self.join_deadline = None;
        let absent = self.members.values().filter(|m| m.joining.is_none() && !m.is_static());
        let absent: Vec<String> = absent.map(|member| member.id.clone()).collect();
        for id in absent {
            self.remove(&id, actions);
        }
        if !self.elect_leader() {
            // Only static members are left, and none has come: wait on, until one comes or their sessions end.
            let wait_ms = self.rebalance_timeout_ms().max(1);
            self.wait_for_joins(now_ms.saturating_add(wait_ms), None);
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.pending_syncs.clear();
        self.protocol = self.chosen_protocol();
        self.subscribed = self.subscribed_topics();
        if self.members.is_empty() {
            self.transition_to(Phase::Empty, now_ms);
            actions.push(Action::Persist(self.record(), Then::Nothing));
            return;
        }
        self.transition_to(Phase::CompletingRebalance, now_ms);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let answer = self.welcome(&id);
            self.answer_join(&id, answer, actions);
            self.keep_alive(&id, now_ms);
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
            }
            self.pending_syncs.insert(id);
        }
        let at_ms = now_ms.saturating_add(self.rebalance_timeout_ms());
        self.sync_deadline_ms = Some(at_ms);
        self.wake_by(at_ms);
    }

    /// Has a leader that has joined; false if there are members and none of them has.
    fn elect_leader(&mut self) -> bool {
        let has_joined = |id: &String| self.members.get(id).is_some_and(|m| m.joining.is_some());
        if self.members.is_empty() || self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.values().find(|member| member.joining.is_some());
        let Some(joined) = joined.map(|member| member.id.clone()) else { return false };
        self.leader = Some(joined);
        true
    }

    /// Answers all parked syncs with an error; what they waited for is void.
    pub(super) fn refuse_syncs(
        &mut self,
        error: ResponseError,
        now_ms: i64,
        actions: &mut Vec<Action>,
    ) {
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.assignment = bytes::Bytes::new();
            if let Some(waiter) = member.syncing.take() {
                actions.push(Action::AnswerSync(waiter, SyncAnswer::refused(error)));
                self.keep_alive(&id, now_ms);
            }
        }
    }

    /// A record of this group is durable, or could not be made so.
    pub fn persisted(
        &mut self,
        record: GroupRecord,
        then: &Then,
        is_durable: bool,
        now_ms: i64,
        settings: &GroupSettings,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        match then {
            Then::Nothing => {}
            Then::WelcomeBack(returning) => {
                self.welcome_back(returning, is_durable, &mut actions);
            }
            Then::Assign => {
                // Somebody may have joined or left while the record was written: then it is void.
                let is_current = self.phase == Phase::CompletingRebalance
                    && record.generation == self.generation;
                if is_current && is_durable {
                    self.assign(record, now_ms, &mut actions);
                } else if is_current {
                    let error = ResponseError::CoordinatorNotAvailable;
                    self.refuse_syncs(error, now_ms, &mut actions);
                    self.prepare_rebalance(now_ms, settings, &mut actions);
                }
            }
        }
        actions
    }
}
