//! `event-bus audit`: whether what was done is still what was written.

use anyhow::Context;
use clap::Subcommand;
use event_bus::audit::chain::{Flaw, Walk};
use event_bus::audit::mirrored;
use event_bus::store::ops::OpsStore;
use serde_json::json;
use uuid::Uuid;

use crate::exit::Exit;
use crate::global::Global;
use crate::ops::Where;
use crate::settings::Settings;

/// So many rows are read at once.
const AT_ONCE: u32 = 1_000;

#[derive(Subcommand)]
pub enum Command {
    /// Walk over the audit of an ops store, and tell the first row that was changed, removed or reordered; exits with 3 then
    Verify {
        #[command(flatten)]
        at: Where,
        /// The chain that the store had, as this command told it before: a store that was replaced has another
        #[arg(long, value_name = "ID")]
        chain: Option<Uuid>,
        /// Look at the store alone, and not at the topic of audit: rows that are cut off at the end are not found then
        #[arg(long)]
        store_only: bool,
    },
}

impl Command {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let Self::Verify { at, chain, store_only } = self;
        let store = at.open().await?;
        let verified = verify(global, &store, chain, store_only).await;
        store.close().await;
        verified
    }
}

async fn verify(
    global: &Global,
    store: &OpsStore,
    wanted: Option<Uuid>,
    store_only: bool,
) -> anyhow::Result<Exit> {
    let mut output = global.output();
    let chain = store.audit_chain().await.context("the ops store did not answer")?;
    let (mut walk, mut others) = (Walk::default(), Vec::new());
    if !store_only {
        let settings = Settings::of(global)?;
        let of = chain.or(wanted).unwrap_or_default();
        let sent = mirrored(&settings.kafka()?, &*settings.catalogue()?, of).await?;
        walk = Walk::beside(sent.links);
        others = sent.others.into_iter().collect();
    }
    let flaw = match wanted {
        Some(wanted) if chain != Some(wanted) => Some(format!(
            "the store has the chain {}, and not {wanted}",
            chain.map_or("none".to_owned(), |chain| chain.to_string())
        )),
        _ => walked(store, &mut walk).await?.map(|flaw| flaw.to_string()),
    };
    if output.is_json() {
        output.json_document(&json!({
            "chain": chain, "rows": walk.rows(), "flaw": flaw, "other_chains": others,
        }))?;
    } else {
        let name = chain.map_or("no chain".to_owned(), |chain| format!("chain {chain}"));
        match &flaw {
            None => output.line(&format!(
                "{name}: {} rows, none changed, missing or reordered",
                walk.rows()
            ))?,
            Some(flaw) => output.line(&format!("{name}: {flaw}"))?,
        }
        for other in &others {
            output.line(&format!("the topic of audit also has the chain {other}: of another ops store, or of this one before"))?;
        }
        output.flush()?;
    }
    Ok(if flaw.is_none() { Exit::Done } else { Exit::Difference })
}

/// The first thing that is wrong.
async fn walked(store: &OpsStore, walk: &mut Walk) -> anyhow::Result<Option<Flaw>> {
    let mut after = i64::MIN;
    loop {
        let rows = store.audit_behind(after, AT_ONCE).await;
        let rows = rows.context("the ops store did not answer")?;
        let Some((last, _)) = rows.last() else { return Ok(walk.end().err()) };
        after = last.seq;
        for (link, is_sent) in &rows {
            if let Err(flaw) = walk.step(link, *is_sent) {
                return Ok(Some(flaw));
            }
        }
    }
}
