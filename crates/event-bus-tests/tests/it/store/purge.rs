//! What is old leaves the inbox, and is known all the same.

use std::time::Duration;

use event_bus::names::{GroupName, TopicName};
use event_bus::store::{Claim, Claimant, Claimed, Expired, Store};
use event_bus_tests::databases::Databases;
use sqlx::types::Uuid;

use super::{SERVICE, event_id, open, topic};
use crate::both::on_both_databases;

on_both_databases!(
    only_rows_that_are_old_and_committed_go_and_dead_ones_stay,
    what_stands_below_a_purged_row_is_seen_without_a_row_and_does_not_die,
    a_purge_is_noted_under_the_topics_id_and_never_taken_back,
);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Inbox {
    store: Store,
    group: GroupName,
    topic: TopicName,
}

impl Inbox {
    async fn open(databases: &Databases) -> Self {
        let (group, topic) = ("billing".parse().expect("a group"), topic("shop.order.placed"));
        Self { store: open(databases).await, group, topic }
    }

    fn claimant(&self, purged_below: i64) -> Claimant<'_> {
        Claimant { purged_below, ..Claimant::of(&self.group, &self.topic, 0) }
    }

    async fn claim(&self, purged_below: i64, claims: &[Claim]) -> Vec<Claimed> {
        let mut tx = self.store.begin().await.expect("a transaction begins");
        let claimed = tx.claim(&self.claimant(purged_below), claims).await;
        tx.commit().await.expect("it commits");
        claimed.expect("claims are answered")
    }

    async fn mark_dead(&self, purged_below: i64, claim: &Claim) -> Claimed {
        let mut tx = self.store.begin().await.expect("a transaction begins");
        let dlq_id = Uuid::from_u128(7);
        let marked = tx.mark_dead(&self.claimant(purged_below), claim, dlq_id).await;
        tx.commit().await.expect("it commits");
        marked.expect("a death is noted")
    }

    /// Makes the rows at these offsets and above two days old.
    async fn age(&self, offset: i64) {
        let mut tx = self.store.begin().await.expect("a transaction begins");
        let sql = if tx.as_postgres().is_some() {
            "UPDATE processed_events SET processed_at = now() - interval '2 days' WHERE record_offset >= $1"
        } else {
            "UPDATE processed_events SET processed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 days')
             WHERE record_offset >= $1"
        };
        tx.execute(sql, &[offset.into()]).await.expect("rows age");
        tx.commit().await.expect("it commits");
    }

    fn expired(&self, committed: i64) -> Expired<'_> {
        let (group, topic) = (&self.group, &self.topic);
        Expired { group, topic, partition: 0, committed, older_than: DAY }
    }
}

fn claims(offsets: std::ops::Range<i64>) -> Vec<Claim> {
    offsets
        .map(|offset| Claim {
            tenant: "corner-shop".to_owned(),
            event_id: event_id(),
            sha256: [7; 32],
            offset,
            replay: None,
        })
        .collect()
}

async fn offsets(databases: &Databases) -> Vec<i64> {
    let sql = "SELECT status, record_offset FROM processed_events ORDER BY record_offset";
    databases.rows(SERVICE, sql).await.into_iter().map(|(_, offset)| offset).collect()
}

async fn only_rows_that_are_old_and_committed_go_and_dead_ones_stay(databases: &Databases) {
    let inbox = Inbox::open(databases).await;
    let all = claims(0..10);
    inbox.claim(0, &all[..3]).await;
    inbox.mark_dead(0, &all[3]).await;
    inbox.claim(0, &all[4..]).await;
    // 0 and 1 are young, 8 and 9 are not committed.
    inbox.age(2).await;
    let expired = inbox.expired(8);
    let below =
        inbox.store.settle_expired(&expired, Uuid::from_u128(1)).await.expect("it is noted");
    assert_eq!(below, Some(8));
    let purged = inbox.store.purge_batch(&expired, None).await.expect("rows go");
    assert_eq!(purged, (5, None));
    assert_eq!(offsets(databases).await, [0, 1, 3, 8, 9]);
    let again = inbox.store.settle_expired(&expired, Uuid::from_u128(1)).await;
    assert_eq!(again.expect("it is answered"), None, "nothing is left that is old");
}

async fn what_stands_below_a_purged_row_is_seen_without_a_row_and_does_not_die(
    databases: &Databases,
) {
    let inbox = Inbox::open(databases).await;
    let all = claims(0..4);
    inbox.claim(0, &all[..1]).await;
    let claimed = inbox.claim(2, &all).await;
    assert_eq!(claimed, [Claimed::Seen, Claimed::Seen, Claimed::Fresh, Claimed::Fresh]);
    assert_eq!(offsets(databases).await, [0, 2, 3]);
    assert_eq!(inbox.mark_dead(2, &all[1]).await, Claimed::Seen);
    let other = Claim { sha256: [8; 32], ..all[0].clone() };
    assert_eq!(inbox.claim(2, &[other]).await, [Claimed::Collides], "its row is there");
}

async fn a_purge_is_noted_under_the_topics_id_and_never_taken_back(databases: &Databases) {
    let inbox = Inbox::open(databases).await;
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    inbox.claim(0, &claims(0..6)).await;
    inbox.age(0).await;
    for (committed, topic_id) in [(5, first), (2, first), (3, second)] {
        let expired = inbox.expired(committed);
        inbox.store.settle_expired(&expired, topic_id).await.expect("it is noted");
    }
    let mut noted = inbox.store.purged_below(&inbox.claimant(0)).await.expect("it can be read");
    noted.sort_unstable();
    assert_eq!(noted, [(first, 5), (second, 3)]);
}
