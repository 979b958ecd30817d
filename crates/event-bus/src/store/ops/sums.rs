//! The sums of the index, for pages that count.

use std::collections::BTreeMap;

use super::super::sql::Value;
use super::super::tx::Tx;
use super::hours::Hours;

/// What a dead letter adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    /// Fingerprint, group, topic, service, tenant, event, version and reason.
    pub names: [i64; 8],
    pub state: i64,
    pub first_failed_at: i64,
    pub failed_at: i64,
    pub resolved_at: Option<i64>,
}

/// What is added to the sums by one transaction.
#[derive(Debug, Default)]
pub(super) struct Sums {
    rows: BTreeMap<([i64; 8], i64), Added>,
    hours: Hours,
}

#[derive(Clone, Copy, Debug)]
struct Added {
    letters: i64,
    first_seen: i64,
    last_seen: i64,
    first_resolved: Option<i64>,
}

impl Sums {
    /// One more or one less of these.
    pub(super) fn add(&mut self, sum: &Sum, letters: i64) {
        self.hours.add(sum, letters);
        let new = Added {
            letters: 0,
            first_seen: sum.first_failed_at,
            last_seen: sum.failed_at,
            first_resolved: sum.resolved_at,
        };
        let added = self.rows.entry((sum.names, sum.state)).or_insert(new);
        added.letters += letters;
        added.first_seen = added.first_seen.min(sum.first_failed_at);
        added.last_seen = added.last_seen.max(sum.failed_at);
        added.first_resolved = match (added.first_resolved, sum.resolved_at) {
            (Some(first), Some(other)) => Some(first.min(other)),
            (first, other) => first.or(other),
        };
    }

    pub(super) async fn write(self, tx: &mut Tx) -> Result<(), sqlx::Error> {
        self.hours.write(tx).await?;
        let rows: Vec<[Value; 13]> = self.rows.into_iter().map(row).collect();
        tx.with_rows(&rows, |list| {
            format!(
                "INSERT INTO ops_sums (fingerprint, consumer_group, topic, service, tenant, event, version, reason, state,
                   letters, first_seen, last_seen, first_resolved)
                 VALUES {list}
                 ON CONFLICT (fingerprint, consumer_group, topic, service, tenant, event, version, reason, state)
                 DO UPDATE SET letters = ops_sums.letters + excluded.letters,
                   first_seen = CASE WHEN excluded.first_seen < ops_sums.first_seen
                     THEN excluded.first_seen ELSE ops_sums.first_seen END,
                   last_seen = CASE WHEN excluded.last_seen > ops_sums.last_seen
                     THEN excluded.last_seen ELSE ops_sums.last_seen END,
                   first_resolved = CASE WHEN ops_sums.first_resolved IS NULL
                       OR excluded.first_resolved < ops_sums.first_resolved
                     THEN excluded.first_resolved ELSE ops_sums.first_resolved END"
            )
        })
        .await
        .map(drop)
    }
}

fn row(
    (([fingerprint, group, topic, service, tenant, event, version, reason], state), added): (
        ([i64; 8], i64),
        Added,
    ),
) -> [Value; 13] {
    [
        fingerprint.into(),
        group.into(),
        topic.into(),
        service.into(),
        tenant.into(),
        event.into(),
        version.into(),
        reason.into(),
        state.into(),
        added.letters.into(),
        added.first_seen.into(),
        added.last_seen.into(),
        added.first_resolved.into(),
    ]
}
