//! What a relay answers about its outbox, and does about rows that are set aside.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::catalogue::Catalogue;
use crate::control::outbox::{LeaseHeld, OutboxRow, OutboxState, Told, What};
use crate::dead_letter::error_chain;
use crate::metrics::RelayMetrics;
use crate::names::TopicName;
use crate::personal::{MASK, Personal};
use crate::store::{LiftError, SetAside, Store};

/// So many rows are told at most, whatever is asked.
const MOST_ROWS: u32 = 100;
/// So many characters of a text, and of an error: what is told is one record, however rows are.
const TEXT_CHARS: usize = 250;
const ERROR_CHARS: usize = 500;
/// So many bytes of values are read to find out what is personal in the rows that are told. What is behind is masked whole.
const READ_BYTES: i64 = 16 * 1024 * 1024;

/// Answers for a relay.
#[derive(Clone)]
pub(crate) struct Asked {
    /// The relay's id.
    pub(crate) relay: Uuid,
    /// From when on it has counted.
    pub(super) since: Timestamp,
    pub(super) store: Store,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) metrics: RelayMetrics,
    pub(super) nudge: Arc<Notify>,
}

impl Asked {
    /// Does what is asked, in the name of somebody. Done twice it is done once: a row gets another id, or none.
    pub(crate) async fn heed(&self, by: &str, what: &What) -> Told {
        let told = match what {
            What::Look { rows } => {
                self.state(*rows).await.map(|state| Told::State(Box::new(state)))
            }
            What::Retry { row, event_id } => {
                let lifted = match self.is_row(*row, event_id).await {
                    Ok(()) => self.store.retry_quarantined(*row).await,
                    Err(error) => Err(error),
                };
                return self.lifted(lifted);
            }
            What::Discard { row, event_id, reason } => {
                let reason = format!("{by}: {reason}");
                let lifted = match self.is_row(*row, event_id).await {
                    Ok(()) => self.store.discard_quarantined(*row, &reason).await,
                    Err(error) => Err(error),
                };
                return self.lifted(lifted);
            }
        };
        told.unwrap_or_else(|error| Told::Refused(error_chain(&error)))
    }

    fn lifted(&self, lifted: Result<u64, LiftError>) -> Told {
        match lifted {
            Ok(rows) => {
                self.nudge.notify_one();
                Told::Lifted { rows }
            }
            Err(LiftError::NotQuarantined { id }) => {
                Told::Refused(format!("its outbox has no quarantined row {id} any more"))
            }
            Err(error) => Told::Refused(error_chain(&error)),
        }
    }

    /// Whether the row is the event's that was shown: another database has other rows under the same ids. An id is never
    /// given again, so it stays so.
    async fn is_row(&self, id: i64, event_id: &str) -> Result<(), LiftError> {
        match self.store.set_aside(id).await? {
            Some((found, _)) if begin(&found, TEXT_CHARS) == event_id => Ok(()),
            _ => Err(LiftError::NotQuarantined { id }),
        }
    }

    async fn state(&self, rows: u32) -> Result<OutboxState, sqlx::Error> {
        let backlog = self.store.outbox_backlog().await?;
        let leases = self.store.lease_holders().await?.into_iter();
        let set_aside = match rows.min(MOST_ROWS) {
            0 => Vec::new(),
            most => self.store.first_set_aside(most).await?,
        };
        let oldest = backlog.oldest.map(|oldest| oldest.as_millis());
        Ok(OutboxState {
            pending: self.store.outbox_pending().await?,
            oldest_ms: oldest.map(|millis| u64::try_from(millis).unwrap_or(u64::MAX)),
            quarantined: backlog.quarantined,
            discarded: self.store.discarded_count().await?,
            leases: leases.map(|(shard, relay)| LeaseHeld { shard, relay }).collect(),
            published: self.metrics.published_until_now(),
            since: self.since,
            rows: self.told(set_aside).await?,
        })
    }

    async fn told(&self, rows: Vec<SetAside>) -> Result<Vec<OutboxRow>, sqlx::Error> {
        let (mut told, mut left) = (Vec::with_capacity(rows.len()), READ_BYTES);
        for row in rows {
            left = left.saturating_sub(row.bytes);
            // One by one, so that no two values are in memory.
            let personal = match left {
                0.. => self.store.set_aside(row.id).await?.map(|(_, value)| {
                    Personal::of(&self.catalogue, self.origin(&row.topic), value.as_deref())
                }),
                ..0 => None,
            };
            told.push(without_what_is_personal(row, personal.as_ref()));
        }
        Ok(told)
    }

    /// The topic of the event: a dead letter has its value.
    fn origin<'a>(&'a self, topic: &'a str) -> &'a str {
        let name: Option<TopicName> = topic.parse().ok();
        let event = name.and_then(|name| self.catalogue.event_of_dead_letter_topic(&name));
        event.map_or(topic, |event| event.topic.as_str())
    }
}

/// The row as it is told; with masks for all that may be personal where that is not known.
fn without_what_is_personal(row: SetAside, personal: Option<&Personal>) -> OutboxRow {
    let key = row.key.map(Bytes::from);
    let (key, error) = match personal {
        Some(personal) => (personal.key(key.as_ref()), personal.text(&row.error)),
        None => (key.map(|_| Bytes::from_static(MASK.as_bytes())), MASK.to_owned()),
    };
    OutboxRow {
        id: row.id,
        event_id: begin(&row.event_id, TEXT_CHARS),
        topic: begin(&row.topic, TEXT_CHARS),
        key: key.map(|key| begin(&String::from_utf8_lossy(&key), TEXT_CHARS)),
        tenant: row.tenant.map(|tenant| begin(&tenant, TEXT_CHARS)),
        error: begin(&error, ERROR_CHARS),
        since: row.since,
    }
}

/// The begin of a text.
fn begin(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(error: &str) -> SetAside {
        SetAside {
            id: 7,
            event_id: "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10".to_owned(),
            topic: "shop.order.placed".to_owned(),
            key: Some(b"acme/7".to_vec()),
            tenant: Some("acme".to_owned()),
            error: error.to_owned(),
            since: None,
            bytes: 12,
        }
    }

    #[test]
    fn of_a_row_whose_value_was_not_read_nothing_is_told_that_may_be_personal() {
        let told = without_what_is_personal(row("acme/7 is too large"), None);
        assert_eq!((told.key.as_deref(), &*told.error), (Some(MASK), MASK));
        assert_eq!((told.id, told.tenant.as_deref()), (7, Some("acme")));
    }

    #[test]
    fn a_long_text_is_told_by_its_begin() {
        assert_eq!(begin("größer", 3), "grö…");
        assert_eq!(begin("größer", 6), "größer");
    }
}
