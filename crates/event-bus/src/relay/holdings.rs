//! The shards that a relay holds, and those that it is about to give back.

use std::time::{Duration, Instant};

use crate::store::{Held, Lease};

/// How long a lease lasts without being renewed: how long a dead relay's rows wait for another.
pub(super) const LEASE: Duration = Duration::from_secs(10);
/// How often leases are renewed, so that some renewals may fail, and how soon others notice that a relay has come or gone.
const RENEW: Duration = Duration::from_secs(2);
/// How often free leases are asked for by a relay that has less than its share.
const ASK: Duration = Duration::from_secs(1);

/// What a relay holds.
#[derive(Debug)]
pub(super) struct Holdings {
    leases: Vec<Lease>,
    /// How many of them, the last ones, are to be given back.
    surplus: usize,
    renew_at: Instant,
}

impl Holdings {
    pub(super) fn new(now: Instant) -> Self {
        Self { leases: Vec::new(), surplus: 0, renew_at: now }
    }

    /// When the leases are to be renewed.
    pub(super) fn renew_at(&self) -> Instant {
        self.renew_at
    }

    /// Has the leases renewed at once.
    pub(super) fn renew_now(&mut self, now: Instant) {
        self.renew_at = now;
    }

    /// Takes note of what the database says. Says whether it is something else than before.
    pub(super) fn note(&mut self, held: Held, now: Instant) -> bool {
        let surplus = held.leases.len().saturating_sub(held.share);
        let has_changed = held.leases != self.leases || surplus != self.surplus;
        self.renew_at = now + if held.leases.len() < held.share { ASK } else { RENEW };
        self.leases = held.leases;
        self.surplus = surplus;
        has_changed
    }

    pub(super) fn leases(&self) -> &[Lease] {
        &self.leases
    }

    pub(super) fn lease_of(&self, shard: i32) -> Option<Lease> {
        self.leases.iter().find(|lease| lease.shard == shard).copied()
    }

    /// The shards whose rows are sent.
    pub(super) fn working(&self) -> Vec<i32> {
        self.shards(..self.leases.len() - self.surplus)
    }

    /// The shards that others wait for.
    pub(super) fn leaving(&self) -> Vec<i32> {
        self.shards(self.leases.len() - self.surplus..)
    }

    /// Gives up the leases of the shards that others wait for.
    pub(super) fn give_back(&mut self) -> Vec<Lease> {
        let kept = self.leases.len() - std::mem::take(&mut self.surplus);
        self.leases.split_off(kept)
    }

    fn shards(&self, range: impl std::slice::SliceIndex<[Lease], Output = [Lease]>) -> Vec<i32> {
        self.leases[range].iter().map(|lease| lease.shard).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(shards: &[i32], share: usize) -> Held {
        let leases = shards.iter().map(|shard| Lease { shard: *shard, token: 1 }).collect();
        Held { leases, share }
    }

    #[test]
    fn what_is_more_than_the_share_is_given_back_and_the_rest_stays() {
        let now = Instant::now();
        let mut holdings = Holdings::new(now);
        assert!(holdings.note(held(&[0, 1, 2, 3], 4), now));
        assert!(!holdings.note(held(&[0, 1, 2, 3], 4), now));
        assert_eq!(holdings.renew_at(), now + RENEW);
        assert!(holdings.note(held(&[0, 1, 2, 3], 3), now));
        assert_eq!((holdings.working(), holdings.leaving()), (vec![0, 1, 2], vec![3]));
        assert_eq!(holdings.give_back(), [Lease { shard: 3, token: 1 }]);
        assert!(holdings.leaving().is_empty());
        assert_eq!(holdings.lease_of(3), None);
        assert!(!holdings.note(held(&[0, 1, 2], 3), now));
    }

    #[test]
    fn free_shards_are_asked_for_sooner() {
        let now = Instant::now();
        let mut holdings = Holdings::new(now);
        holdings.note(held(&[], 4), now);
        assert_eq!(holdings.renew_at(), now + ASK);
        assert!(holdings.working().is_empty());
    }
}
