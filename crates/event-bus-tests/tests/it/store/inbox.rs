//! Claims: an event is fresh once, whoever asks, and however many ask at once.

use event_bus::names::{EventId, GroupName, TopicName};
use event_bus::store::{Claim, Claimant, Claimed, ReplayClaim, Store, Tx};
use event_bus_tests::databases::Databases;
use sqlx::types::Uuid;
use tokio::task::{JoinHandle, JoinSet};

use super::{assert_waits, effects, event_id, open, topic};
use crate::both::on_both_databases;

on_both_databases!(
    a_claim_is_fresh_once_and_seen_from_then_on,
    the_same_id_with_other_bytes_collides,
    twins_within_one_batch_are_told_apart_in_their_order,
    a_group_a_topic_and_a_tenant_claim_for_themselves,
    a_claim_and_its_effect_roll_back_together,
    a_claim_waits_for_its_uncommitted_twin_and_sees_it_committed,
    a_claim_waits_for_its_uncommitted_twin_and_is_fresh_when_that_rolls_back,
    of_many_claims_of_one_event_at_once_one_takes_effect,
    a_dead_event_is_seen_and_dies_once,
    an_event_that_took_effect_does_not_die,
    a_replay_claims_the_dead_row_of_its_letter_once,
    a_replay_that_dies_gives_the_row_to_its_new_letter,
    replays_of_a_parked_key_have_their_turns,
);

/// A group's view of partition 0 of a topic.
struct Group(GroupName, TopicName);

impl Group {
    fn named(group: &str) -> Self {
        Self(group.parse().expect("the name is one of a group"), topic("shop.order.placed"))
    }

    fn billing() -> Self {
        Self::named("billing")
    }

    async fn claim(&self, tx: &mut Tx, claims: &[Claim]) -> Vec<Claimed> {
        let claimant = Claimant::of(&self.0, &self.1, 0);
        tx.claim(&claimant, claims).await.expect("a claim is answered")
    }

    async fn claim_and_commit(&self, store: &Store, claims: &[Claim]) -> Vec<Claimed> {
        let mut tx = store.begin().await.expect("a transaction begins");
        let claimed = self.claim(&mut tx, claims).await;
        tx.commit().await.expect("it commits");
        claimed
    }

    async fn mark_dead(&self, store: &Store, claim: &Claim) -> Claimed {
        self.mark_dead_as(store, claim, 7).await
    }

    async fn mark_dead_as(&self, store: &Store, claim: &Claim, letter: u128) -> Claimed {
        let claimant = Claimant::of(&self.0, &self.1, 0);
        let mut tx = store.begin().await.expect("a transaction begins");
        let marked = tx.mark_dead(&claimant, claim, Uuid::from_u128(letter)).await;
        tx.commit().await.expect("it commits");
        marked.expect("a death is noted")
    }
}

fn claim(event_id: EventId, offset: i64) -> Claim {
    Claim { tenant: "corner-shop".to_owned(), event_id, sha256: [7; 32], offset, replay: None }
}

/// A replay of a dead letter, with other bytes than the original.
fn replay(of: u128, original: &Claim, offset: i64, chain_seq: Option<i64>) -> Claim {
    let replay = ReplayClaim { of: Uuid::from_u128(of), key: Some("key".into()), chain_seq };
    Claim { sha256: [1; 32], offset, replay: Some(replay), ..original.clone() }
}

async fn bill(tx: &mut Tx) {
    tx.execute("INSERT INTO effects (name) VALUES ($1)", &["bill".into()])
        .await
        .expect("the effect is written");
}

async fn a_claim_is_fresh_once_and_seen_from_then_on(databases: &Databases) {
    let store = open(databases).await;
    let claims = [claim(event_id(), 0), claim(event_id(), 1)];
    assert_eq!(
        Group::billing().claim_and_commit(&store, &claims).await,
        [Claimed::Fresh, Claimed::Fresh]
    );
    assert_eq!(
        Group::billing().claim_and_commit(&store, &claims).await,
        [Claimed::Seen, Claimed::Seen]
    );
    let moved = [claim(claims[0].event_id, 99)];
    assert_eq!(
        Group::billing().claim_and_commit(&store, &moved).await,
        [Claimed::Seen],
        "at another offset"
    );
    assert_eq!(Group::billing().claim_and_commit(&store, &[]).await, []);
}

async fn the_same_id_with_other_bytes_collides(databases: &Databases) {
    let store = open(databases).await;
    let first = claim(event_id(), 0);
    Group::billing().claim_and_commit(&store, std::slice::from_ref(&first)).await;
    let other = Claim { sha256: [8; 32], offset: 1, ..first.clone() };
    assert_eq!(Group::billing().claim_and_commit(&store, &[other]).await, [Claimed::Collides]);
    assert_eq!(
        Group::billing().claim_and_commit(&store, &[first]).await,
        [Claimed::Seen],
        "the first one stands"
    );
}

