//! The index of the ops store: the same answers as from all dead letters in memory, in whatever batches they were read.

use std::collections::BTreeMap;

use event_bus::audit::{Action, Deed};
use event_bus::dead_letters::guarded::Guard;
use event_bus::dead_letters::{Failure, Filter, Found, Letter, Scope, State, failures};
use event_bus::kafka::admin::TopicPartition;
use event_bus::replay::{Outcome, OutcomeReport};
use event_bus::store::ops::{Asked, Batch, OpsStore, Stage, TakeInError};
use event_bus_tests::databases::Databases;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use sqlx::types::Uuid;

use crate::both::on_both_databases;

on_both_databases!(
    the_index_answers_as_all_dead_letters_in_memory_do,
    what_was_read_is_read_once_and_two_who_read_do_not_mix,
    a_replay_takes_what_is_open_once_and_in_the_order_of_parked_keys,
    what_can_not_stand_in_a_text_of_postgresql_is_indexed_too,
);

const GROUPS: [&str; 3] =
    ["shop-payment-order-placed", "shop-mail-order-placed", "shop-payment-order-sent"];
const TENANTS: [&str; 4] = ["acme", "bolt", "cogs", "Zebra & Sons"];

pub(super) async fn open(databases: &Databases) -> OpsStore {
    OpsStore::open(&databases.url("ops")).await.expect("the ops store opens")
}

fn second(second: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(second)
}

pub(super) fn letter(number: i64, random: &mut StdRng) -> Letter {
    let group = *GROUPS.choose(random).expect("there are some");
    let topic = if group.ends_with("placed") { "shop.order.placed" } else { "shop.order.sent" };
    let failure = random.random_range(0..4);
    let failed_at = second(random.random_range(0..500));
    let event = if random.random_bool(0.9) { Some(topic.to_owned()) } else { None };
    Letter {
        id: Uuid::from_u128(0x1000 + u128::try_from(number).expect("small")),
        event_id: Uuid::from_u128(0x9000 + u128::try_from(number).expect("small"))
            .try_into()
            .expect("it is not nil"),
        dead_letter_topic: format!("{topic}.dlq").parse().expect("a name"),
        dead_letter_partition: i32::try_from(number % 2).expect("small"),
        dead_letter_offset: number / 2,
        topic: topic.parse().expect("a name"),
        partition: 3,
        offset: number,
        group: group.parse().expect("a name"),
        service: group.split('-').nth(1).expect("it has one").to_owned(),
        reason: ["rejected", "retries-exhausted"][usize::try_from(failure % 2).expect("small")]
            .to_owned(),
        error_type: format!("Error{failure}"),
        message: format!("order {number} is 50 % lost_"),
        fingerprint: format!("{group}/{failure}"),
        attempts: 4,
        first_failed_at: failed_at - SignedDuration::from_secs(5),
        failed_at,
        replays: 0,
        previous: None,
        chain_seq: None,
        tenant: event
            .is_some()
            .then(|| (*TENANTS.choose(random).expect("there are some")).to_owned()),
        event,
        version: None,
        key: Some(format!("Key{number}").into()),
    }
}

fn deed(action: Action, letter: Uuid) -> Deed {
    Deed::about_letters(action, vec![letter], "tests", None)
}

fn told(letter: &Letter, replay: Uuid, outcome: Outcome, at: Timestamp) -> OutcomeReport {
    OutcomeReport {
        replay_id: replay,
        dlq_id: letter.id,
        group: letter.group.clone(),
        service: letter.service.parse().expect("a name"),
        event_id: letter.event_id,
        outcome,
        at,
    }
}

/// What became of a dead letter, with all that tells it.
fn fate(letter: &Letter, random: &mut StdRng) -> (State, Vec<Deed>, Vec<OutcomeReport>) {
    let at = second(random.random_range(100..400));
    let replay = deed(Action::Replay, letter.id);
    let by = |outcome| told(letter, replay.id, outcome, at);
    match random.random_range(0..9) {
        0 => (State::Discarded, vec![deed(Action::Discard, letter.id)], vec![]),
        1 => {
            let deeds = [Action::Discard, Action::Restore].map(|action| deed(action, letter.id));
            (State::Open, deeds.into(), vec![])
        }
        2 => (State::Replaying { replay: replay.id }, vec![replay], vec![]),
        3 => (State::Resolved { at }, vec![replay.clone()], vec![by(Outcome::Processed)]),
        4 => (State::DeadAgain, vec![replay.clone()], vec![by(Outcome::DeadAgain)]),
        5 => (State::Open, vec![replay.clone()], vec![by(Outcome::OutOfTurn)]),
        6 => {
            let told = vec![by(Outcome::OutOfTurn), by(Outcome::Duplicate)];
            (State::Resolved { at }, vec![replay], told)
        }
        _ => (State::Open, vec![], vec![]),
    }
}

