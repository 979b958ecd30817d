use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use proptest::prelude::*;

use crate::partition::Outcome;
use crate::transactions::{End, Identity, Init, Phase, Protocol, Transaction};

const NOW_MS: i64 = 1_700_000_000_000;
const TIMEOUT_MS: i32 = 60_000;
const FRESH: i64 = 99;

fn ready(init: Init) -> Transaction {
    match init {
        Init::Ready(transaction) => transaction,
        Init::AbortFirst(transaction) => panic!("aborts first: {transaction:?}"),
    }
}

fn prepared(end: End) -> Transaction {
    match end {
        End::Prepare(transaction) => transaction,
        End::Repeated(identity) => panic!("taken for a repetition: {identity:?}"),
    }
}

fn initialised() -> Transaction {
    let new = Transaction::new(5, TIMEOUT_MS, NOW_MS);
    ready(new.init(None, TIMEOUT_MS, -1, NOW_MS).unwrap())
}

fn with_epoch(epoch: i16) -> Transaction {
    Transaction { epoch, ..initialised() }
}

fn partitions() -> BTreeMap<String, BTreeSet<i32>> {
    BTreeMap::from([("orders".to_owned(), BTreeSet::from([0, 1]))])
}

fn ongoing_of(transaction: &Transaction, protocol: Protocol) -> Transaction {
    let producer = transaction.identity();
    transaction.add(producer, &partitions(), &BTreeSet::new(), protocol, NOW_MS).unwrap().unwrap()
}

fn ongoing() -> Transaction {
    ongoing_of(&initialised(), Protocol::Classic)
}

fn end(
    transaction: &Transaction,
    producer: Identity,
    outcome: Outcome,
    protocol: Protocol,
) -> Result<End, ResponseError> {
    transaction.end(producer, outcome, protocol, FRESH, NOW_MS)
}

#[test]
fn the_first_epoch_is_zero_and_each_initialisation_fences_the_last() {
    let first = initialised();
    assert_eq!((first.producer_id, first.epoch, first.phase), (5, 0, Phase::Empty));
    let second = ready(first.init(None, TIMEOUT_MS, -1, NOW_MS).unwrap());
    assert_eq!((second.producer_id, second.epoch), (5, 1));
    let fenced =
        second.add(first.identity(), &partitions(), &BTreeSet::new(), Protocol::Classic, NOW_MS);
    assert_eq!(fenced, Err(ResponseError::ProducerFenced));
}

#[test]
fn a_producer_that_goes_on_gets_the_next_epoch_and_the_same_again_when_it_repeats() {
    let first = initialised();
    let second = ready(first.init(Some(first.identity()), TIMEOUT_MS, -1, NOW_MS).unwrap());
    assert_eq!(second.epoch, 1);
    let again = ready(second.init(Some(first.identity()), TIMEOUT_MS, -1, NOW_MS).unwrap());
    assert_eq!(again.identity(), second.identity());
    let other = ready(second.init(None, TIMEOUT_MS, -1, NOW_MS).unwrap());
    let late = other.init(Some(second.identity()), TIMEOUT_MS, -1, NOW_MS);
    assert_eq!(late, Err(ResponseError::ProducerFenced));
}

#[test]
fn exhausted_epochs_bring_a_fresh_producer_id() {
    let last = with_epoch(i16::MAX - 1);
    let fresh = ready(last.init(None, TIMEOUT_MS, FRESH, NOW_MS).unwrap());
    assert_eq!((fresh.producer_id, fresh.epoch, fresh.previous_producer_id), (FRESH, 0, -1));
    let fresh = ready(last.init(Some(last.identity()), TIMEOUT_MS, FRESH, NOW_MS).unwrap());
    assert_eq!((fresh.producer_id, fresh.epoch, fresh.previous_producer_id), (FRESH, 0, 5));
    let again = ready(fresh.init(Some(last.identity()), TIMEOUT_MS, -1, NOW_MS).unwrap());
    assert_eq!(again.identity(), fresh.identity());
}

