//! `event-bus inbox`: what a service's `processed_events` holds, and the removal of what is old.

use std::time::Duration;

use clap::Subcommand;
use event_bus::inbox::{self, KEEP, Purged};
use event_bus::kafka::admin::Admin;
use event_bus::store::InboxShare;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::global::Global;
use crate::outbox::At;
use crate::output::{Output, printable};
use crate::settings::Settings;

/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Subcommand)]
pub enum Command {
    /// Show how many events of each group and topic have a row, and since when. Reads the whole inbox
    Stats {
        #[command(flatten)]
        store: At,
    },
    /// Remove rows of events that the group has committed. What they said stays known by its position, so that an offset
    /// reset repeats nothing; rows of dead letters stay. Services may run meanwhile
    Purge {
        #[command(flatten)]
        store: At,
        /// Rows that are older than so many days; not fewer than the topic keeps its events
        #[arg(long, value_name = "DAYS", default_value_t = days(KEEP), value_parser = clap::value_parser!(u64).range(1..))]
        older_than: u64,
    },
}

impl Command {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let mut output = global.output();
        match self {
            Self::Stats { store } => show(&store.open().await?.inbox_shares().await?, &mut output)?,
            Self::Purge { store, older_than } => {
                let settings = Settings::of(global)?;
                let (admin, catalogue) =
                    (Admin::connect(&settings.kafka()?)?, settings.catalogue()?);
                let older_than = DAY * u32::try_from(older_than).unwrap_or(u32::MAX);
                let store = store.open().await?;
                show_purged(
                    &inbox::purge(&store, &admin, &catalogue, older_than).await?,
                    &mut output,
                )?;
            }
        }
        Ok(Exit::Done)
    }
}

const fn days(duration: Duration) -> u64 {
    duration.as_secs() / DAY.as_secs()
}

fn show(shares: &[InboxShare], output: &mut Output) -> anyhow::Result<()> {
    if output.is_json() {
        let shares: Vec<Value> = shares
            .iter()
            .map(|share| {
                json!({ "group": share.group, "topic": share.topic, "done": share.done, "dead": share.dead,
                        "oldest": share.oldest.to_string() })
            })
            .collect();
        return output.json_document(&shares);
    }
    let rows = shares.iter().map(|share| {
        vec![
            printable(&share.group),
            printable(&share.topic),
            share.done.to_string(),
            share.dead.to_string(),
            share.oldest.to_string(),
        ]
    });
    output.table(&["GROUP", "TOPIC", "DONE", "DEAD", "OLDEST"], rows)
}

fn show_purged(purged: &[Purged], output: &mut Output) -> anyhow::Result<()> {
    if output.is_json() {
        let purged: Vec<Value> = purged
            .iter()
            .map(|purged| {
                json!({ "group": purged.group, "topic": purged.topic, "removed": purged.removed,
                        "handled_below": purged.below })
            })
            .collect();
        return output.json_document(&purged);
    }
    let rows = purged.iter().map(|purged| {
        vec![purged.group.to_string(), purged.topic.to_string(), purged.removed.to_string()]
    });
    output.table(&["GROUP", "TOPIC", "REMOVED"], rows)
}