/// Cuts what there is into batches of any sizes, and mixes what Kafka does not order.
fn batches(
    mut letters: Vec<Letter>,
    deeds: Vec<Deed>,
    mut outcomes: Vec<OutcomeReport>,
    random: &mut StdRng,
) -> Vec<Batch> {
    letters.shuffle(random);
    outcomes.shuffle(random);
    let mut batches: Vec<Batch> = (0..20).map(|_| Batch::default()).collect();
    let mut places = [letters.len(), deeds.len(), outcomes.len()].map(|count| {
        let mut places: Vec<usize> = (0..count).map(|_| random.random_range(0..20)).collect();
        places.sort_unstable();
        places.into_iter()
    });
    let [of_letters, of_deeds, of_outcomes] = &mut places;
    letters.into_iter().zip(of_letters).for_each(|(one, at)| batches[at].letters.push(one));
    deeds.into_iter().zip(of_deeds).for_each(|(one, at)| batches[at].deeds.push(one));
    outcomes.into_iter().zip(of_outcomes).for_each(|(one, at)| batches[at].outcomes.push(one));
    batches
}

fn filters(some: &Found) -> Vec<Filter> {
    let list = |value: &str| vec![value.to_owned()];
    let one = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    let states = State::NAMES.map(|state| one(&|filter| filter.states = list(state)));
    let mut filters = vec![
        Filter::default(),
        one(&|filter| filter.topics = list("shop.order.sent")),
        one(&|filter| filter.groups = vec![GROUPS[0].to_owned(), GROUPS[2].to_owned()]),
        one(&|filter| filter.services = list("mail")),
        one(&|filter| filter.tenants = list(TENANTS[3])),
        one(&|filter| filter.tenants = list("nobody")),
        one(&|filter| filter.events = list("shop.order.placed")),
        one(&|filter| filter.reasons = list("rejected")),
        one(&|filter| filter.fingerprints = list(&some.letter.fingerprint)),
        one(&|filter| filter.ids = vec![some.letter.id, Uuid::from_u128(1)]),
        one(&|filter| filter.since = Some(second(100))),
        one(&|filter| (filter.since, filter.until) = (Some(second(100)), Some(second(200)))),
        one(&|filter| filter.text = Some("50 % LOST_".to_owned())),
        one(&|filter| filter.text = Some("50 _ lost".to_owned())),
        one(&|filter| filter.scope = Scope::of(&[], &list("acme"))),
        one(&|filter| filter.scope = Scope::of(&list("mail"), &[])),
        one(&|filter| {
            filter.scope = Scope::of(&list("payment"), &["acme", "bolt"].map(str::to_owned));
        }),
        one(&|filter| {
            filter.tenants = list("acme");
            filter.scope = Scope::of(&[], &list("bolt"));
        }),
        one(&|filter| filter.scope = Scope::of(&list("nobody"), &[])),
        one(&|filter| filter.text = Some("key17".to_owned())),
        one(&|filter| filter.text = Some("error2".to_owned())),
        one(&|filter| {
            filter.states = vec!["open".to_owned(), "resolved".to_owned()];
            filter.tenants = list(TENANTS[0]);
            filter.until = Some(second(300));
        }),
    ];
    filters.extend(states);
    filters
}

