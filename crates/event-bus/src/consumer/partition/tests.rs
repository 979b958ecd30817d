//! A partition of one event, tried again and again.

use jiff::Timestamp;

use super::*;
use crate::catalogue::Execution;
use crate::consumer::lane::LaneKey;

/// An event at offset 0, dead if there is a cause.
#[derive(Clone, Debug)]
struct One(Option<Cause>);

impl Arrival for One {
    fn partition(&self) -> i32 {
        0
    }

    fn offset(&self) -> i64 {
        0
    }

    fn key(&self) -> &LaneKey {
        &None
    }

    fn seed(&self) -> u64 {
        7
    }

    fn doom(&self) -> Option<&Cause> {
        self.0.as_ref()
    }

    fn is_replay(&self) -> bool {
        false
    }
}

fn holding(doom: Option<Cause>) -> Partition<One> {
    let settings = Settings::new(
        Execution::Batched,
        Arc::new([Duration::from_secs(1)]),
        BehindDeadLetter::Continue,
    );
    let mut partition =
        Partition::new(Arc::new(settings), Offer { partition: 0, start: Some(0), log_end: None });
    partition.receive(One(doom), at(Instant::now()));
    partition
}

fn at(instant: Instant) -> Moment {
    Moment { instant, time: Timestamp::UNIX_EPOCH }
}

fn attempt_after(partition: &mut Partition<One>, trouble: Trouble, times: u32) -> u32 {
    let mut now = Instant::now();
    for _ in 0..times {
        assert_eq!(partition.take(1, at(now)).len(), 1);
        partition.apply(vec![(0, Verdict::Disturbed(trouble))], at(now));
        now += Duration::from_secs(10);
    }
    partition.take(1, at(now))[0].attempt
}

#[test]
fn an_outage_is_no_attempt_however_often_an_event_meets_it() {
    assert_eq!(attempt_after(&mut holding(None), Trouble::Down, 50), 1);
}

#[test]
fn the_tenth_contention_of_an_event_alone_is_an_attempt() {
    assert_eq!(attempt_after(&mut holding(None), Trouble::Contention, 9), 1);
    assert_eq!(attempt_after(&mut holding(None), Trouble::Contention, 10), 2);
}

#[test]
fn a_dead_letter_that_could_not_be_written_keeps_its_cause_and_waits() {
    let cause = Cause::new(Reason::Malformed, "NotJson", "no JSON");
    let mut partition = holding(Some(cause.clone()));
    let now = Instant::now();
    for _ in 0..3 {
        assert_eq!(partition.take(1, at(now + BURIAL_WAIT)).len(), 1);
        let other = Cause::new(Reason::RetriesExhausted, "Database", "refused");
        partition.apply(vec![(0, Verdict::Failed(other))], at(now));
        assert!(partition.take(1, at(now)).is_empty());
        assert_eq!(partition.next_wake(), Some(now + BURIAL_WAIT));
    }
    let job = partition.take(1, at(now + BURIAL_WAIT)).remove(0);
    assert_eq!(job.death.map(|death| death.cause), Some(cause));
}

fn holding_dirty() -> Partition<One> {
    let mut partition = holding(None);
    let dirty = Holding { token: 1, is_dirty: true, ..Holding::default() };
    partition.take_over(dirty, at(Instant::now()));
    partition
}

#[test]
fn an_attempt_that_was_noted_and_disturbed_is_open_until_the_event_settles() {
    let (mut partition, now) = (holding_dirty(), at(Instant::now()));
    assert_eq!(partition.take(1, now)[0].to_note, Some(2));
    partition.apply(vec![(0, Verdict::Disturbed(Trouble::Down))], now);
    assert_eq!(partition.cut_off().collect::<Vec<_>>(), [(0, None)]);
    assert_eq!(partition.take(1, now)[0].to_note, Some(2));
    partition.apply(vec![(0, Verdict::Settled)], now);
    assert_eq!(partition.cut_off().count(), 0);
}

#[test]
fn an_attempt_that_failed_was_not_cut_off_and_the_next_one_may_be() {
    let (mut partition, now) = (holding_dirty(), at(Instant::now()));
    partition.take(1, now);
    let cause = Cause::new(Reason::RetriesExhausted, "HandlerError", "no");
    partition.apply(vec![(0, Verdict::Failed(cause))], now);
    assert_eq!(partition.cut_off().count(), 0);
    let later = at(now.instant + Duration::from_secs(10));
    assert_eq!(partition.take(1, later)[0].to_note, Some(2));
    assert_eq!(partition.cut_off().collect::<Vec<_>>(), [(0, Some(1))]);
}
