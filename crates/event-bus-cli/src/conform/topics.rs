//! `event-bus conform topics`: what producers do, told by what they wrote.

use std::time::Duration;

use event_bus::Catalogue;
use event_bus::conform::{Counted, Report, Rules, Sequence, Severity, inspect};
use event_bus::kafka::admin::{Admin, Position};
use event_bus::names::{ServiceName, TopicName};
use serde_json::json;

use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::output::{Output, printable};
use crate::settings::Settings;
use crate::{progress, selection};

#[derive(clap::Args)]
pub struct Args {
    /// Only this event or topic; may be given several times [default: all events that have a topic]
    #[arg(long = "topic", value_name = "EVENT|TOPIC")]
    topics: Vec<String>,
    /// Where to start: beginning, end, or a time such as 2025-06-01T10:30:00Z. What was written before the topic got more
    /// partitions is in those of then
    #[arg(long, default_value = "beginning", value_parser = selection::position)]
    from: Position,
    /// Only what this service published
    #[arg(long)]
    service: Option<ServiceName>,
    /// A number in the payload that never goes down for a key, such as BrandCatalogUpdated=/catalog_version; may be given
    /// several times
    #[arg(long = "sequence", value_name = "EVENT=POINTER")]
    sequences: Vec<Sequence>,
    /// An event whose id was made more seconds than this before that of one in front of it is out of order for certain
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    slack: u64,
}

impl Args {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let (catalogue, kafka) = (settings.catalogue()?, settings.kafka()?);
        let mut topics = selection::topics(&catalogue, &self.topics, false)?;
        if let Some(topic) = topics.iter().find(|topic| is_dead_letters(&catalogue, topic)) {
            return usage(format!(
                "{topic} holds dead letters, which `event-bus conform consumer` looks at"
            ));
        }
        if self.topics.is_empty() {
            topics = selection::existing(&Admin::connect(&kafka)?, topics).await?;
        }
        let slack = Duration::from_secs(self.slack);
        let rules = Rules { service: self.service, sequences: self.sequences, slack };
        let bar = progress::bar(Some(0), "records");
        let report = inspect(catalogue, &kafka, &topics, self.from, rules, |read, total| {
            bar.set_length(total);
            bar.set_position(read);
        });
        let report = report.await;
        bar.finish_and_clear();
        let report = report?;
        show(&report, &mut global.output())?;
        let is_broken = report.count(Severity::Violation) > 0;
        Ok(if is_broken { Exit::Difference } else { Exit::Done })
    }
}

fn is_dead_letters(catalogue: &Catalogue, topic: &TopicName) -> bool {
    catalogue.event_of_dead_letter_topic(topic).is_some()
}

fn show(report: &Report, output: &mut Output) -> anyhow::Result<()> {
    let (violations, warnings) =
        (report.count(Severity::Violation), report.count(Severity::Warning));
    let Report { records, replays, repeats, .. } = report;
    let found: Vec<Counted> = report.found().collect();
    if output.is_json() {
        return output.json_document(&json!({
            "records": records, "replays": replays, "repeats": repeats,
            "violations": violations, "warnings": warnings, "found": found,
        }));
    }
    if !found.is_empty() {
        let rows = found.iter().map(|Counted { service, kind, severity, count, example }| {
            let severity = match severity {
                Severity::Violation => "violation",
                Severity::Warning => "warning",
            };
            let at = format!("{}[{}]@{}", example.topic, example.partition, example.offset);
            let (service, what) = (printable(service), printable(&example.what));
            vec![service, severity.into(), kind.to_string(), count.to_string(), at, what]
        });
        output.table(&["SERVICE", "", "WHAT", "RECORDS", "FIRST", "OF THE FIRST"], rows)?;
    }
    output.line(&format!(
        "{records} records ({replays} replays, {repeats} sent again): {violations} violations, {warnings} warnings"
    ))?;
    output.flush()
}
