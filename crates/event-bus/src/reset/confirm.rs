//! Whether what somebody was shown is what would be done.

use super::{Known, Moves, ResetError, effect};
use crate::audit::OffsetMove;

impl Moves {
    /// The moves that were shown, in place of what is planned now: to the same offsets, from where the group is. Where the
    /// group `ran` since, it may have gone on, as long as what was shown to come again does, and what was shown to be passed
    /// over is.
    ///
    /// # Errors
    /// When other partitions were shown, the group is elsewhere, or retention took where it was to go.
    pub fn confirm(mut self, shown: &[OffsetMove], ran: bool) -> Result<Self, ResetError> {
        let mut rest: Vec<&OffsetMove> = shown.iter().collect();
        for (planned, known) in self.moves.iter_mut().zip(&self.known) {
            let is_same = |shown: &&OffsetMove| {
                shown.topic == planned.topic && shown.partition == planned.partition
            };
            let Some(place) = rest.iter().position(is_same) else {
                return Err(changed(planned, None, planned.to));
            };
            let shown = rest.swap_remove(place);
            let holds = if ran { is_alike(shown, *known) } else { shown.from == planned.from };
            if !holds || !(known.log_start..=known.log_end).contains(&shown.to) {
                return Err(changed(planned, shown.from, shown.to));
            }
            planned.to = shown.to;
        }
        match rest.first() {
            Some(gone) => Err(changed(gone, gone.from, gone.to)),
            None => Ok(self),
        }
    }
}

/// Whether the group still goes the way that was shown.
fn is_alike(shown: &OffsetMove, known: Known) -> bool {
    let (before, now) =
        (effect(Known { committed: shown.from, ..known }, shown.to), effect(known, shown.to));
    (before.again > 0) == (now.again > 0) && (before.skipped > 0) == (now.skipped > 0)
}

fn changed(step: &OffsetMove, shown: Option<i64>, to: i64) -> ResetError {
    let (group, partition, now) = (step.group.clone(), step.partition, step.from);
    ResetError::Changed { group, partition, shown, now, to }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(partition: i32, from: Option<i64>, to: i64) -> OffsetMove {
        let (group, topic) = ("corner-shop-order-placed", "corner.order.placed");
        let (group, topic) = (group.parse().unwrap(), topic.parse().unwrap());
        OffsetMove { group, topic, partition, from, to }
    }

    /// A group at 20 of partition 0, and nowhere in partition 1, that would go to the latest.
    fn planned() -> Moves {
        let at = |committed| Known { committed, log_start: 10, log_end: 30, at: None };
        let moves = vec![step(0, Some(20), 30), step(1, None, 30)];
        let known = vec![at(Some(20)), at(None)];
        Moves { known, ..Moves::of(moves[0].group.clone(), moves) }
    }

    #[test]
    fn what_was_shown_is_done_though_the_log_went_on() {
        let shown = [step(1, None, 28), step(0, Some(20), 25)];
        let moves = planned().confirm(&shown, false).unwrap().moves;
        assert_eq!(moves, [step(0, Some(20), 25), step(1, None, 28)]);
    }

    #[test]
    fn what_is_not_as_it_was_shown_is_not_done() {
        for shown in [
            vec![step(0, Some(19), 30), step(1, None, 30)],
            vec![step(0, Some(20), 30), step(1, Some(10), 30)],
            vec![step(0, Some(20), 9), step(1, None, 30)],
            vec![step(0, Some(20), 31), step(1, None, 30)],
            vec![step(0, Some(20), 30)],
            vec![step(0, Some(20), 30), step(1, None, 30), step(2, None, 0)],
            vec![step(0, Some(20), 30), step(0, Some(20), 30)],
        ] {
            let refused = planned().confirm(&shown, false);
            assert!(matches!(refused, Err(ResetError::Changed { .. })), "{shown:?}");
        }
    }

    #[test]
    fn a_group_that_ran_may_have_gone_on_but_not_past_where_it_is_to_be() {
        let shown = |to| [step(0, Some(15), to), step(1, None, 30)];
        let moves = planned().confirm(&shown(12), true).unwrap().moves;
        assert_eq!(moves[0], step(0, Some(20), 12));
        assert!(planned().confirm(&shown(25), true).is_ok());
        // It would have skipped three, and now two would come again.
        assert!(planned().confirm(&shown(18), true).is_err());
        assert!(planned().confirm(&shown(15), true).is_err());
    }
}
