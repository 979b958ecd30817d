//! Random histories of producers against a model, and the state of a partition against what its log tells.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::fixtures::{Batch, NOW_MS, append, in_memory};
use crate::partition::{AppendError, Membership, Outcome, Partition, Refusal, replay};

#[derive(Clone, Copy, Debug)]
enum Step {
    Produce { producer_id: i64, epoch: i16, sequence: i32, records: i32, is_transactional: bool },
    End { producer_id: i64, epoch: i16, outcome: Outcome },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few values, so that steps often meet.
    let produce = (0..2_i64, 0..3_i16, 0..8_i32, 1..3_i32, any::<bool>()).prop_map(
        |(producer_id, epoch, sequence, records, is_transactional)| Step::Produce {
            producer_id,
            epoch,
            sequence,
            records,
            is_transactional,
        },
    );
    let end = (0..2_i64, 0..3_i16, any::<bool>()).prop_map(|(producer_id, epoch, commits)| {
        let outcome = if commits { Outcome::Commit } else { Outcome::Abort };
        Step::End { producer_id, epoch, outcome }
    });
    proptest::collection::vec(prop_oneof![4 => produce, 1 => end], 1..60)
}

/// Everything that one producer ever wrote.
#[derive(Default)]
struct Model {
    epoch: Option<i16>,
    /// (epoch, first sequence, last sequence, base offset).
    written: Vec<(i16, i32, i32, i64)>,
    is_open: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Append,
    Duplicate(i64),
    StaleEpoch,
    OutOfOrder,
    OutsideTransaction,
}

impl Model {
    fn verdict(&self, epoch: i16, first: i32, last: i32, is_transactional: bool) -> Verdict {
        let Some(current) = self.epoch else { return Verdict::Append };
        let of_epoch = self.written.iter().filter(|(other, ..)| *other == current);
        let of_epoch: Vec<_> = of_epoch.collect();
        let remembered = &of_epoch[of_epoch.len().saturating_sub(5)..];
        let twin =
            remembered.iter().find(|(other, a, b, _)| (*other, *a, *b) == (epoch, first, last));
        if let Some((.., offset)) = twin {
            return Verdict::Duplicate(*offset);
        }
        let next = if epoch == current {
            of_epoch.last().map_or(0, |(_, _, last, _)| last + 1)
        } else {
            0
        };
        if epoch < current {
            Verdict::StaleEpoch
        } else if first != next {
            Verdict::OutOfOrder
        } else if self.is_open && !is_transactional {
            Verdict::OutsideTransaction
        } else {
            Verdict::Append
        }
    }
}

fn actual(partition: &Partition, batch: Batch) -> (Verdict, i64) {
    let end = partition.bounds().high_watermark;
    match append(partition, batch, Membership::Verified) {
        Ok(appended) if appended.base_offset == end => (Verdict::Append, end),
        Ok(appended) => (Verdict::Duplicate(appended.base_offset), end),
        Err(AppendError::Refused(refusal)) => match refusal {
            Refusal::StaleEpoch { .. } => (Verdict::StaleEpoch, end),
            Refusal::OutOfOrder { .. } => (Verdict::OutOfOrder, end),
            Refusal::OutsideTransaction { .. } => (Verdict::OutsideTransaction, end),
            Refusal::Unverified { .. } => panic!("the batch was verified"),
        },
        Err(error) => panic!("{error}"),
    }
}

fn run(partition: &Arc<Partition>, steps: &[Step]) {
    let mut models: HashMap<i64, Model> = HashMap::new();
    for step in steps {
        match *step {
            Step::Produce { producer_id, epoch, sequence, records, is_transactional } => {
                let model = models.entry(producer_id).or_default();
                let last = sequence + records - 1;
                let batch = Batch::of(records).by(producer_id, epoch, sequence);
                let batch = if is_transactional { batch.transactional() } else { batch };
                let (verdict, offset) = actual(partition, batch);
                assert_eq!(
                    verdict,
                    model.verdict(epoch, sequence, last, is_transactional),
                    "{step:?}"
                );
                if verdict == Verdict::Append {
                    model.epoch = Some(epoch);
                    model.written.push((epoch, sequence, last, offset));
                    model.is_open |= is_transactional;
                }
            }
            Step::End { producer_id, epoch, outcome } => {
                let model = models.entry(producer_id).or_default();
                let is_stale = model.epoch.is_some_and(|current| current > epoch);
                let ended = partition.end_transaction(producer_id, epoch, outcome, NOW_MS);
                assert_eq!(ended.is_err(), is_stale, "{step:?}");
                if !is_stale {
                    model.epoch = Some(epoch);
                    model.is_open = false;
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn producers_are_judged_as_the_model_says(steps in steps()) {
        run(&in_memory(), &steps);
    }

    #[test]
    fn the_log_tells_all_that_the_partition_knows(steps in steps()) {
        let partition = in_memory();
        run(&partition, &steps);
        let state = partition.lock();
        let (producers, mut stability) = replay::read_back(&state.log, state.visible.end).unwrap();
        stability.visible_up_to(state.visible.end);
        prop_assert_eq!(&producers, &state.producers);
        prop_assert_eq!(&stability, &state.stability);
    }
}
