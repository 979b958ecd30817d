//! What takes two, as the ops store has it; and how many notes there are about a failure.

use std::time::Duration;

use event_bus::dead_letters::guarded::Guard;
use event_bus::dead_letters::{Filter, Scope};
use event_bus::store::ops::{
    Asked, Batch, Frozen, Note, OpsStore, REQUEST_LASTS, RequestStage, RequestedAction,
};
use event_bus_tests::databases::Databases;
use jiff::Timestamp;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::types::Uuid;

use super::ops::{letter, open};
use crate::both::on_both_databases;

on_both_databases!(
    what_was_begun_and_not_ended_can_be_approved_again_and_is_noted_as_done_however_late,
    lists_that_nobody_needs_go,
    of_the_notes_about_a_failure_the_latest_is_told_and_how_many_there_are,
);

const ALL: Scope = Scope { services: None, tenants: None };

fn asked(id: u128) -> Asked {
    Asked {
        id: Uuid::from_u128(id),
        filter: Filter::default(),
        consumed: Vec::new(),
        guard: Guard::default(),
        by: "ann".to_owned(),
        reason: None,
    }
}

/// A store with three dead letters.
async fn with_letters(databases: &Databases) -> OpsStore {
    let store = open(databases).await;
    let mut random = StdRng::seed_from_u64(7);
    let letters = (0..3).map(|number| letter(number, &mut random)).collect();
    store.take_in(&Batch { letters, ..Batch::default() }).await.expect("it is taken in");
    store
}

async fn list(store: &OpsStore, id: u128, now: Timestamp) -> Option<Frozen> {
    let frozen = store.freeze_request(RequestedAction::Discard, &asked(id), now).await;
    frozen.expect("the store answers")
}

async fn stage(store: &OpsStore, id: u128, now: Timestamp) -> Option<RequestStage> {
    let row = store.request(&ALL, Uuid::from_u128(id), now).await.expect("the store answers");
    row.map(|row| row.stage)
}

async fn listed(store: &OpsStore, id: u128) -> usize {
    let filter = Filter { request: Some(Uuid::from_u128(id)), ..Filter::default() };
    store.letters(&filter, None, 10).await.expect("the store answers").letters.len()
}

async fn what_was_begun_and_not_ended_can_be_approved_again_and_is_noted_as_done_however_late(
    databases: &Databases,
) {
    let store = with_letters(databases).await;
    let (now, id) = (Timestamp::now(), Uuid::from_u128(1));
    let late = now + REQUEST_LASTS;
    let begin = async |by, at| store.begin_request(id, by, at).await.expect("the store answers");
    assert_eq!(list(&store, 1, now).await, Some(Frozen::Listed(3)));
    assert!(!begin("bob", now).await, "nobody was asked");
    store.ask_second(id).await.expect("the store answers");
    assert_eq!(list(&store, 1, now).await, Some(Frozen::Asked(3)));
    assert!(!begin("ann", now).await, "who asked does not approve it");
    assert!(!begin("bob", late).await, "it is too old");
    // A process that ends here did not come to the end.
    assert!(begin("bob", now).await);
    assert_eq!(stage(&store, 1, now).await, Some(RequestStage::Waiting));
    let denied = store.decide_request(id, RequestStage::Denied, "bob", None, now).await;
    assert!(!denied.expect("the store answers"), "it is being done");
    assert!(begin("cat", now).await);
    // What could not be done waits again, also where its time is over meanwhile.
    store.end_request(id, false, "cat", None, late).await.expect("the store answers");
    assert_eq!(stage(&store, 1, now).await, Some(RequestStage::Waiting));
    assert_eq!(stage(&store, 1, late).await, Some(RequestStage::Expired));
    assert!(begin("bob", now).await);
    store.end_request(id, true, "bob", Some("fine"), late).await.expect("the store answers");
    assert_eq!(stage(&store, 1, late).await, Some(RequestStage::Approved));
    assert!(!begin("cat", now).await, "it is done");
    let other = Asked { by: "eve".to_owned(), ..asked(1) };
    let of_another = store.freeze_request(RequestedAction::Discard, &other, now).await;
    assert_eq!(of_another.expect("the store answers"), None);
    store.close().await;
}

async fn lists_that_nobody_needs_go(databases: &Databases) {
    let store = with_letters(databases).await;
    let now = Timestamp::now();
    for id in [1, 2, 3] {
        assert_eq!(list(&store, id, now).await, Some(Frozen::Listed(3)));
    }
    store.ask_second(Uuid::from_u128(1)).await.expect("the store answers");
    store.forget_list(Uuid::from_u128(1)).await.expect("the store answers");
    store.forget_list(Uuid::from_u128(2)).await.expect("the store answers");
    let lists =
        async || [listed(&store, 1).await, listed(&store, 2).await, listed(&store, 3).await];
    assert_eq!(lists().await, [3, 0, 3]);
    // The next that somebody asks for takes along what is over.
    list(&store, 4, now + REQUEST_LASTS).await;
    assert_eq!(lists().await, [0, 0, 0]);
    assert_eq!(stage(&store, 1, now + REQUEST_LASTS).await, Some(RequestStage::Expired));
    list(&store, 5, now + Duration::from_secs(91 * 24 * 60 * 60)).await;
    assert_eq!(stage(&store, 1, now).await, None);
    store.close().await;
}

async fn of_the_notes_about_a_failure_the_latest_is_told_and_how_many_there_are(
    databases: &Databases,
) {
    let store = open(databases).await;
    for nth in 1..=5_u32 {
        let note = Note {
            id: Uuid::from_u128(nth.into()),
            fingerprint: if nth == 5 { "b" } else { "a" }.to_owned(),
            author: "ann".to_owned(),
            text: format!("note {nth}"),
            at: Timestamp::now() + Duration::from_secs(60) * nth,
        };
        store.write_note(&note).await.expect("the store answers");
    }
    let latest = store.latest_notes(&["a", "b", "c"]).await.expect("the store answers");
    let told: Vec<_> = latest.iter().map(|(of, (notes, text))| (&**of, *notes, &**text)).collect();
    assert_eq!(told, [("a", 4, "note 4"), ("b", 1, "note 5")]);
    store.close().await;
}
