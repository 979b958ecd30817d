//! `event-bus publish`: events from NDJSON.

mod lines;
mod seal;

use std::path::PathBuf;

use event_bus::dead_letter::error_chain;
use event_bus::kafka::admin::Admin;
use event_bus::kafka::producer::{Delivered, SendError};
use event_bus::names::{EventId, TenantId};
use event_bus::publisher::Publisher;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use serde_json::{Value, json};

use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::output::{Output, StdoutClosed};
use crate::progress;
use crate::settings::Settings;
use lines::Lines;
use seal::{BadLine, Sealer};

/// Lines sent and not yet acknowledged. Even at the record limit they fit the client's queue, which would otherwise
/// take them in another order when it has room again.
const UNDER_WAY: usize = 500;

#[derive(clap::Args)]
pub struct Args {
    /// The event, such as OrderPlaced
    event: String,
    /// On whose behalf; needed for lines that are a payload, and compared where they are an envelope
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Where the lines are; - is stdin
    #[arg(long, default_value = "-")]
    file: PathBuf,
    /// Stop at the first line that is not published
    #[arg(long)]
    strict: bool,
}

impl Args {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let catalogue = settings.catalogue()?;
        let Some(event) = catalogue.event(&self.event) else {
            let name = &self.event;
            return usage(format!(
                "the catalogue has no event {name}: `event-bus catalogue show` lists them"
            ));
        };
        let sealer = Sealer::new(&catalogue, event, self.tenant);
        let kafka = settings.kafka()?;
        // Asked first, because a client gives a topic half a minute to appear, for each line again.
        let topic = event.topic.clone();
        if !Admin::connect(&kafka)?.cluster().await?.topics.contains_key(&topic) {
            return Err(SendError::UnknownTopic { topic }.into());
        }
        let publisher = Publisher::connect(catalogue.clone(), &kafka)?;
        let mut lines = Lines::open(&self.file)?;
        let mut report = Report::new(global.output(), &lines);
        publish(&sealer, &publisher, &mut lines, &mut report, self.strict).await?;
        report.end()
    }
}

/// What became of one line.
enum Sent {
    Published { topic: String, event_id: EventId, delivered: Delivered },
    Bad(BadLine),
    NotAcknowledged(SendError),
}

async fn publish(
    sealer: &Sealer<'_>,
    publisher: &Publisher,
    lines: &mut Lines,
    report: &mut Report,
    strict: bool,
) -> anyhow::Result<()> {
    // Their first polls, in which records enter the client's queue, and their results come in the order of the lines.
    let mut under_way = FuturesOrdered::new();
    let mut may_read = true;
    loop {
        while may_read && under_way.len() < UNDER_WAY {
            let Some(line) = lines.next().await? else {
                may_read = false;
                break;
            };
            let sealed = sealer.seal(&line.bytes);
            // What stands before a bad line is still published and told first.
            may_read = !(strict && sealed.is_err());
            under_way.push_back(async move {
                let sent = match sealed {
                    Err(bad) => Sent::Bad(bad),
                    Ok(record) => {
                        let (topic, event_id) = (record.topic.to_string(), record.event_id);
                        match publisher.send(record).await {
                            Ok(delivered) => Sent::Published { topic, event_id, delivered },
                            Err(error) => Sent::NotAcknowledged(error),
                        }
                    }
                };
                (line.number, sent)
            });
        }
        let Some((number, sent)) = under_way.next().await else { return Ok(()) };
        if !report.tell(number, sent)? && strict {
            may_read = false;
        }
    }
}

/// Tells of each line, in order.
struct Report {
    /// `None` once nobody reads stdout; publishing goes on.
    output: Option<Output>,
    bar: indicatif::ProgressBar,
    published: u64,
    bad: u64,
}

impl Report {
    fn new(output: Output, lines: &Lines) -> Self {
        let bar = progress::bar_beside_results(lines.total(), "lines");
        Self { output: Some(output), bar, published: 0, bad: 0 }
    }

    /// Whether the line was published.
    fn tell(&mut self, line: u64, sent: Sent) -> anyhow::Result<bool> {
        self.bar.inc(1);
        let (error, violations) = match sent {
            Sent::Published { topic, event_id, delivered: Delivered { partition, offset } } => {
                self.published += 1;
                let text =
                    format!("line {line}  {event_id}  partition {partition}  offset {offset}");
                let json = json!({ "line": line, "event_id": event_id, "topic": topic, "partition": partition, "offset": offset });
                self.write(Some(&text), &json)?;
                return Ok(true);
            }
            Sent::Bad(bad) => (error_chain(&bad), bad.violations()),
            Sent::NotAcknowledged(error) => (error_chain(&error), Vec::new()),
        };
        self.bad += 1;
        self.bar.suspend(|| {
            eprintln!("line {line}: {error}");
            for violation in &violations {
                eprintln!("  {}: {}", pointer(&violation.pointer), violation.message);
            }
        });
        let violations: Vec<Value> = violations
            .into_iter()
            .map(|violation| json!({ "pointer": violation.pointer, "message": violation.message }))
            .collect();
        self.write(None, &json!({ "line": line, "error": error, "violations": violations }))?;
        Ok(false)
    }

    fn write(&mut self, text: Option<&str>, json: &Value) -> anyhow::Result<()> {
        let Some(output) = &mut self.output else { return Ok(()) };
        let written = match text {
            _ if output.is_json() => output.json_line(json),
            Some(text) => output.line(text),
            None => Ok(()),
        };
        self.unless_closed(written)
    }

    fn unless_closed(&mut self, written: anyhow::Result<()>) -> anyhow::Result<()> {
        match written {
            Err(error) if error.is::<StdoutClosed>() => self.output = None,
            other => return other,
        }
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<Exit> {
        self.bar.finish_and_clear();
        if let Some(output) = &mut self.output {
            let flushed = output.flush();
            self.unless_closed(flushed)?;
        }
        let Self { published, bad, .. } = self;
        eprintln!("{published} published, {bad} not");
        Ok(if bad == 0 { Exit::Done } else { Exit::Failed })
    }
}

/// The pointer to the payload as a whole is empty, which can't be seen.
fn pointer(pointer: &str) -> &str {
    if pointer.is_empty() { "(root)" } else { pointer }
}
