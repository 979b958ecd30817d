//! `event-bus tail`: events as they come.

use std::io::{IsTerminal, stdout};

use event_bus::kafka::admin::{Admin, Position};
use event_bus::kafka::reader::{Reader, Until};
use event_bus_ops::seen::Seen;

use crate::exit::Exit;
use crate::global::Global;
use crate::settings::Settings;
use crate::{selection, view};

/// How much of a payload a terminal shows; elsewhere it is whole.
const PAYLOAD_CHARS_MAX: usize = 200;

#[derive(clap::Args)]
pub struct Args {
    /// Events or topics, dead letter topics too [default: all events]
    #[arg(value_name = "EVENT|TOPIC")]
    topics: Vec<String>,
    /// Where to start: beginning, end, or a time such as 2025-06-01T10:30:00Z
    #[arg(long, default_value = "end", value_parser = selection::position)]
    from: Position,
    /// Only this tenant's events
    #[arg(long)]
    tenant: Option<String>,
    /// Only events with this record key
    #[arg(long)]
    key: Option<String>,
    /// Stop after so many events
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// Stop at the end of what is there now, instead of waiting for more
    #[arg(long)]
    until_end: bool,
    /// Also the dead letter topics of the chosen events
    #[arg(long)]
    dlq: bool,
}

impl Args {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let catalogue = settings.catalogue()?;
        let kafka = settings.kafka()?;
        let mut topics = selection::topics(&catalogue, &self.topics, self.dlq)?;
        if self.topics.is_empty() {
            topics = selection::existing(&Admin::connect(&kafka)?, topics).await?;
        }
        let until = if self.until_end { Until::CaughtUp } else { Until::Stopped };
        let mut reader = Reader::start(&kafka, &topics, self.from, until).await?;
        let mut output = global.output();
        let payload_chars_max = stdout().is_terminal().then_some(PAYLOAD_CHARS_MAX);
        let mut shown = 0;
        while self.max.is_none_or(|max| shown < max)
            && let Some(records) = reader.next().await?
        {
            let seen = records.into_iter().map(|record| Seen::new(record, &catalogue));
            for seen in seen.filter(|seen| self.is_asked(seen)) {
                if output.is_json() {
                    output.json_line(&seen.json())?;
                } else {
                    output.line(&view::line(&seen, payload_chars_max))?;
                }
                shown += 1;
                if self.max == Some(shown) {
                    break;
                }
            }
            output.flush()?;
        }
        Ok(Exit::Done)
    }

    fn is_asked(&self, seen: &Seen) -> bool {
        let tenant = self.tenant.as_deref().is_none_or(|tenant| seen.tenant() == Some(tenant));
        let key = self.key.as_deref().is_none_or(|key| seen.key().as_deref() == Some(key));
        tenant && key
    }
}