async fn twins_within_one_batch_are_told_apart_in_their_order(databases: &Databases) {
    let store = open(databases).await;
    let (known, new) = (claim(event_id(), 0), claim(event_id(), 2));
    Group::billing().claim_and_commit(&store, std::slice::from_ref(&known)).await;
    let batch = [
        claim(event_id(), 1),
        new.clone(),
        Claim { offset: 3, ..new.clone() },
        Claim { offset: 4, sha256: [9; 32], ..new },
        Claim { offset: 5, ..known },
        claim(event_id(), 6),
    ];
    let claimed = Group::billing().claim_and_commit(&store, &batch).await;
    let wanted = [
        Claimed::Fresh,
        Claimed::Fresh,
        Claimed::Seen,
        Claimed::Collides,
        Claimed::Seen,
        Claimed::Fresh,
    ];
    assert_eq!(claimed, wanted);
}

async fn a_group_a_topic_and_a_tenant_claim_for_themselves(databases: &Databases) {
    let store = open(databases).await;
    let first = claim(event_id(), 0);
    let other_topic = Group("billing".parse().expect("a group"), topic("shop.order.cancelled"));
    let other_tenant = Claim { tenant: String::new(), offset: 1, ..first.clone() };
    let first = [first];
    assert_eq!(Group::billing().claim_and_commit(&store, &first).await, [Claimed::Fresh]);
    assert_eq!(Group::named("stock").claim_and_commit(&store, &first).await, [Claimed::Fresh]);
    assert_eq!(other_topic.claim_and_commit(&store, &first).await, [Claimed::Fresh]);
    assert_eq!(Group::billing().claim_and_commit(&store, &[other_tenant]).await, [Claimed::Fresh]);
}

async fn a_claim_and_its_effect_roll_back_together(databases: &Databases) {
    let store = open(databases).await;
    let claims = [claim(event_id(), 0)];
    for is_dropped in [false, true] {
        let mut tx = store.begin().await.expect("a transaction begins");
        assert_eq!(Group::billing().claim(&mut tx, &claims).await, [Claimed::Fresh]);
        bill(&mut tx).await;
        if is_dropped {
            drop(tx);
        } else {
            tx.rollback().await.expect("it rolls back");
        }
        assert_eq!(effects(databases).await, 0);
    }
    assert_eq!(Group::billing().claim_and_commit(&store, &claims).await, [Claimed::Fresh]);
}

/// Another process claims the same event while a transaction that claimed it is open.
async fn twin_of_an_open_claim(
    databases: &Databases,
    claims: [Claim; 1],
) -> (Tx, JoinHandle<Vec<Claimed>>) {
    // Both are opened first: on SQLite an opening waits for a writer, too.
    let (store, second) = (open(databases).await, open(databases).await);
    let mut first = store.begin().await.expect("a transaction begins");
    assert_eq!(Group::billing().claim(&mut first, &claims).await, [Claimed::Fresh]);
    let mut twin =
        tokio::spawn(async move { Group::billing().claim_and_commit(&second, &claims).await });
    assert_waits(databases, &mut twin, 1).await;
    (first, twin)
}

async fn a_claim_waits_for_its_uncommitted_twin_and_sees_it_committed(databases: &Databases) {
    let (first, twin) = twin_of_an_open_claim(databases, [claim(event_id(), 0)]).await;
    first.commit().await.expect("it commits");
    assert_eq!(twin.await.expect("the twin ends"), [Claimed::Seen]);
}

async fn a_claim_waits_for_its_uncommitted_twin_and_is_fresh_when_that_rolls_back(
    databases: &Databases,
) {
    let (first, twin) = twin_of_an_open_claim(databases, [claim(event_id(), 0)]).await;
    first.rollback().await.expect("it rolls back");
    assert_eq!(twin.await.expect("the twin ends"), [Claimed::Fresh]);
}

/// A SELECT before the INSERT would let several in under READ COMMITTED.
async fn of_many_claims_of_one_event_at_once_one_takes_effect(databases: &Databases) {
    let stores = [open(databases).await, open(databases).await];
    for offset in 0..20 {
        let claims = [claim(event_id(), offset)];
        let mut claiming = JoinSet::new();
        for place in 0..8 {
            let (store, claims) = (stores[place % 2].clone(), claims.clone());
            claiming.spawn(async move {
                let mut tx = store.begin().await.expect("a transaction begins");
                let claimed = Group::billing().claim(&mut tx, &claims).await;
                if claimed == [Claimed::Fresh] {
                    bill(&mut tx).await;
                }
                tx.commit().await.expect("it commits");
                claimed
            });
        }
        let claimed = claiming.join_all().await.concat();
        assert_eq!(
            claimed.iter().filter(|claimed| **claimed == Claimed::Fresh).count(),
            1,
            "{claimed:?}"
        );
        assert_eq!(effects(databases).await, offset + 1);
    }
}