async fn the_index_answers_as_all_dead_letters_in_memory_do(databases: &Databases) {
    let store = open(databases).await;
    let mut random = StdRng::seed_from_u64(7);
    let (mut expected, mut deeds, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..400 {
        let letter = letter(number, &mut random);
        let (state, decided, told) = fate(&letter, &mut random);
        deeds.extend(decided);
        outcomes.extend(told);
        expected.push(Found { letter, state });
    }
    let letters: Vec<Letter> = expected.iter().map(|found| found.letter.clone()).collect();
    // Some were sent twice, and told of twice.
    let twice = letters.iter().take(20).cloned().chain(letters.clone()).collect();
    let told_twice = outcomes.iter().take(20).cloned().chain(outcomes.clone()).collect();
    for batch in batches(twice, deeds, told_twice, &mut random) {
        store.take_in(&batch).await.expect("it is taken in");
    }
    expected.sort_by_key(|found| std::cmp::Reverse(found.letter.failed_at));
    for filter in filters(&expected[17]) {
        let wanted: Vec<&Found> = expected.iter().filter(|found| filter.matches(found)).collect();
        let shown = everything(&store, &filter).await;
        let times: Vec<Timestamp> = shown.iter().map(|found| found.letter.failed_at).collect();
        assert!(times.is_sorted_by(|first, next| first >= next), "{filter:?}");
        assert_eq!(by_id(shown.iter()), by_id(wanted.iter().copied()), "{filter:?}");
        if let Some(count) = store.count(&filter).await.expect("it answers") {
            assert_eq!(count, wanted.len() as u64, "{filter:?}");
        }
        let told = store.failures(&filter).await.expect("it answers");
        assert!(told.is_sorted_by(|first, next| first.open >= next.open));
        let all = Filter { scope: Scope::default(), ..filter.clone() } == Filter::default();
        let (told, wanted) = (by_fingerprint(told, all), by_fingerprint(failures(wanted), all));
        if filter.states.is_empty() {
            assert_eq!(told, wanted, "{filter:?}");
        } else {
            let counts = |failures: &BTreeMap<String, Failure>| {
                let counts = failures.iter();
                counts.map(|(name, one)| (name.clone(), one.letters, one.open)).collect::<Vec<_>>()
            };
            assert_eq!(counts(&told), counts(&wanted), "{filter:?}");
        }
    }
    store.close().await;
}

/// All pages, of a few each.
async fn everything(store: &OpsStore, filter: &Filter) -> Vec<Found> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.letters(filter, after, 7).await.expect("it answers");
        assert!(page.letters.len() <= 7);
        all.extend(page.letters);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

fn by_id<'a>(found: impl Iterator<Item = &'a Found>) -> BTreeMap<Uuid, Found> {
    found.map(|found| (found.letter.id, found.clone())).collect()
}

fn by_fingerprint(failures: Vec<Failure>, all: bool) -> BTreeMap<String, Failure> {
    let mut failures: BTreeMap<_, _> =
        failures.into_iter().map(|failure| (failure.fingerprint.clone(), failure)).collect();
    for failure in failures.values_mut() {
        // Any of those that failed in the same second is the latest.
        failure.message = String::new();
        // The index tells of a failure whether it came back, whichever of its dead letters are asked for.
        failure.is_regressed &= all;
    }
    failures
}

async fn what_was_read_is_read_once_and_two_who_read_do_not_mix(databases: &Databases) {
    let (store, other) = (open(databases).await, open(databases).await);
    let mut random = StdRng::seed_from_u64(1);
    let at =
        TopicPartition { topic: "shop.order.placed.dlq".parse().expect("a name"), partition: 0 };
    let batch = |from: Option<i64>, to: i64, letter: Letter| Batch {
        letters: vec![letter],
        read: [(at.clone(), (from, to))].into(),
        ..Batch::default()
    };
    let first = batch(None, 5, letter(1, &mut random));
    store.take_in(&first).await.expect("it is taken in");
    let overtaken = other.take_in(&first).await.expect_err("it was read");
    assert!(matches!(overtaken, TakeInError::Overtaken { .. }), "{overtaken}");
    assert_eq!(other.positions().await.expect("it answers"), [(at.clone(), 5)].into());
    other.take_in(&batch(Some(5), 9, letter(2, &mut random))).await.expect("it goes on from there");
    assert_eq!(store.positions().await.expect("it answers"), [(at.clone(), 9)].into());
    let all = Filter::default();
    assert_eq!(store.count(&all).await.expect("it answers"), Some(2));
    store.forget_index().await.expect("it is forgotten");
    assert_eq!(store.count(&all).await.expect("it answers"), Some(0));
    assert!(store.positions().await.expect("it answers").is_empty());
    // Who did not notice must not go on behind a hole.
    let overtaken = other.take_in(&batch(Some(9), 12, letter(3, &mut random))).await;
    assert!(matches!(overtaken, Err(TakeInError::Overtaken { .. })), "{overtaken:?}");
    assert!(store.positions().await.expect("it answers").is_empty());
    store.close().await;
    other.close().await;
}

