//! `event-bus audit`: whether what was done is still what was written.

use clap::Subcommand;
use event_bus::audit::Verified;
use event_bus::kafka::admin::Admin;
use event_bus::store::ops::OpsStore;
use serde_json::json;
use uuid::Uuid;

use crate::exit::Exit;
use crate::global::Global;
use crate::ops::Where;
use crate::settings::Settings;

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
    let verified = if store_only {
        event_bus::audit::verify(store, wanted, None).await
    } else {
        let settings = Settings::of(global)?;
        let (kafka, catalogue) = (settings.kafka()?, settings.catalogue()?);
        event_bus::audit::verify(store, wanted, Some((&Admin::connect(&kafka)?, &catalogue))).await
    };
    let Verified { chain, rows, flaw, others } = verified?;
    let flaw = flaw.map(|flaw| flaw.to_string());
    if output.is_json() {
        output.json_document(&json!({
            "chain": chain, "rows": rows, "flaw": flaw, "other_chains": others,
        }))?;
    } else {
        let name = chain.map_or("no chain".to_owned(), |chain| format!("chain {chain}"));
        match &flaw {
            None => {
                output.line(&format!("{name}: {rows} rows, none changed, missing or reordered"))?;
            }
            Some(flaw) => output.line(&format!("{name}: {flaw}"))?,
        }
        for other in &others {
            output.line(&format!("the topic of audit also has the chain {other}: of another ops store, or of this one before"))?;
        }
        output.flush()?;
    }
    Ok(if flaw.is_none() { Exit::Done } else { Exit::Difference })
}
