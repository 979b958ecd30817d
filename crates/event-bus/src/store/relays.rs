//! How relays share an outbox out among them: leases of shards.
//!
//! A topic and key are in one of 1,024 buckets, and a bucket is in one of [`SHARDS`] shards. A shard's rows are sent by
//! the relay that has its lease. A relay tells that it is alive whenever it renews its leases; so each knows how many
//! there are, holds no more shards than its share, and takes what is free up to that. Nobody takes anything away: who
//! holds too much gives it back once nothing of it is on its way. So an assignment that fits stays as it is.

use std::time::Duration;

use sqlx::types::Uuid;

use super::connect::{Backend, Store};
use super::{postgres, sqlite};
use crate::flaw::{Flaw, Flaws};
use crate::names::TopicName;

/// Into how many parts relays share an outbox out: more than a service has replicas in most places, and few enough that
/// their leases are renewed by one statement. It divides the 1,024 buckets, and stands in the migrations' text too.
pub const SHARDS: i32 = 8;

/// The right to send a shard's rows, until it expires. A later lease has a greater token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which shard.
    pub shard: i32,
    /// Fences what an earlier holder still does.
    pub token: i64,
}

/// What a relay holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Its leases, by shard.
    pub leases: Vec<Lease>,
    /// How many it may hold while as many relays live as now. It should give back what is more.
    pub share: usize,
}

/// How much a relay wants to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// As much as each of those that live.
    Fair,
    /// Whatever is free: of a relay that ends, after which there may be nobody who sends what another one left.
    Everything,
}

impl Share {
    /// How many shards that are while this many relays live.
    fn among(self, relays: i64) -> usize {
        let shards = SHARDS.unsigned_abs();
        let relays = match self {
            Self::Fair => u32::try_from(relays.max(1)).unwrap_or(u32::MAX),
            Self::Everything => 1,
        };
        shards.div_ceil(relays) as usize
    }
}

/// Which rows a relay asks for.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// The most rows.
    pub most: i64,
    /// The first id.
    pub from: i64,
    /// The shards.
    pub shards: &'a [i32],
    /// Topics whose rows are not asked for.
    pub left_out: &'a [TopicName],
    /// Rows that are not asked for: a few, for each row is compared with each of them.
    pub known: &'a [i64],
    /// The first id of those that are asked for whole.
    pub whole_from: i64,
    /// How many bytes these may have together.
    pub whole_bytes: i64,
}

impl Store {
    /// Tells that a relay is alive, renews its leases, and takes free ones up to this share. Each taking raises a token,
    /// and so does a renewal that came too late.
    ///
    /// # Errors
    /// The database's.
    pub async fn hold_leases(
        &self,
        holder: Uuid,
        time: Duration,
        share: Share,
    ) -> Result<Held, sqlx::Error> {
        let (mut leases, share) = match &self.backend {
            Backend::Postgres(pool) => {
                let connection = &mut *pool.acquire().await?;
                if Flaws::of_process().have(Flaw::SkipLockedWorkers) {
                    let leases = postgres::relays::all_leases(connection).await?.into_iter();
                    let leases = leases.map(|(shard, token)| Lease { shard, token }).collect();
                    return Ok(Held { leases, share: share.among(1) });
                }
                let share =
                    share.among(postgres::relays::relay_lives(connection, holder, time).await?);
                let mut held = postgres::relays::keep_leases(connection, holder, time).await?;
                let free = room(share, held.len());
                if free > 0 {
                    let taken = postgres::relays::take_leases(connection, holder, time, free);
                    held.extend(taken.await?);
                }
                (held, share)
            }
            Backend::Sqlite(pool) => {
                let connection = &mut *pool.acquire().await?;
                let share =
                    share.among(sqlite::relays::relay_lives(connection, holder, time).await?);
                let mut held = sqlite::relays::keep_leases(connection, holder, time).await?;
                let free = room(share, held.len());
                if free > 0 {
                    let taken = sqlite::relays::take_leases(connection, holder, time, free);
                    held.extend(taken.await?);
                }
                (held, share)
            }
        };
        leases.sort_unstable();
        let leases = leases.into_iter().map(|(shard, token)| Lease { shard, token }).collect();
        Ok(Held { leases, share })
    }

    /// The shards whose lease has not expired, and who holds each.
    ///
    /// # Errors
    /// The database's.
    pub async fn lease_holders(&self) -> Result<Vec<(i32, Uuid)>, sqlx::Error> {
        let leases: Vec<(i32, String)> = match &self.backend {
            Backend::Postgres(pool) => {
                postgres::relays::holders(&mut *pool.acquire().await?).await?
            }
            Backend::Sqlite(pool) => sqlite::relays::holders(&mut *pool.acquire().await?).await?,
        };
        let holder = |(shard, holder): (i32, String)| Some((shard, holder.parse().ok()?));
        Ok(leases.into_iter().filter_map(holder).collect())
    }

    /// Lets other relays take these shards at once.
    ///
    /// # Errors
    /// The database's.
    pub async fn release_leases(&self, leases: &[Lease]) -> Result<(), sqlx::Error> {
        for lease in leases {
            let held = (lease.shard, lease.token);
            match &self.backend {
                Backend::Postgres(pool) => {
                    postgres::relays::release_lease(&mut *pool.acquire().await?, held).await?;
                }
                Backend::Sqlite(pool) => {
                    sqlite::relays::release_lease(&mut *pool.acquire().await?, held).await?;
                }
            }
        }
        Ok(())
    }

    /// Gives the leases back and tells that the relay ends, so that others have its share at once.
    ///
    /// # Errors
    /// The database's.
    pub async fn relay_leaves(&self, holder: Uuid, leases: &[Lease]) -> Result<(), sqlx::Error> {
        self.release_leases(leases).await?;
        let sql = "DELETE FROM outbox_relays WHERE CAST(holder AS text) = $1";
        self.execute(sql, &[holder.to_string().into()]).await
    }
}

fn room(share: usize, held: usize) -> i64 {
    i64::try_from(share.saturating_sub(held)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_all_shards_and_nobodys_is_nothing() {
        let shares = [0, 1, 2, 3, 4, 5, 8, 9, i64::MAX].map(|relays| Share::Fair.among(relays));
        assert_eq!(shares, [8, 8, 4, 3, 2, 2, 1, 1, 1]);
        assert_eq!(Share::Everything.among(3), 8);
    }
}
