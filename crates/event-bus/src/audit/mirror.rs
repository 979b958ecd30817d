//! Sends the audit of an ops store to the topic of audit, where nobody changes it: a row that was not sent yet is sent later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use uuid::Uuid;

use super::NotWritten;
use super::chain::Link;
use crate::catalogue::Catalogue;
use crate::dead_letter::error_chain;
use crate::envelope::OutgoingRecord;
use crate::kafka::admin::{Admin, Position};
use crate::kafka::reader::{ReadError, Reader, Until};
use crate::names::EventId;
use crate::publisher::Publisher;
use crate::shutdown;
use crate::store::ops::OpsStore;

/// So many rows are sent before it is noted that they were.
const AT_ONCE: u32 = 500;
/// How often it is looked for rows of other processes on this store, and the wait after a trouble.
const REST: Duration = Duration::from_secs(2);

/// What keeps rows from being sent.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The store did not answer.
    #[error("the ops store did not answer")]
    Store(#[from] sqlx::Error),
    /// Kafka did not take one.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
}

/// Sends the rows. Several may on one store: a row that two send is there twice, and counts once.
pub struct Mirror {
    store: Arc<OpsStore>,
    publisher: Arc<Publisher>,
}

impl Mirror {
    /// Of this store.
    #[must_use]
    pub fn new(store: Arc<OpsStore>, publisher: Arc<Publisher>) -> Self {
        Self { store, publisher }
    }

    /// Sends what comes until `stop` turns true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            if let Err(error) = self.send().await {
                let error = error_chain(&error);
                tracing::warn!(error, "the audit is not on its topic yet: it is sent later");
            }
            tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                () = self.store.audited() => {}
                () = sleep(REST) => {}
            }
        }
    }

    /// Sends what was not sent.
    ///
    /// # Errors
    /// See [`MirrorError`].
    pub async fn send(&self) -> Result<(), MirrorError> {
        let topic = self.publisher.catalogue().audit_topic();
        loop {
            let links = self.store.audit_to_send(AT_ONCE).await?;
            let Some(last) = links.last().map(|link| link.seq) else { return Ok(()) };
            for link in &links {
                let id = EventId::at(link.written_at());
                let record = OutgoingRecord::json(&topic, link.chain, link, id);
                let sent = self.publisher.send(record).await;
                sent.map_err(|source| NotWritten { topic: topic.clone(), source })?;
            }
            self.store.audit_was_sent(last).await?;
        }
    }
}

/// What the topic of audit has.
#[derive(Debug, Default)]
pub struct Mirrored {
    /// Of this chain, in the order in which it was sent.
    pub links: Vec<Link>,
    /// Other chains.
    pub others: BTreeSet<Uuid>,
}

/// What the topic of audit has of a chain; nothing where there is no such topic.
///
/// # Errors
/// When Kafka does not answer.
pub async fn mirrored(
    admin: &Admin,
    catalogue: &Catalogue,
    chain: Uuid,
) -> Result<Mirrored, ReadError> {
    let topics = [catalogue.audit_topic()];
    let mut mirrored = Mirrored::default();
    if admin.cluster_with(&topics).await?.topics.is_empty() {
        return Ok(mirrored);
    }
    let mut reader = Reader::start_with(admin, &topics, Position::Start, Until::CaughtUp).await?;
    while let Some(records) = reader.next().await? {
        for record in records {
            // Deeds about dead letters and offsets stand there, too.
            let value = record.value.as_deref().unwrap_or_default();
            let Ok(link) = serde_json::from_slice::<Link>(value) else { continue };
            if link.chain == chain {
                mirrored.links.push(link);
            } else {
                mirrored.others.insert(link.chain);
            }
        }
    }
    Ok(mirrored)
}