async fn a_replay_takes_what_is_open_once_and_in_the_order_of_parked_keys(databases: &Databases) {
    let store = std::sync::Arc::new(open(databases).await);
    let mut random = StdRng::seed_from_u64(3);
    let mut letters: Vec<Letter> = (0..10).map(|number| letter(number, &mut random)).collect();
    for (number, letter) in (0..).zip(&mut letters) {
        letter.dead_letter_topic = "shop.order.placed.dlq".parse().expect("a name");
        (letter.dead_letter_partition, letter.dead_letter_offset) = (0, number);
        letter.topic = "shop.order.placed".parse().expect("a name");
        letter.group = GROUPS[0].parse().expect("a name");
    }
    // The first of a parked key died again behind those that wait for it.
    for (at, seq) in [(2, 2), (4, 3), (7, 1)] {
        letters[at].key = Some("parked".into());
        letters[at].chain_seq = Some(seq);
    }
    // Nobody consumes this one.
    letters[9].group = GROUPS[1].parse().expect("a name");
    let deeds = vec![deed(Action::Discard, letters[0].id)];
    let batch = Batch { letters: letters.clone(), deeds, ..Batch::default() };
    store.take_in(&batch).await.expect("it is taken in");
    let asked = |id: u128| Asked {
        id: Uuid::from_u128(id),
        filter: Filter::default(),
        consumed: vec![(letters[0].topic.clone(), GROUPS[0].parse().expect("a name"))],
        guard: Guard::default(),
        by: "tests".to_owned(),
        reason: None,
    };
    let asks = (1..=20).map(|id| {
        let (store, asked) = (std::sync::Arc::clone(&store), asked(id));
        tokio::spawn(async move { store.ask_for_replay(&asked).await.expect("it is frozen") })
    });
    let taken = futures_util::future::join_all(asks).await;
    let taken: Vec<u64> = taken.into_iter().map(|taken| taken.expect("no panic")).collect();
    assert_eq!(taken.iter().sum::<u64>(), 8, "{taken:?}");
    let winner = 1 + taken.iter().position(|taken| *taken == 8).expect("one has all") as u128;
    assert_eq!(store.ask_for_replay(&asked(winner)).await.expect("it is known"), 8);
    let id = Uuid::from_u128(winner);
    let order = async |behind: &BTreeMap<TopicPartition, i64>, most| {
        let sent = store.to_send(id, behind, most).await.expect("it answers");
        sent.into_iter().map(|one| one.dead_letter_offset).collect::<Vec<_>>()
    };
    let lane = TopicPartition { topic: letters[0].dead_letter_topic.clone(), partition: 0 };
    assert_eq!(order(&BTreeMap::new(), 100).await, [1, 3, 5, 6, 7, 2, 4, 8]);
    let behind = |place| BTreeMap::from([(lane.clone(), place)]);
    assert_eq!(order(&behind(3), 2).await, [6, 7], "while those before are being sent");
    assert!(order(&behind(8), 100).await.is_empty());
    let state = store.letters(&Filter::default(), None, 100).await.expect("it answers").letters;
    let replaying = state.iter().filter(|found| found.state == State::Replaying { replay: id });
    assert_eq!(replaying.count(), 8);
    // Only one process has it.
    let (mine, others) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let long = std::time::Duration::from_secs(60);
    assert!(store.hold_replay(id, mine, long).await.expect("it answers"));
    assert!(!store.hold_replay(id, others, long).await.expect("it answers"));
    let moved = store.note_sent(id, others, &event_bus::store::ops::Moved::default()).await;
    assert!(!moved.expect("it answers"));
    // And what it did not send when it was cancelled is told.
    let mut moved = event_bus::store::ops::Moved::default();
    moved.sent.insert(lane.clone(), 5);
    assert!(store.note_sent(id, mine, &moved).await.expect("it answers"));
    assert!(
        store.move_replay(id, Stage::Running, Stage::Cancelling, None).await.expect("it answers")
    );
    assert_eq!(store.letters_of_replay(id, true).await.expect("it answers").len(), 3);
    assert_eq!(
        store
            .replay(&Scope::default(), id)
            .await
            .expect("it answers")
            .expect("it is there")
            .progress
            .sent,
        5
    );
    store.close().await;
}

async fn what_can_not_stand_in_a_text_of_postgresql_is_indexed_too(databases: &Databases) {
    let store = open(databases).await;
    let mut letter = letter(1, &mut StdRng::seed_from_u64(1));
    letter.message = "a\0b".to_owned();
    letter.key = Some(bytes::Bytes::from_static(b"\0\xff"));
    letter.tenant = Some("t\0".to_owned());
    let batch = Batch { letters: vec![letter], ..Batch::default() };
    store.take_in(&batch).await.expect("it is taken in");
    let shown = store.letters(&Filter::default(), None, 1).await.expect("it answers").letters;
    assert_eq!(shown[0].letter.message, "a\u{fffd}b");
    assert_eq!(shown[0].letter.tenant.as_deref(), Some("t\u{fffd}"));
    store.close().await;
}
