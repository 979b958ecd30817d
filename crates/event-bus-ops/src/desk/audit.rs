//! What everybody did, and whether it is still what was written.

use event_bus::audit::chain::Link;
use event_bus::audit::verify;
use event_bus::store::ops::AuditFilter;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Desk, DeskError};
use crate::access::policy::{Action, Actor, Object, decide};

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
        let _place = self.place_to_read()?;
        let topic = Some((&self.admin, &*self.catalogue));
        let verified = verify(&self.store, None, topic).await;
        let verified = verified.map_err(|error| DeskError::failed(&error))?;
        Ok(ChainState {
            chain: verified.chain,
            rows: verified.rows,
            flaw: verified.flaw.map(|flaw| flaw.to_string()),
            others: verified.others.into_iter().collect(),
        })
    }
}