async fn a_dead_event_is_seen_and_dies_once(databases: &Databases) {
    let store = open(databases).await;
    let dead = claim(event_id(), 0);
    assert_eq!(Group::billing().mark_dead(&store, &dead).await, Claimed::Fresh);
    assert_eq!(Group::billing().mark_dead(&store, &dead).await, Claimed::Seen, "it died twice");
    let other_bytes = Claim { sha256: [8; 32], ..dead.clone() };
    assert_eq!(Group::billing().mark_dead(&store, &other_bytes).await, Claimed::Collides);
    assert_eq!(Group::billing().claim_and_commit(&store, &[dead]).await, [Claimed::Seen]);
    assert_eq!(
        Group::billing().claim_and_commit(&store, &[other_bytes]).await,
        [Claimed::Collides]
    );
    assert_eq!(
        databases
            .number(super::SERVICE, "SELECT count(*) FROM processed_events WHERE status = 'dead'")
            .await,
        1
    );
}

async fn an_event_that_took_effect_does_not_die(databases: &Databases) {
    let store = open(databases).await;
    let done = claim(event_id(), 0);
    Group::billing().claim_and_commit(&store, std::slice::from_ref(&done)).await;
    assert_eq!(Group::billing().mark_dead(&store, &done).await, Claimed::Seen);
    assert_eq!(
        databases
            .number(super::SERVICE, "SELECT count(*) FROM processed_events WHERE status = 'done'")
            .await,
        1
    );
}

async fn a_replay_claims_the_dead_row_of_its_letter_once(databases: &Databases) {
    let store = open(databases).await;
    let group = Group::billing();
    let (dead, new) = (claim(event_id(), 0), claim(event_id(), 9));
    group.mark_dead(&store, &dead).await;
    let of_another = replay(8, &dead, 1, None);
    assert_eq!(group.claim_and_commit(&store, &[of_another]).await, [Claimed::Seen]);
    let ours = replay(7, &dead, 2, None);
    let mut tx = store.begin().await.expect("a transaction begins");
    assert_eq!(group.claim(&mut tx, std::slice::from_ref(&ours)).await, [Claimed::Fresh]);
    tx.rollback().await.expect("it rolls back");
    // Twins in one batch, and an event beside them that is none.
    let batch = [ours.clone(), new, Claim { offset: 3, ..ours.clone() }];
    let claimed = group.claim_and_commit(&store, &batch).await;
    assert_eq!(claimed, [Claimed::Fresh, Claimed::Fresh, Claimed::Seen]);
    assert_eq!(group.claim_and_commit(&store, &[ours]).await, [Claimed::Seen]);
    // A reset brings the original once more, whose bytes were others.
    let original = Claim { offset: 4, ..dead };
    assert_eq!(group.claim_and_commit(&store, &[original]).await, [Claimed::Seen]);
    // What no row tells of is an event as any other.
    let unknown = replay(7, &claim(event_id(), 0), 5, None);
    let unknown = std::slice::from_ref(&unknown);
    assert_eq!(group.claim_and_commit(&store, unknown).await, [Claimed::Fresh]);
    assert_eq!(group.claim_and_commit(&store, unknown).await, [Claimed::Seen]);
}

async fn a_replay_that_dies_gives_the_row_to_its_new_letter(databases: &Databases) {
    let store = open(databases).await;
    let (group, dead) = (Group::billing(), claim(event_id(), 0));
    group.mark_dead(&store, &dead).await;
    let first = replay(7, &dead, 1, None);
    assert_eq!(group.mark_dead_as(&store, &first, 8).await, Claimed::Fresh);
    assert_eq!(group.mark_dead_as(&store, &first, 8).await, Claimed::Seen, "its reply got lost");
    assert_eq!(group.claim_and_commit(&store, &[first]).await, [Claimed::Seen]);
    let second = replay(8, &dead, 2, None);
    assert_eq!(
        group.claim_and_commit(&store, std::slice::from_ref(&second)).await,
        [Claimed::Fresh]
    );
    assert_eq!(group.mark_dead_as(&store, &second, 9).await, Claimed::Seen, "it took effect");
}

async fn replays_of_a_parked_key_have_their_turns(databases: &Databases) {
    let store = open(databases).await;
    let group = Group::billing();
    let claimant = Claimant::of(&group.0, &group.1, 0);
    let dead = [claim(event_id(), 0), claim(event_id(), 1)];
    for dead in &dead {
        group.mark_dead(&store, dead).await;
        let mut tx = store.begin().await.expect("a transaction begins");
        tx.park(&claimant, Some(b"key")).await.expect("it is parked");
        tx.commit().await.expect("it commits");
    }
    let [first, second] =
        [1, 2].map(|seq| replay(7, &dead[usize::from(seq > 1)], 10 + seq, Some(seq)));
    assert_eq!(
        group.claim_and_commit(&store, std::slice::from_ref(&second)).await,
        [Claimed::OutOfTurn]
    );
    for (replay, seq, is_last) in [(first, 1, false), (second, 2, true)] {
        let mut tx = store.begin().await.expect("a transaction begins");
        assert_eq!(group.claim(&mut tx, &[replay]).await, [Claimed::Fresh]);
        let advanced = tx.advance_chain(&claimant, Some(b"key"), seq).await;
        assert_eq!(advanced.expect("it goes on"), is_last);
        tx.commit().await.expect("it commits");
    }
    let mut tx = store.begin().await.expect("a transaction begins");
    assert!(!tx.is_parked(&claimant, Some(b"key")).await.expect("it is answered"));
}
