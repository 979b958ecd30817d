//! Whether the audit of an ops store is still what was written: its rows, beside what the topic of audit has of them.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::chain::{Flaw, Walk};
use super::mirrored;
use crate::catalogue::Catalogue;
use crate::kafka::admin::Admin;
use crate::kafka::reader::ReadError;
use crate::store::ops::OpsStore;

/// So many rows are read at once.
const AT_ONCE: u32 = 1_000;

/// How an audit is.
#[derive(Debug)]
pub struct Verified {
    /// Which chain it is; none before the first row.
    pub chain: Option<Uuid>,
    /// How many rows were found to be as they were written.
    pub rows: i64,
    /// The first thing that is wrong.
    pub flaw: Option<Flaw>,
    /// Other chains on the topic of audit.
    pub others: BTreeSet<Uuid>,
}

/// Why it is not known how it is.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The store did not answer.
    #[error("the ops store did not answer")]
    Store(#[from] sqlx::Error),
    /// The topic of audit can't be read.
    #[error("the topic of audit can't be read")]
    Topic(#[from] ReadError),
}

/// Walks over all of a store's chain, which is to be the wanted one, beside what the topic of audit has of it, if it is to be
/// looked there.
///
/// # Errors
/// See [`VerifyError`].
pub async fn verify(
    store: &OpsStore,
    wanted: Option<Uuid>,
    topic: Option<(&Admin, &Catalogue)>,
) -> Result<Verified, VerifyError> {
    // A row that is sent once the topic was read, and called sent by the time that it is come to, would look missing there:
    // only what is called sent before the topic is read has to be on it.
    let sent_up_to = store.audit_sent_up_to().await?;
    let chain = store.audit_chain().await?;
    let (mut walk, mut others) = (Walk::default(), BTreeSet::new());
    if let Some((admin, catalogue)) = topic {
        let of = chain.or(wanted).unwrap_or_default();
        let on_topic = mirrored(admin, catalogue, of).await?;
        walk = Walk::beside(on_topic.links, sent_up_to);
        others = on_topic.others;
    }
    let flaw = match wanted {
        Some(wanted) if chain != Some(wanted) => Some(Flaw::OtherChain { wanted, found: chain }),
        _ => walked(store, &mut walk).await?,
    };
    Ok(Verified { chain, rows: walk.rows(), flaw, others })
}

/// The first thing that is wrong.
async fn walked(store: &OpsStore, walk: &mut Walk) -> Result<Option<Flaw>, sqlx::Error> {
    let mut after = i64::MIN;
    loop {
        let rows = store.audit_behind(after, AT_ONCE).await?;
        let Some(last) = rows.last() else { return Ok(walk.end().err()) };
        after = last.seq;
        if let Err(flaw) = rows.iter().try_for_each(|link| walk.step(link)) {
            return Ok(Some(flaw));
        }
    }
}
