//! Dead letters go back with other values, many at once.

use std::path::PathBuf;

use anyhow::Context;
use event_bus_ops::api::Repaired;
use event_bus_ops::patch::Patch;
use serde_json::json;

use super::edit::{changes_of, tell_changes};
use super::pages;
use crate::output::{Output, printable};

/// Options of `dlq repair`.
#[derive(clap::Args)]
pub struct RepairOptions {
    /// The file with the change: a JSON Patch (RFC 6902), whose `test` operations leave out what they don't fit
    #[arg(long, value_name = "FILE")]
    patch: PathBuf,
    /// Why, for those who ask later
    #[arg(long)]
    pub reason: String,
    /// Say what would be changed, check it, and send nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl RepairOptions {
    /// The change.
    pub fn read(&self) -> anyhow::Result<Patch> {
        let file = self.patch.display();
        let text = std::fs::read(&self.patch)
            .with_context(|| format!("the patch can't be read from {file}"))?;
        serde_json::from_slice(&text).with_context(|| format!("{file} is no JSON Patch (RFC 6902)"))
    }
}

/// Tells what was changed, or would be.
pub(super) fn tell(output: &mut Output, repaired: &Repaired) -> anyhow::Result<()> {
    if output.is_json() {
        let samples = repaired.samples.iter().map(|sample| {
            let changes = changes_of(sample.old.as_bytes(), sample.new.as_bytes());
            json!({ "id": sample.id, "changes": changes })
        });
        return output.json_document(&json!({
            "letters": repaired.letters,
            "replay": repaired.replay,
            "left_out": repaired.left_out,
            "refused": repaired.refused,
            "samples": samples.collect::<Vec<_>>(),
        }));
    }
    for sample in &repaired.samples {
        output.line(&sample.id.to_string())?;
        let changes = changes_of(sample.old.as_bytes(), sample.new.as_bytes());
        tell_changes(output, "  ", &changes)?;
    }
    for (id, why) in &repaired.left_out {
        output.line(&format!("{id} stays: {}", printable(why)))?;
    }
    match repaired.replay {
        None => output.line(&format!("{} would be repaired", repaired.letters))?,
        Some(_) => pages::done(output, "repaired", repaired.letters, repaired.replay)?,
    }
    output.flush()?;
    pages::tell_refused(&repaired.refused);
    Ok(())
}
