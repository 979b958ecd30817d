//! What everybody did, and whether it is still what was written.

use event_bus::audit::chain::{Link, Walk};
use event_bus::audit::mirrored;
use event_bus::store::ops::AuditFilter;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Desk, DeskError};
use crate::access::policy::{Action, Actor, Object, decide};

/// So many rows are read at once.
const AT_ONCE: u32 = 1_000;

/// A page of the audit, the latest row first.
#[derive(Debug, Serialize, Deserialize)]
pub struct AuditPage {
    /// The rows.
    pub rows: Vec<Link>,
    /// What `before` says for the next page; none behind the last one.
    pub next: Option<i64>,
}

/// How the chain is.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChainState {
    /// Which chain it is; none before the first row.
    pub chain: Option<Uuid>,
    /// How many rows were found to be as they were written.
    pub rows: i64,
    /// The first thing that is wrong.
    pub flaw: Option<String>,
    /// Other chains on the topic of audit.
    pub others: Vec<Uuid>,
}

impl Desk {
    /// A page of the audit.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn audit_page(
        &self,
        actor: &Actor,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<AuditPage, DeskError> {
        decide(actor, Action::Audit, Object::Everything)?;
        let mut rows = self.store.audit_rows(filter, limit.saturating_add(1)).await?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| has_more).map(|link| link.seq);
        Ok(AuditPage { rows, next })
    }

    /// Walks over all of the chain, beside what the topic of audit has of it.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn verify_audit(&self, actor: &Actor) -> Result<ChainState, DeskError> {
        decide(actor, Action::Audit, Object::Everything)?;
        let chain = self.store.audit_chain().await?;
        let sent = mirrored(&self.kafka, &self.catalogue, chain.unwrap_or_default()).await;
        let sent = sent.map_err(|error| DeskError::failed(&error))?;
        let (mut walk, mut after, mut flaw) = (Walk::beside(sent.links), i64::MIN, None);
        while flaw.is_none() {
            let rows = self.store.audit_behind(after, AT_ONCE).await?;
            let Some((last, _)) = rows.last() else {
                flaw = walk.end().err();
                break;
            };
            after = last.seq;
            flaw = rows.iter().find_map(|(link, is_sent)| walk.step(link, *is_sent).err());
        }
        let flaw = flaw.map(|flaw| flaw.to_string());
        Ok(ChainState { chain, rows: walk.rows(), flaw, others: sent.others.into_iter().collect() })
    }
}