#[test]
fn an_initialisation_aborts_what_is_open_and_waits_for_what_is_decided() {
    let open = ongoing();
    let Ok(Init::AbortFirst(aborting)) = open.init(None, TIMEOUT_MS, -1, NOW_MS) else {
        panic!("an open transaction has to be aborted first");
    };
    assert_eq!((aborting.phase, aborting.epoch), (Phase::PrepareAbort, 1));
    assert_eq!(aborting.partitions, partitions(), "they have to be told");
    let early = aborting.init(None, TIMEOUT_MS, -1, NOW_MS);
    assert_eq!(early, Err(ResponseError::ConcurrentTransactions));
    let next = ready(aborting.completed(NOW_MS).init(None, TIMEOUT_MS, -1, NOW_MS).unwrap());
    assert_eq!((next.phase, next.epoch), (Phase::Empty, 2));
}

#[test]
fn a_classic_transaction_keeps_its_epoch() {
    let open = ongoing();
    let producer = open.identity();
    let commit = prepared(end(&open, producer, Outcome::Commit, Protocol::Classic).unwrap());
    assert_eq!((commit.phase, commit.epoch), (Phase::PrepareCommit, 0));
    let impatient = end(&commit, producer, Outcome::Commit, Protocol::Classic);
    assert_eq!(impatient, Err(ResponseError::ConcurrentTransactions));
    let contrary = end(&commit, producer, Outcome::Abort, Protocol::Classic);
    assert_eq!(contrary, Err(ResponseError::InvalidTxnState));
    let complete = commit.completed(NOW_MS);
    assert_eq!((complete.phase, complete.partitions.len()), (Phase::CompleteCommit, 0));
    let again = end(&complete, producer, Outcome::Commit, Protocol::Classic);
    assert_eq!(again, Ok(End::Repeated(producer)));
    let contrary = end(&complete, producer, Outcome::Abort, Protocol::Classic);
    assert_eq!(contrary, Err(ResponseError::InvalidTxnState));
    let nothing = end(&initialised(), producer, Outcome::Commit, Protocol::Classic);
    assert_eq!(nothing, Err(ResponseError::InvalidTxnState));
}

#[test]
fn an_epoch_per_transaction_tells_a_repetition_from_the_next_end() {
    let protocol = Protocol::EpochPerTransaction;
    let open = ongoing_of(&initialised(), protocol);
    let producer = open.identity();
    let commit = prepared(end(&open, producer, Outcome::Commit, protocol).unwrap());
    assert_eq!((commit.epoch, commit.last_epoch), (1, 0));
    assert_eq!(
        end(&commit, producer, Outcome::Commit, protocol),
        Err(ResponseError::ConcurrentTransactions)
    );
    let complete = commit.completed(NOW_MS);
    assert_eq!(
        end(&complete, producer, Outcome::Commit, protocol),
        Ok(End::Repeated(complete.identity()))
    );
    assert_eq!(
        end(&complete, complete.identity(), Outcome::Commit, protocol),
        Err(ResponseError::InvalidTxnState),
        "the next transaction has nothing to commit"
    );
    let abort = prepared(end(&complete, complete.identity(), Outcome::Abort, protocol).unwrap());
    assert_eq!((abort.phase, abort.epoch), (Phase::PrepareAbort, 2), "and may be aborted");
}

#[test]
fn a_transaction_that_uses_up_the_epochs_goes_on_under_a_fresh_producer_id() {
    let protocol = Protocol::EpochPerTransaction;
    let open = ongoing_of(&with_epoch(i16::MAX - 1), protocol);
    let producer = open.identity();
    let commit = prepared(end(&open, producer, Outcome::Commit, protocol).unwrap());
    assert_eq!((commit.producer_id, commit.epoch), (5, i16::MAX), "the markers' identity");
    let next = Identity { producer_id: FRESH, epoch: 0 };
    assert_eq!(commit.identity_after(), next);
    let complete = commit.completed(NOW_MS);
    assert_eq!(complete.identity(), next);
    assert_eq!(end(&complete, producer, Outcome::Commit, protocol), Ok(End::Repeated(next)));
}

#[test]
fn adding_what_is_part_already_changes_nothing() {
    let open = ongoing();
    let again =
        open.add(open.identity(), &partitions(), &BTreeSet::new(), Protocol::Classic, NOW_MS + 1);
    assert_eq!(again, Ok(None));
    let groups = BTreeSet::from(["group".to_owned()]);
    let more = open.add(open.identity(), &BTreeMap::new(), &groups, Protocol::Classic, NOW_MS + 1);
    let more = more.unwrap().unwrap();
    assert_eq!((more.started_ms, more.partitions.clone()), (NOW_MS, partitions()));
    assert_eq!(more.verify_group(more.identity(), "group"), Ok(()));
}

