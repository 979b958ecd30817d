//! A session that is told things one after the other.

use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::*;
use crate::catalogue::BehindDeadLetter;
use crate::consumer::command::CutOff;
use crate::consumer::job::Verdict;
use crate::consumer::lane::LaneKey;
use crate::dead_letter::{Cause, Reason};
use crate::limits::{MAX_BATCH, PARTITION_WINDOW};

/// An event of partition 0 under a key of its own.
#[derive(Clone, Debug)]
struct Arrived(i64, LaneKey);

impl Arrived {
    fn at(offset: i64) -> Arrived {
        Arrived(offset, Some(Bytes::from(offset.to_string())))
    }
}

impl Arrival for Arrived {
    fn partition(&self) -> i32 {
        0
    }

    fn offset(&self) -> i64 {
        self.0
    }

    fn key(&self) -> &LaneKey {
        &self.1
    }

    fn seed(&self) -> u64 {
        7
    }

    fn doom(&self) -> Option<&Cause> {
        None
    }

    fn is_replay(&self) -> bool {
        false
    }
}

/// A session that is told things one after the other.
struct Told {
    session: Session<Arrived>,
    now: Moment,
}

impl Told {
    fn new(execution: Execution) -> Told {
        let waits: Arc<[Duration]> = [Duration::from_secs(1)].into();
        let settings = Settings::new(execution, waits, BehindDeadLetter::Continue);
        let now = Moment { instant: Instant::now(), time: Timestamp::UNIX_EPOCH };
        Told { session: Session::new(Arc::new(settings)), now }
    }

    fn hears(&mut self, input: Input<Arrived>) -> Vec<Command<Arrived>> {
        self.session.on(input, self.now)
    }

    /// Partition 0 is assigned and taken over under a token.
    fn owns(&mut self, token: i64) {
        let offer = Offer { partition: 0, start: Some(0), log_end: Some(0) };
        let commands = self.hears(Input::Assigned(vec![offer]));
        self.takes_over(&commands, token);
    }

    fn takes_over(&mut self, commands: &[Command<Arrived>], token: i64) -> Vec<Command<Arrived>> {
        self.takes_over_with(commands, Holding { token, ..Holding::default() })
    }

    fn takes_over_with(
        &mut self,
        commands: &[Command<Arrived>],
        holding: Holding,
    ) -> Vec<Command<Arrived>> {
        let asked = commands.iter().find_map(|command| match command {
            Command::TakeOver(assignment, _) => Some(*assignment),
            _ => None,
        });
        let asked = asked.unwrap_or_else(|| panic!("no take-over in {commands:?}"));
        self.hears(Input::TakenOver(asked, Ok(holding)))
    }
}

/// The tasks that are to run, with their tokens and first offsets.
fn runs(commands: &[Command<Arrived>]) -> Vec<(TaskId, i64, i64)> {
    let runs = commands.iter().filter_map(|command| match command {
        Command::Run(task, turn) => Some((*task, turn.token, turn.jobs[0].received.0)),
        _ => None,
    });
    runs.collect()
}

fn fenced(offset: i64) -> Report {
    let trouble = Trouble::Fenced;
    let verdicts = vec![(offset, Verdict::Disturbed(trouble))];
    Report { verdicts, trouble: Some(trouble) }
}

#[test]
fn a_late_word_of_a_fence_does_not_cost_the_token_that_was_taken_since() {
    let mut told = Told::new(Execution::Concurrent(NonZeroU16::new(2).unwrap()));
    told.owns(1);
    let begun = runs(&told.hears(Input::Fetched(vec![Arrived::at(0), Arrived::at(1)])));
    let [(first, 1, 0), (second, 1, 1)] = begun[..] else { panic!("{begun:?}") };
    told.hears(Input::Finished(first, fenced(0)));
    told.now.instant = told.session.next_wake().unwrap();
    let commands = told.hears(Input::Woken);
    let begun = runs(&told.takes_over(&commands, 2));
    assert!(matches!(begun[..], [(_, 2, 0)]), "{begun:?}");
    let begun = runs(&told.hears(Input::Finished(second, fenced(1))));
    assert!(matches!(begun[..], [(_, 2, 1)]), "{begun:?}");
}

#[test]
fn partitions_that_are_revoked_during_a_stop_are_given_back_with_what_is_settled() {
    let mut told = Told::new(Execution::Batched);
    told.owns(1);
    let begun = runs(&told.hears(Input::Fetched(vec![Arrived::at(0)])));
    let settled = Report { verdicts: vec![(0, Verdict::Settled)], trouble: None };
    told.hears(Input::Finished(begun[0].0, settled));
    let commands = told.hears(Input::Stop);
    assert!(matches!(commands[..], [Command::Release(..)]), "{commands:?}");
    let commands = told.hears(Input::Revoked(vec![0]));
    let [Command::GiveBack(offsets)] = &commands[..] else { panic!("{commands:?}") };
    assert_eq!(offsets[..], [(0, 1)]);
}

