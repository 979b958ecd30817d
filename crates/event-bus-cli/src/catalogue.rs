//! `event-bus catalogue`: what the contract is, whether it is sound, and what follows from it for others.

mod diff;
mod export;
mod source;
mod usage;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use event_bus::Catalogue;
use event_bus::catalogue::{Event, Execution, LoadError, Retention};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::global::Global;
use crate::output::Output;
use crate::settings::Settings;
use export::Export;

#[derive(Subcommand)]
pub enum Command {
    /// Check a catalogue file and its schemas, naming every problem and its cure
    Check {
        /// The file [default: the catalogue that the other commands use]
        file: Option<PathBuf>,
    },
    /// Show events, topics, dead letter topics and consumer groups
    Show,
    /// Tell whether a change of the catalogue breaks a producer or a consumer, by what it reads; exits with 3 where it does
    Diff(diff::Args),
    /// Tell from the topics which versions are still published, by whom, and which groups have passed the last of them
    Usage(usage::Args),
    /// Write a file that follows from the catalogue to stdout
    #[command(subcommand)]
    Export(Export),
}

impl Command {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let mut output = global.output();
        match self {
            Self::Check { file } => {
                check(file.as_deref().or(settings.catalogue_file()), &mut output)
            }
            Self::Show => show(&*settings.catalogue()?, &mut output),
            Self::Diff(args) => args.run(&settings, &mut output),
            Self::Usage(args) => args.run(&settings, &mut output).await,
            Self::Export(export) => export.run(&settings, &mut output),
        }
    }
}

fn check(file: Option<&Path>, output: &mut Output) -> anyhow::Result<Exit> {
    let loaded = match file {
        Some(file) => Catalogue::load(file),
        None => Ok(blindstrader::catalogue()),
    };
    match loaded {
        Ok(catalogue) => {
            let (events, services) = (catalogue.events().count(), catalogue.services().count());
            if output.is_json() {
                output.json_document(
                    &json!({ "events": events, "services": services, "problems": [] }),
                )?;
            } else {
                let namespace = catalogue.namespace();
                output.line(&format!(
                    "{namespace}: {events} events and {services} services, no problems"
                ))?;
                output.flush()?;
            }
            Ok(Exit::Done)
        }
        Err(LoadError { problems, .. }) => {
            if output.is_json() {
                let problems: Vec<Value> = problems
                    .iter()
                    .map(|p| json!({ "file": p.file, "entry": p.entry, "what": p.what, "cure": p.cure }))
                    .collect();
                output.json_document(&json!({ "problems": problems }))?;
            } else {
                for problem in &problems {
                    eprintln!("{problem}");
                }
                let count = problems.len();
                eprintln!(
                    "event-bus: the catalogue has {count} problem{}",
                    if count == 1 { "" } else { "s" }
                );
            }
            Ok(Exit::Difference)
        }
    }
}

fn show(catalogue: &Catalogue, output: &mut Output) -> anyhow::Result<Exit> {
    if output.is_json() {
        output.json_document(&document(catalogue))?;
        return Ok(Exit::Done);
    }
    let header =
        ["EVENT", "VERSIONS", "TOPIC", "DEAD LETTER TOPIC", "KEY", "PRODUCER", "CONSUMER GROUPS"];
    let rows = catalogue.events().map(|event| {
        let groups: Vec<&str> =
            event.consumers.iter().map(|consumer| consumer.group.as_str()).collect();
        vec![
            event.name.to_string(),
            versions(event).join(" "),
            event.topic.to_string(),
            event.dead_letter_topic.to_string(),
            event.key.pointers().collect::<Vec<_>>().join(" "),
            event.producer.to_string(),
            groups.join("\n"),
        ]
    });
    output.table(&header, rows)?;
    Ok(Exit::Done)
}

fn versions(event: &Event) -> Vec<String> {
    event.versions.iter().map(|version| version.version.to_string()).collect()
}

fn document(catalogue: &Catalogue) -> Value {
    let services: Vec<Value> = catalogue
        .services()
        .map(|(service, title)| json!({ "service": service, "title": title }))
        .collect();
    let events: Vec<Value> = catalogue.events().map(|event| of_event(event)).collect();
    json!({ "namespace": catalogue.namespace(), "services": services, "events": events })
}

fn of_event(event: &Event) -> Value {
    let consumers: Vec<Value> = event
        .consumers
        .iter()
        .map(|consumer| {
            json!({
                "service": consumer.service,
                "group": consumer.group,
                "retry_ms": consumer.retry.iter().map(|wait| millis(*wait)).collect::<Vec<_>>(),
                "execution": match consumer.execution {
                    Execution::Batched => "batched".to_owned(),
                    Execution::Concurrent(n) => format!("concurrent({n})"),
                },
                "handler_timeout_ms": millis(consumer.handler_timeout),
                "reads": consumer.reads,
                "major": consumer.major,
            })
        })
        .collect();
    json!({
        "event": event.name,
        "description": event.description,
        "versions": versions(event),
        "short_topic": event.short_topic,
        "topic": event.topic,
        "dead_letter_topic": event.dead_letter_topic,
        "producer": event.producer,
        "key": event.key.pointers().collect::<Vec<_>>(),
        "personal_data": event.personal_data,
        "partitions": event.partitions,
        "replication": event.replication,
        "min_insync_replicas": event.min_insync_replicas,
        "retention_ms": retention(event.retention),
        "dlq_retention_ms": retention(event.dlq_retention),
        "lag_warning": event.lag.warning,
        "lag_critical": event.lag.critical,
        "consumers": consumers,
    })
}

/// Milliseconds; `null` for ever.
fn retention(retention: Retention) -> Value {
    match retention {
        Retention::Unlimited => Value::Null,
        Retention::For(duration) => millis(duration).into(),
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
