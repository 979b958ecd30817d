//! `event-bus trace`: the way of an order, an organisation or an event through all topics.

use event_bus::kafka::admin::{Admin, Position};
use event_bus::kafka::reader::{Reader, Until};
use event_bus_ops::seen::Seen;
use event_bus_ops::trace::{carries, in_time_order, whole_payload};

use crate::exit::Exit;
use crate::global::Global;
use crate::settings::Settings;
use crate::{progress, selection, view};

#[derive(clap::Args)]
pub struct Args {
    /// An id: a part of the record key, any text in the payload, or an event id; whole, not a part of one
    value: String,
}

impl Args {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let catalogue = settings.catalogue()?;
        let kafka = settings.kafka()?;
        let topics = selection::topics(&catalogue, &[], true)?;
        let topics = selection::existing(&Admin::connect(&kafka)?, topics).await?;
        let mut reader = Reader::start(&kafka, &topics, Position::Start, Until::CaughtUp).await?;
        let bar = progress::bar(Some(reader.total()), "records");
        let mut found = Vec::new();
        while let Some(records) = reader.next().await? {
            bar.inc(records.len() as u64);
            let seen = records.into_iter().map(|record| Seen::new(record, &catalogue));
            found.extend(seen.filter(|seen| carries(seen, whole_payload(seen), &self.value)));
        }
        bar.finish_and_clear();
        in_time_order(&mut found);
        let mut output = global.output();
        for seen in &found {
            if output.is_json() {
                output.json_line(&seen.json())?;
            } else {
                output.line(&view::line(seen, None))?;
            }
        }
        output.flush()?;
        if found.is_empty() {
            eprintln!("event-bus: no event carries {}", self.value);
        }
        Ok(Exit::Done)
    }
}
