//! How many dead letters of a failure died in each of the last hours.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::sql::Value;
use super::super::tx::Tx;
use super::letters::stamp;
use super::sums::Sum;
use super::{OpsStore, search};
use crate::dead_letters::Scope;

/// So many hours are a trend, the one that runs among them.
pub const TREND_HOURS: usize = EARLIER as usize + 1;

/// The hours of a trend before the one that runs.
const EARLIER: u8 = 23;

const NANOSECONDS: i64 = 3_600_000_000_000;
/// Hours that are longer ago are forgotten.
const KEPT: i64 = 48;
/// The tenant of a row that counts those of all.
const ALL_TENANTS: i64 = -1;

/// What is added to the hours by one transaction: by fingerprint, tenant, hour and service.
#[derive(Debug, Default)]
pub(super) struct Hours(BTreeMap<[i64; 4], i64>);

impl Hours {
    /// One more or one less of these. A dead letter whose state changes is both.
    pub(super) fn add(&mut self, sum: &Sum, letters: i64) {
        let [fingerprint, _, _, service, tenant, ..] = sum.names;
        let hour = sum.failed_at.div_euclid(NANOSECONDS);
        for tenant in [tenant, ALL_TENANTS] {
            *self.0.entry([fingerprint, tenant, hour, service]).or_default() += letters;
        }
    }

    pub(super) async fn write(self, tx: &mut Tx) -> Result<(), sqlx::Error> {
        let first = hour_of(Timestamp::now()) - KEPT;
        let added =
            self.0.into_iter().filter(|([_, _, hour, _], letters)| *hour >= first && *letters != 0);
        let rows: Vec<[Value; 5]> = added
            .map(|([fingerprint, tenant, hour, service], letters)| {
                [fingerprint, tenant, hour, service, letters].map(Value::from)
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        tx.execute("DELETE FROM ops_hours WHERE hour < $1", &[first.into()]).await?;
        tx.with_rows(&rows, |list| {
            format!(
                "INSERT INTO ops_hours (fingerprint, tenant, hour, service, letters) VALUES {list}
                 ON CONFLICT (fingerprint, tenant, hour, service)
                 DO UPDATE SET letters = ops_hours.letters + excluded.letters"
            )
        })
        .await
        .map(drop)
    }
}

fn hour_of(time: Timestamp) -> i64 {
    stamp(time).div_euclid(NANOSECONDS)
}

impl OpsStore {
    /// How many dead letters in scope these failures had in each of the last hours, the earliest first. A failure that had
    /// none is not among them.
    ///
    /// # Errors
    /// The database's.
    pub async fn trends(
        &self,
        scope: &Scope,
        fingerprints: &[&str],
        now: Timestamp,
    ) -> Result<BTreeMap<String, [u64; TREND_HOURS]>, sqlx::Error> {
        let mut ids = Vec::with_capacity(fingerprints.len());
        for fingerprint in fingerprints {
            ids.extend(self.names.find(&self.read, fingerprint).await?);
        }
        let mut trends = BTreeMap::new();
        if ids.is_empty() {
            return Ok(trends);
        }
        let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
        let mut within = self.within(scope, "").await?;
        if scope.tenants.is_none() {
            within.push_str(&format!(" AND tenant = {ALL_TENANTS}"));
        }
        let last = hour_of(now);
        let first = last - i64::from(EARLIER);
        let select = format!(
            "SELECT fingerprint, hour, CAST(sum(letters) AS bigint) AS letters FROM ops_hours
             WHERE fingerprint IN ({}) AND hour BETWEEN $1 AND $2{within} GROUP BY fingerprint, hour",
            ids.join(", ")
        );
        for row in self.read.read_all(select, &[first.into(), last.into()]).await? {
            let Some(name) = self.names.name(row.get("fingerprint")?) else { continue };
            let of_failure = trends.entry(name).or_insert([0; TREND_HOURS]);
            let at = usize::try_from(row.get::<i64>("hour")? - first);
            if let Some(hour) = at.ok().and_then(|at| of_failure.get_mut(at)) {
                *hour = search::unsigned(&row, "letters")?;
            }
        }
        Ok(trends)
    }
}
