//! Ranges of the log that a group reads once more, and what is to be done about an event in one. Pure.
//!
//! An offset reset takes effect only for what never did: each event has its row in the inbox. Where all of a range is to
//! run again, as after a projection was dropped, it gets an epoch of its own, under which nothing of it has run yet. The
//! order is the log's, for it is the group itself that reads it again.

mod ask;
mod dry;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use ask::{MOST_TRIED, Mode, Planned, Range, RerunError};
pub use dry::{DryRun, Failing, Trial};

/// Which of a topic's events are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Only {
    /// Those of this key.
    pub key: Option<String>,
    /// Those of this tenant.
    pub tenant: Option<String>,
}

impl Only {
    /// Whether an event is meant.
    #[must_use]
    pub fn means(&self, key: Option<&[u8]>, tenant: &str) -> bool {
        self.key.as_deref().is_none_or(|wanted| key == Some(wanted.as_bytes()))
            && self.tenant.as_deref().is_none_or(|wanted| tenant == wanted)
    }

    /// Whether all are.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.key.is_none() && self.tenant.is_none()
    }
}

/// A range of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The partition.
    pub partition: i32,
    /// The first offset that is meant.
    pub first: i64,
    /// The offset behind the last one that is meant.
    pub upto: i64,
    /// What the group had settled: from here on its events are new to it. Not below `upto`.
    pub end: i64,
}

/// What is to be run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Names it: opened twice under one id it is there once.
    pub id: Uuid,
    /// Where.
    pub spans: Vec<Span>,
    /// Which events.
    pub only: Only,
    /// Whether all of it runs again, and not only what never took effect.
    pub is_anew: bool,
    /// Whether what handlers emit goes out once more, under the ids that it had.
    pub emits: bool,
}

/// What has to be known of a group's inbox before a range runs again, by partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxState {
    /// Below which offset rows were purged, where any were.
    pub purged_below: BTreeMap<i32, i64>,
    /// How many keys are parked behind dead letters, where any are.
    pub parked: BTreeMap<i32, i64>,
}

/// A range of a partition that a group reads once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rerun {
    /// Later ones count before earlier ones. The epoch, where all runs again.
    pub seq: i32,
    /// Where.
    pub span: Span,
    /// Which events.
    pub only: Only,
    /// Whether all of it runs again.
    pub is_anew: bool,
    /// Whether what handlers emit goes out.
    pub emits: bool,
    /// Rows of events below this offset may have been purged of the epoch.
    pub purged_below: i64,
    /// Whether the group has passed it.
    pub is_over: bool,
}

/// What the inbox knows of a partition beside its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Events below this offset took effect, also where the inbox has no row of them any more; 0 where nothing was purged.
    pub purged_below: i64,
    /// The last one first.
    pub reruns: Arc<[Rerun]>,
}

/// What is to be done about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: the range is read for others.
    Pass,
    /// To run it, unless it took effect in this epoch.
    Run(Epoch),
}

/// Under which rows of the inbox an event runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// 0 is that of all that was never run again.
    pub number: i32,
    /// Rows of events below this offset may have been purged.
    pub purged_below: i64,
    /// Whether what the handler emits goes nowhere.
    pub is_silent: bool,
}

impl Past {
    /// What is to be done about the event at `offset`.
    #[must_use]
    pub fn plan(&self, offset: i64, key: Option<&[u8]>, tenant: &str) -> Plan {
        let holds = |rerun: &&Rerun| (rerun.span.first..rerun.span.end).contains(&offset);
        let mut was_meant = false;
        for rerun in self.reruns.iter().filter(holds) {
            let is_meant = offset < rerun.span.upto && rerun.only.means(key, tenant);
            // What a later one means, an earlier one does not leave out.
            if !is_meant && !rerun.is_over && !was_meant {
                return Plan::Pass;
            }
            was_meant |= is_meant;
            if is_meant && rerun.is_anew {
                return Plan::Run(Epoch {
                    number: rerun.seq,
                    purged_below: rerun.purged_below,
                    is_silent: !rerun.emits,
                });
            }
        }
        Plan::Run(Epoch { number: 0, purged_below: self.purged_below, is_silent: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rerun(seq: i32, first: i64, upto: i64, end: i64) -> Rerun {
        Rerun {
            seq,
            span: Span { partition: 0, first, upto, end },
            only: Only::default(),
            is_anew: true,
            emits: false,
            purged_below: 0,
            is_over: false,
        }
    }

    fn past(reruns: impl IntoIterator<Item = Rerun>) -> Past {
        Past { purged_below: 40, reruns: reruns.into_iter().collect() }
    }

    fn epoch(plan: Plan) -> Option<i32> {
        match plan {
            Plan::Pass => None,
            Plan::Run(epoch) => Some(epoch.number),
        }
    }

    #[test]
    fn what_is_in_no_range_runs_as_ever() {
        let ever = Plan::Run(Epoch { number: 0, purged_below: 40, is_silent: false });
        assert_eq!(past([]).plan(7, None, "t"), ever);
        let past = past([rerun(1, 10, 20, 30)]);
        assert_eq!((past.plan(9, None, "t"), past.plan(30, None, "t")), (ever, ever));
        assert_eq!(epoch(past.plan(10, None, "t")), Some(1));
        assert_eq!(epoch(past.plan(19, None, "t")), Some(1));
        assert_eq!(past.plan(20, None, "t"), Plan::Pass, "read again, and not meant");
    }

    #[test]
    fn the_later_one_counts_and_what_it_leaves_out_is_passed_until_it_is_over() {
        let only = Only { key: Some("a".to_owned()), tenant: Some("t".to_owned()) };
        let of_key = Rerun { only, ..rerun(2, 0, 30, 30) };
        let past_of = |of_key: Rerun| past([of_key, rerun(1, 0, 30, 30)]);
        let under_way = past_of(of_key.clone());
        assert_eq!(epoch(under_way.plan(5, Some(b"a"), "t")), Some(2));
        for (key, tenant) in [(Some(&b"b"[..]), "t"), (None, "t"), (Some(b"a"), "u")] {
            assert_eq!(under_way.plan(5, key, tenant), Plan::Pass);
        }
        let over = past_of(Rerun { is_over: true, ..of_key });
        assert_eq!(epoch(over.plan(5, Some(b"a"), "t")), Some(2));
        assert_eq!(epoch(over.plan(5, Some(b"b"), "t")), Some(1));
    }

    #[test]
    fn what_a_later_one_means_no_earlier_one_leaves_out() {
        let only = Only { key: Some("a".to_owned()), tenant: None };
        let of_key = Rerun { only, is_anew: false, ..rerun(1, 0, 30, 30) };
        let all = Rerun { is_anew: false, ..rerun(2, 0, 30, 30) };
        assert_eq!(epoch(past([all, of_key]).plan(5, Some(b"b"), "t")), Some(0));
    }

    #[test]
    fn what_is_only_delivered_again_stays_in_the_epoch_that_it_was_in() {
        let again = Rerun { is_anew: false, ..rerun(2, 0, 10, 30) };
        let past = past([again, rerun(1, 0, 30, 30)]);
        assert_eq!(epoch(past.plan(5, None, "t")), Some(1));
        assert_eq!(past.plan(15, None, "t"), Plan::Pass);
    }
}
