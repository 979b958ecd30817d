//! Owners of partitions: a takeover fences whoever was there before, and knows what he left.

use std::time::Duration;

use event_bus::names::{GroupName, TopicName};
use event_bus::store::{Begun, Claimant, Holding, Store, Tx};
use event_bus_tests::databases::Databases;

use super::{assert_waits, effects, open, topic};
use crate::both::on_both_databases;

on_both_databases!(
    each_takeover_has_a_greater_token_and_fences_the_last_owner,
    a_partition_is_dirty_from_its_takeover_to_its_release,
    a_fenced_owner_releases_and_notes_nothing,
    a_takeover_waits_for_the_last_owners_transaction,
    noted_attempts_are_there_for_the_next_owner_until_they_are_forgotten,
    an_attempt_that_was_cut_off_is_taken_back_by_its_owner_only,
    a_parked_key_numbers_what_follows_and_a_roll_back_takes_it_back,
    partitions_are_owned_for_themselves,
);

/// How long a transaction may stand still: longer than any test takes.
const LIMIT: Duration = Duration::from_secs(600);

struct Owned(GroupName, TopicName, i32);

impl Owned {
    fn partition(number: i32) -> Self {
        Self("billing".parse().expect("it is a group"), topic("shop.order.placed"), number)
    }

    fn claimant(&self) -> Claimant<'_> {
        Claimant::of(&self.0, &self.1, self.2)
    }

    async fn take_over(&self, store: &Store) -> Holding {
        store.take_over(&self.claimant(), None).await.expect("it is taken over")
    }

    async fn begin(&self, store: &Store, token: i64) -> Option<Tx> {
        match store.begin_owned(&self.claimant(), token, LIMIT).await.expect("it is answered") {
            Begun::Owned(tx) => Some(tx),
            Begun::Fenced => None,
        }
    }

    async fn note(&self, store: &Store, token: i64, offset: i64, attempts: u32) {
        let noted = store.note_attempt(&self.claimant(), token, offset, attempts).await;
        noted.expect("the attempt is noted");
    }

    async fn take_back(&self, store: &Store, token: i64, offset: i64, attempts: Option<u32>) {
        let taken = store.take_attempt_back(&self.claimant(), token, offset, attempts).await;
        taken.expect("the attempt is taken back");
    }

    async fn release(&self, store: &Store, token: i64) {
        store.release(&self.claimant(), token).await.expect("it is released");
    }
}

async fn each_takeover_has_a_greater_token_and_fences_the_last_owner(databases: &Databases) {
    let (store, owned) = (open(databases).await, Owned::partition(0));
    let first = owned.take_over(&store).await.token;
    owned.begin(&store, first).await.expect("it owns").commit().await.expect("it commits");
    let second = owned.take_over(&store).await.token;
    assert!(second > first);
    assert!(owned.begin(&store, first).await.is_none());
    assert!(owned.begin(&store, second).await.is_some());
}

async fn a_partition_is_dirty_from_its_takeover_to_its_release(databases: &Databases) {
    let (store, owned) = (open(databases).await, Owned::partition(0));
    let first = owned.take_over(&store).await;
    assert!(!first.is_dirty);
    let second = owned.take_over(&store).await;
    assert!(second.is_dirty);
    owned.release(&store, second.token).await;
    assert!(!owned.take_over(&store).await.is_dirty);
}

async fn a_fenced_owner_releases_and_notes_nothing(databases: &Databases) {
    let (store, owned) = (open(databases).await, Owned::partition(0));
    let first = owned.take_over(&store).await.token;
    owned.take_over(&store).await;
    owned.release(&store, first).await;
    owned.note(&store, first, 5, 2).await;
    let third = owned.take_over(&store).await;
    assert!(third.is_dirty && third.attempts.is_empty());
}

async fn a_takeover_waits_for_the_last_owners_transaction(databases: &Databases) {
    let (store, second) = (open(databases).await, open(databases).await);
    let owned = Owned::partition(0);
    let token = owned.take_over(&store).await.token;
    let mut tx = owned.begin(&store, token).await.expect("it owns");
    tx.execute("INSERT INTO effects (name) VALUES ($1)", &["bill".into()])
        .await
        .expect("the effect is written");
    let mut takeover =
        tokio::spawn(async move { Owned::partition(0).take_over(&second).await.token });
    assert_waits(databases, &mut takeover, 1).await;
    tx.commit().await.expect("what began before the takeover commits before it");
    assert!(takeover.await.expect("it ends") > token);
    assert_eq!(effects(databases).await, 1);
    assert!(owned.begin(&store, token).await.is_none());
}