#[test]
fn only_what_was_added_may_be_written() {
    let open = ongoing();
    let producer = open.identity();
    assert_eq!(open.verify(producer, "orders", 1), Ok(()));
    assert_eq!(open.verify(producer, "orders", 2), Err(ResponseError::TransactionAbortable));
    assert_eq!(open.verify_group(producer, "group"), Err(ResponseError::TransactionAbortable));
    let stranger = Identity { producer_id: 6, ..producer };
    assert_eq!(open.verify(stranger, "orders", 1), Err(ResponseError::InvalidProducerIdMapping));
}

#[test]
fn an_open_transaction_times_out_and_its_producer_is_fenced() {
    let open = ongoing();
    let limit_ms = NOW_MS + i64::from(TIMEOUT_MS);
    assert!(!open.is_timed_out(limit_ms));
    assert!(open.is_timed_out(limit_ms + 1));
    let fenced = open.fence(limit_ms + 1);
    assert_eq!((fenced.phase, fenced.epoch), (Phase::PrepareAbort, 1));
    assert_eq!(
        end(&fenced.completed(limit_ms + 1), open.identity(), Outcome::Commit, Protocol::Classic),
        Err(ResponseError::ProducerFenced)
    );
    assert!(!fenced.is_timed_out(i64::MAX), "what is decided is never aborted");
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Init { goes_on: bool },
    Add,
    End(Outcome),
    Complete,
    TimeOut,
}

fn asks() -> impl Strategy<Value = Vec<(Ask, Protocol, i16)>> {
    let ask = prop_oneof![
        any::<bool>().prop_map(|goes_on| Ask::Init { goes_on }),
        Just(Ask::Add),
        Just(Ask::End(Outcome::Commit)),
        Just(Ask::End(Outcome::Abort)),
        Just(Ask::Complete),
        Just(Ask::TimeOut),
    ];
    let protocol = prop_oneof![Just(Protocol::Classic), Just(Protocol::EpochPerTransaction)];
    // Mostly the current producer, sometimes one that is an epoch or two behind.
    let behind = prop_oneof![4 => Just(0_i16), 1 => 1..3_i16];
    proptest::collection::vec((ask, protocol, behind), 1..80)
}

proptest! {
    #[test]
    fn what_is_decided_stays_decided_and_identities_only_grow(
        asks in asks(),
        first_epoch in prop_oneof![Just(0_i16), Just(i16::MAX - 4)],
    ) {
        let mut current = with_epoch(first_epoch);
        let mut next_id = 100;
        for (ask, protocol, behind) in asks {
            let producer = Identity { epoch: current.epoch - behind, ..current.identity() };
            let next = match ask {
                Ask::Init { goes_on } => {
                    match current.init(goes_on.then_some(producer), TIMEOUT_MS, next_id, NOW_MS) {
                        Ok(Init::Ready(next) | Init::AbortFirst(next)) => Some(next),
                        Err(_) => None,
                    }
                }
                Ask::Add => current
                    .add(producer, &partitions(), &BTreeSet::new(), protocol, NOW_MS)
                    .unwrap_or_default(),
                Ask::End(outcome) => match current.end(producer, outcome, protocol, next_id, NOW_MS) {
                    Ok(End::Prepare(next)) => Some(next),
                    Ok(End::Repeated(_)) | Err(_) => None,
                },
                Ask::Complete => {
                    current.phase.prepared().is_some().then(|| current.completed(NOW_MS))
                }
                Ask::TimeOut => {
                    current.is_timed_out(i64::MAX).then(|| current.fence(NOW_MS))
                }
            };
            let Some(next) = next else { continue };
            next_id += 1;
            if let Some(decided) = current.phase.prepared() {
                let complete = match decided {
                    Outcome::Commit => Phase::CompleteCommit,
                    Outcome::Abort => Phase::CompleteAbort,
                };
                prop_assert_eq!(next.phase, complete);
            }
            let (before, after) = (current.identity(), next.identity());
            prop_assert!(
                (after.producer_id, after.epoch) >= (before.producer_id, before.epoch),
                "{:?} after {:?}", after, before
            );
            prop_assert!(next.epoch >= 0);
            let is_open = next.phase == Phase::Ongoing || next.phase.prepared().is_some();
            prop_assert!(is_open || next.partitions.is_empty());
            current = next;
        }
    }
}
