//! What happens when nobody says anything.

use super::super::action::Action;
use super::super::settings::GroupSettings;
use super::{Group, Phase};

impl Group {
    /// When `tick` has something to do at the earliest. It may turn out to have nothing to do yet.
    pub fn wake_at_ms(&self) -> Option<i64> {
        self.wake_at_ms
    }

    pub(super) fn wake_by(&mut self, at_ms: i64) {
        self.wake_at_ms = Some(self.wake_at_ms.map_or(at_ms, |known| known.min(at_ms)));
    }

    pub(super) fn earliest_deadline(&self) -> Option<i64> {
        let sessions = self.members.values().filter_map(|member| member.session_ends_ms);
        let others = [self.join_deadline.map(|deadline| deadline.at_ms), self.sync_deadline_ms];
        let pending = self.pending_joins.values().copied();
        sessions.chain(pending).chain(others.into_iter().flatten()).min()
    }

    /// The member gave a sign of life: its session begins anew.
    pub(super) fn keep_alive(&mut self, member_id: &str, now_ms: i64) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        let ends_ms = now_ms.saturating_add(member.session_timeout_ms.into());
        member.session_ends_ms = Some(ends_ms);
        self.wake_by(ends_ms);
    }

    /// Acts on every deadline that has passed.
    pub fn tick(&mut self, now_ms: i64, settings: &GroupSettings) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.wake_at_ms.is_none_or(|at_ms| now_ms < at_ms) {
            return actions;
        }
        self.expire_pending_joins(now_ms, &mut actions);
        self.expire_sessions(now_ms, settings, &mut actions);
        self.expire_joins(now_ms, &mut actions);
        self.expire_syncs(now_ms, settings, &mut actions);
        self.wake_at_ms = self.earliest_deadline();
        actions
    }

    /// Ids that were handed out and never used.
    fn expire_pending_joins(&mut self, now_ms: i64, actions: &mut Vec<Action>) {
        let before = self.pending_joins.len();
        self.pending_joins.retain(|_, ends_ms| *ends_ms > now_ms);
        if self.pending_joins.len() < before {
            self.complete_without_waiting(now_ms, actions);
        }
    }

    /// Members that gave no sign of life. Whoever has a parked request lives by it, unless it is new: its session
    /// bounds how long it may be parked.
    fn expire_sessions(
        &mut self,
        now_ms: i64,
        settings: &GroupSettings,
        actions: &mut Vec<Action>,
    ) {
        let mut dead = Vec::new();
        for member in self.members.values_mut() {
            if member.session_ends_ms.is_some_and(|ends_ms| ends_ms <= now_ms) {
                member.session_ends_ms = None;
                let is_parked = member.joining.is_some() || member.syncing.is_some();
                if member.is_new || !is_parked {
                    dead.push(member.id.clone());
                }
            }
        }
        if dead.is_empty() {
            return;
        }
        for id in &dead {
            self.remove(id, actions);
        }
        match self.phase {
            Phase::Stable | Phase::CompletingRebalance => {
                self.prepare_rebalance(now_ms, settings, actions);
            }
            Phase::PreparingRebalance => self.complete_without_waiting(now_ms, actions),
            Phase::Empty => {}
        }
    }

    /// Nobody who is awaited is left; then a first rebalance doesn't wait for its delay either.
    fn complete_without_waiting(&mut self, now_ms: i64, actions: &mut Vec<Action>) {
        if self.phase == Phase::PreparingRebalance && self.all_joined() {
            self.complete_join(now_ms, actions);
        }
    }

    /// The wait for joins is over. A first one is extended for as long as members come.
    fn expire_joins(&mut self, now_ms: i64, actions: &mut Vec<Action>) {
        let Some(deadline) = self.join_deadline.filter(|deadline| deadline.at_ms <= now_ms) else {
            return;
        };
        match deadline.initial {
            Some((delay_ms, remaining_ms)) if self.new_member_added && remaining_ms > 0 => {
                self.new_member_added = false;
                let next_ms = delay_ms.min(remaining_ms);
                let rest_ms = (remaining_ms - delay_ms).max(0);
                self.wait_for_joins(now_ms.saturating_add(next_ms), Some((next_ms, rest_ms)));
            }
            _ => self.complete_join(now_ms, actions),
        }
    }

    /// Members that joined and never asked for their assignment are out.
    fn expire_syncs(&mut self, now_ms: i64, settings: &GroupSettings, actions: &mut Vec<Action>) {
        if self.sync_deadline_ms.is_none_or(|at_ms| at_ms > now_ms) {
            return;
        }
        self.sync_deadline_ms = None;
        let waits = matches!(self.phase, Phase::CompletingRebalance | Phase::Stable);
        if !waits || self.pending_syncs.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.pending_syncs) {
            self.remove(&id, actions);
        }
        self.prepare_rebalance(now_ms, settings, actions);
    }
}
