//! `event-bus outbox`: rows that can never be sent as they are, and what is decided about them.

use clap::Subcommand;
use event_bus::store::{Discarded, Quarantined, Store};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::global::Global;
use crate::output::{Output, printable};

#[derive(Subcommand)]
pub enum Command {
    /// Make the outbox's tables, for a database whose service is not built on the library; make the database if need be
    Init {
        #[command(flatten)]
        store: At,
    },
    /// Show the rows that are quarantined, or that were discarded
    List {
        #[command(flatten)]
        store: At,
        /// Those that were discarded
        #[arg(long)]
        discarded: bool,
    },
    /// Send a quarantined row again, and what waits behind it: its cause is removed
    Retry {
        /// The row's id
        id: i64,
        #[command(flatten)]
        store: At,
    },
    /// Never send a quarantined row, and let what waits behind it go. The row is kept with the reason
    Discard {
        /// The row's id
        id: i64,
        /// Why, for those who ask later
        #[arg(long, value_parser = reason)]
        reason: String,
        #[command(flatten)]
        store: At,
    },
}

/// Which database.
#[derive(clap::Args)]
pub struct At {
    /// The service's database, sqlite://… or postgres://…
    #[arg(long = "store", value_name = "URL")]
    url: String,
}

impl At {
    pub async fn open(&self) -> anyhow::Result<Store> {
        Ok(Store::open_existing(&self.url).await?)
    }
}

impl Command {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let mut output = global.output();
        match self {
            Self::Init { store } => drop(Store::open(&store.url, &[]).await?),
            Self::List { store, discarded: false } => {
                show(&store.open().await?.quarantined().await?, &mut output)?;
            }
            Self::List { store, discarded: true } => {
                show_discarded(&store.open().await?.discarded().await?, &mut output)?;
            }
            Self::Retry { id, store } => {
                lifted(store.open().await?.retry_quarantined(id).await?, &mut output)?;
            }
            Self::Discard { id, reason, store } => {
                lifted(store.open().await?.discard_quarantined(id, &reason).await?, &mut output)?;
            }
        }
        Ok(Exit::Done)
    }
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("say why".to_owned()) } else { Ok(text.to_owned()) }
}

fn lifted(rows: u64, output: &mut Output) -> anyhow::Result<()> {
    if output.is_json() {
        output.json_line(&json!({ "rows": rows }))?;
    } else {
        output.line(&format!("{rows} rows may be sent now"))?;
    }
    output.flush()
}

fn key_text(key: Option<&[u8]>) -> String {
    key.map_or_else(|| "-".to_owned(), |key| printable(&String::from_utf8_lossy(key)))
}

fn show(rows: &[Quarantined], output: &mut Output) -> anyhow::Result<()> {
    if output.is_json() {
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| {
                json!({ "id": row.id, "event_id": row.event_id, "topic": row.topic,
                        "key": row.key.as_deref().map(String::from_utf8_lossy), "error": row.error,
                        "since": row.since, "behind": row.behind })
            })
            .collect();
        return output.json_document(&rows);
    }
    let cells = |row: &Quarantined| {
        vec![
            row.id.to_string(),
            printable(&row.topic),
            key_text(row.key.as_deref()),
            row.since.clone(),
            row.behind.to_string(),
            printable(&row.error),
        ]
    };
    output.table(&["ID", "TOPIC", "KEY", "SINCE", "BEHIND", "ERROR"], rows.iter().map(cells))
}

fn show_discarded(rows: &[Discarded], output: &mut Output) -> anyhow::Result<()> {
    if output.is_json() {
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| {
                json!({ "id": row.id, "event_id": row.event_id, "topic": row.topic,
                        "key": row.key.as_deref().map(String::from_utf8_lossy), "error": row.error,
                        "reason": row.reason, "at": row.at })
            })
            .collect();
        return output.json_document(&rows);
    }
    let cells = |row: &Discarded| {
        vec![
            row.id.to_string(),
            printable(&row.topic),
            key_text(row.key.as_deref()),
            row.at.clone(),
            printable(&row.reason),
            printable(&row.error),
        ]
    };
    output.table(&["ID", "TOPIC", "KEY", "DISCARDED", "REASON", "ERROR"], rows.iter().map(cells))
}