async fn noted_attempts_are_there_for_the_next_owner_until_they_are_forgotten(
    databases: &Databases,
) {
    let (store, owned) = (open(databases).await, Owned::partition(0));
    let token = owned.take_over(&store).await.token;
    for (offset, attempts) in [(3, 2), (7, 2), (7, 3), (9, 2)] {
        owned.note(&store, token, offset, attempts).await;
    }
    let mut tx = owned.begin(&store, token).await.expect("it owns");
    tx.forget_attempts(&owned.claimant(), 9).await.expect("they are forgotten");
    tx.commit().await.expect("it commits");
    let next = store.take_over(&owned.claimant(), Some(5)).await.expect("it is taken over");
    assert_eq!(next.attempts, [(7, 3)].into());
}

async fn an_attempt_that_was_cut_off_is_taken_back_by_its_owner_only(databases: &Databases) {
    let (store, owned) = (open(databases).await, Owned::partition(0));
    let token = owned.take_over(&store).await.token;
    for (offset, attempts) in [(3, 2), (5, 3), (7, 2)] {
        owned.note(&store, token, offset, attempts).await;
    }
    owned.take_back(&store, token, 3, None).await;
    owned.take_back(&store, token, 5, Some(2)).await;
    // It was cut off before its attempt was noted.
    owned.take_back(&store, token, 9, None).await;
    assert_eq!(owned.take_over(&store).await.attempts, [(5, 2), (7, 2)].into());
    for attempts in [None, Some(1)] {
        owned.take_back(&store, token, 7, attempts).await;
    }
    assert_eq!(owned.take_over(&store).await.attempts, [(5, 2), (7, 2)].into());
}

async fn a_parked_key_numbers_what_follows_and_a_roll_back_takes_it_back(databases: &Databases) {
    let (store, owned) = (open(databases).await, Owned::partition(0));
    let token = owned.take_over(&store).await.token;
    let claimant = owned.claimant();
    let mut tx = owned.begin(&store, token).await.expect("it owns");
    assert!(!tx.is_parked(&claimant, Some(b"a")).await.expect("it is answered"));
    for expected in [1, 2] {
        assert_eq!(tx.park(&claimant, Some(b"a")).await.expect("it is parked"), expected);
    }
    assert_eq!(tx.park(&claimant, None).await.expect("it is parked"), 1);
    tx.commit().await.expect("it commits");
    let mut tx = owned.begin(&store, token).await.expect("it owns");
    assert_eq!(tx.park(&claimant, Some(b"a")).await.expect("it is parked"), 3);
    tx.park(&claimant, Some(b"")).await.expect("it is parked");
    tx.rollback().await.expect("it rolls back");
    let parked = owned.take_over(&store).await.parked;
    assert_eq!(parked, [None, Some(b"a".as_slice().into())].into());
    let token = owned.take_over(&store).await.token;
    let mut tx = owned.begin(&store, token).await.expect("it owns");
    assert!(!tx.is_parked(&claimant, Some(b"")).await.expect("it is answered"));
    assert_eq!(tx.park(&claimant, Some(b"a")).await.expect("it is parked"), 3);
}

async fn partitions_are_owned_for_themselves(databases: &Databases) {
    let (store, zero, one) = (open(databases).await, Owned::partition(0), Owned::partition(1));
    let token = zero.take_over(&store).await.token;
    zero.note(&store, token, 1, 2).await;
    let other = one.take_over(&store).await;
    assert!(!other.is_dirty && other.attempts.is_empty());
    assert!(zero.begin(&store, token).await.is_some());
}

/// On SQLite nobody can end what a frozen process began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_transaction_of_a_frozen_owner_ends_and_does_not_keep_its_successor_waiting() {
    let databases = Databases::postgres().await;
    let (store, second) = (open(&databases).await, open(&databases).await);
    let owned = Owned::partition(0);
    let token = owned.take_over(&store).await.token;
    let moment = Duration::from_millis(500);
    let begun = store.begin_owned(&owned.claimant(), token, moment).await;
    let Ok(Begun::Owned(mut frozen)) = begun else { panic!("it owns") };
    frozen
        .execute("INSERT INTO effects (name) VALUES ($1)", &["bill".into()])
        .await
        .expect("the effect is written");
    assert!(owned.take_over(&second).await.token > token);
    frozen.commit().await.expect_err("PostgreSQL has ended it");
    assert_eq!(effects(&databases).await, 0);
    databases.drop_all().await;
}