fn sated_by(execution: Execution, events: usize) -> bool {
    let mut told = Told::new(execution);
    // The partition is not taken over yet, so nothing runs.
    told.hears(Input::Assigned(vec![Offer { partition: 0, start: Some(0), log_end: None }]));
    let events = i64::try_from(events).unwrap();
    told.hears(Input::Fetched((0..events).map(Arrived::at).collect()));
    told.session.is_sated()
}

#[test]
fn a_session_is_sated_by_twice_what_can_run_at_once() {
    assert!(!sated_by(Execution::Batched, 2 * MAX_BATCH - 1));
    assert!(sated_by(Execution::Batched, 2 * MAX_BATCH));
    let concurrent = Execution::Concurrent(NonZeroU16::new(4).unwrap());
    assert!(!sated_by(concurrent, 7));
    assert!(sated_by(concurrent, 8));
}

#[test]
fn what_waits_for_a_retry_and_what_is_paused_sates_nobody() {
    let mut told = Told::new(Execution::Batched);
    assert!(!told.session.is_sated(), "nothing is assigned");
    told.owns(1);
    let one_key = |offset| Arrived(offset, None);
    let begun = runs(&told.hears(Input::Fetched(vec![one_key(0)])));
    let cause = Cause::new(Reason::RetriesExhausted, "HandlerError", "no");
    let failed = Report { verdicts: vec![(0, Verdict::Failed(cause))], trouble: None };
    told.hears(Input::Finished(begun[0].0, failed));
    let window = i64::try_from(PARTITION_WINDOW).unwrap();
    told.hears(Input::Fetched((1..window - 1).map(one_key).collect()));
    assert!(!told.session.is_sated(), "events behind the waiting one can't run");
    let commands = told.hears(Input::Fetched((window - 1..=window).map(Arrived::at).collect()));
    assert!(matches!(commands[0], Command::Pause(0)), "{commands:?}");
    assert!(!told.session.is_sated(), "a paused partition is fetched no more");
}

#[test]
fn one_partition_with_much_does_not_keep_the_others_from_being_fetched() {
    let mut told = Told::new(Execution::Batched);
    let offers = (0..3).map(|partition| Offer { partition, start: Some(0), log_end: None });
    told.hears(Input::Assigned(offers.collect()));
    let most = i64::try_from(PARTITION_WINDOW).unwrap() - 1;
    told.hears(Input::Fetched((0..most).map(Arrived::at).collect()));
    assert!(!told.session.is_sated());
}

#[test]
fn a_careful_attempt_that_a_revoke_cuts_off_is_taken_back_before_its_partition_is_given_back() {
    let mut told = Told::new(Execution::Batched);
    let offer = Offer { partition: 0, start: Some(0), log_end: Some(2) };
    let commands = told.hears(Input::Assigned(vec![offer]));
    let holding = Holding { is_dirty: true, attempts: [(1, 1)].into(), ..Holding::default() };
    told.takes_over_with(&commands, Holding { token: 5, ..holding });
    let events = vec![Arrived::at(0), Arrived::at(1)];
    let begun = runs(&told.hears(Input::Fetched(events)));
    let settled = Report { verdicts: vec![(0, Verdict::Settled)], trouble: None };
    let begun = runs(&told.hears(Input::Finished(begun[0].0, settled)));
    assert!(matches!(begun[..], [(_, 5, 1)]), "{begun:?}");
    assert!(told.hears(Input::Revoked(vec![0])).is_empty(), "it may finish");
    told.now.instant += Duration::from_secs(10);
    let commands = told.hears(Input::Woken);
    assert!(commands.iter().any(|command| matches!(command, Command::Abort(_))), "{commands:?}");
    let release = commands.iter().find_map(|command| match command {
        Command::Release(task, release) => Some((task, release)),
        _ => None,
    });
    let (task, release) = release.unwrap_or_else(|| panic!("nothing is let go in {commands:?}"));
    assert!(!commands.iter().any(|command| matches!(command, Command::GiveBack(_))));
    let cut_off = CutOff { partition: 0, token: 5, offset: 1, attempts: Some(1) };
    assert_eq!(*release, Release { cut_off: vec![cut_off], clean: Vec::new() });
    let commands = told.hears(Input::Released(*task));
    let [Command::GiveBack(offsets)] = &commands[..] else { panic!("{commands:?}") };
    assert_eq!(offsets[..], [(0, 1)]);
}
