//! `event-bus dlq foreign`: dead letters that other frameworks wrote.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Subcommand;
use event_bus::dead_letters::Progress;
use event_bus::dead_letters::foreign::{
    Family, Foreign, ForeignFilter, Redrive, RedriveRefusal, Redriven, Redrove, read_foreign,
};
use event_bus::kafka::Record;
use event_bus::kafka::admin::Admin;
use event_bus::names::TopicName;
use event_bus::publisher::Publisher;
use event_bus::{Catalogue, KafkaConfig};
use serde_json::{Value, json};

use super::Assent;
use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::output::{Output, printable};
use crate::progress;
use crate::settings::Settings;

#[derive(Subcommand)]
pub enum Command {
    /// Show what is on topics for dead letters of other frameworks, the latest first
    List {
        /// The topics
        #[arg(required = true)]
        topics: Vec<TopicName>,
        #[command(flatten)]
        filters: Filters,
        /// At most so many; 0 for all
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Send dead letters of other frameworks to where they came from, for all who read there: the same key and value,
    /// and the headers without those that the framework added. What is sent twice is there twice
    Redrive {
        /// The topic that they are on
        topic: TopicName,
        #[command(flatten)]
        filters: Filters,
        /// All of them
        #[arg(long, conflicts_with_all = ["partition", "family", "original_topic", "text"])]
        all: bool,
        /// To this topic [default: the original one, and there the original partition]
        #[arg(long, value_name = "TOPIC")]
        to: Option<TopicName>,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        /// Why, for those who ask later
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        assent: Assent,
    },
}

/// Options that choose dead letters. Those that may be given several times are for one or the other.
#[derive(clap::Args)]
#[command(next_help_heading = "Which dead letters")]
pub struct Filters {
    /// In this partition of the topic
    #[arg(long)]
    partition: Option<i32>,
    /// At this offset of the partition
    #[arg(long, requires = "partition")]
    offset: Option<i64>,
    /// Of this framework
    #[arg(long, value_parser = Family::NAMES)]
    family: Vec<String>,
    /// From this original topic
    #[arg(long, value_name = "TOPIC")]
    original_topic: Vec<String>,
    /// With this text in the error, the group or the key
    #[arg(long)]
    text: Option<String>,
}

impl Filters {
    fn filter(self) -> ForeignFilter {
        let Self { partition, offset, family: families, original_topic: topics, text } = self;
        ForeignFilter { partition, offset, families, topics, text }
    }
}

/// What both of the commands need.
struct Desk {
    catalogue: Arc<Catalogue>,
    kafka: KafkaConfig,
    output: Output,
}

impl Command {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let (catalogue, kafka) = (settings.catalogue()?, settings.kafka()?);
        let mut desk = Desk { catalogue, kafka, output: global.output() };
        match self {
            Self::List { topics, filters, limit } => {
                desk.list(&topics, &filters.filter(), limit).await?;
                Ok(Exit::Done)
            }
            Self::Redrive { topic, filters, all, to, dry_run, reason, assent } => {
                let filter = filters.filter();
                if filter == ForeignFilter::default() && !all && !dry_run {
                    return usage(
                        "which dead letters to redrive? Give --partition and --offset, options such as --text, or --all",
                    );
                }
                let plan = desk.plan(topic, &filter, to.as_ref()).await?;
                if dry_run {
                    desk.would_redrive(&plan)?;
                    return Ok(Exit::Done);
                }
                desk.redrive(plan, reason.as_deref(), &assent).await
            }
        }
    }
}

impl Desk {
    async fn read(
        &self,
        topics: &[TopicName],
        filter: &ForeignFilter,
        found: impl FnMut(Foreign, Record),
    ) -> anyhow::Result<()> {
        let mut bar = progress::bar(None, "records");
        let told = |progress| match progress {
            Progress::Of(total) => bar = progress::bar(Some(total), "records"),
            Progress::Read(more) => bar.inc(more),
        };
        read_foreign(&self.kafka, topics, filter, told, found).await?;
        bar.finish_and_clear();
        Ok(())
    }

    async fn list(
        &mut self,
        topics: &[TopicName],
        filter: &ForeignFilter,
        limit: usize,
    ) -> anyhow::Result<()> {
        let mut letters = Vec::new();
        self.read(topics, filter, |letter, _| letters.push(letter)).await?;
        letters
            .sort_by_key(|letter| (Reverse(letter.written_at), Reverse(letter.dead_letter_offset)));
        let total = letters.len();
        if limit > 0 {
            letters.truncate(limit);
        }
        if self.output.is_json() {
            for letter in &letters {
                self.output.json_line(letter)?;
            }
            return self.output.flush();
        }
        let header = ["FAMILY", "DEAD LETTER", "FAILED AT", "ORIGINAL", "GROUP", "ERROR"];
        self.output.table(&header, letters.iter().map(cells))?;
        if letters.len() < total {
            eprintln!("event-bus: {} of {total} dead letters; --limit shows more", letters.len());
        }
        Ok(())
    }

    async fn plan(
        &self,
        topic: TopicName,
        filter: &ForeignFilter,
        to: Option<&TopicName>,
    ) -> anyhow::Result<Redrive> {
        let mut letters = Vec::new();
        self.read(&[topic], filter, |letter, record| letters.push((letter, record))).await?;
        let cluster = Admin::connect(&self.kafka)?.cluster().await?;
        Ok(Redrive::plan(&self.catalogue, &cluster, to, letters))
    }

    fn would_redrive(&mut self, plan: &Redrive) -> anyhow::Result<()> {
        let mut counts: BTreeMap<(Family, &str), u64> = BTreeMap::new();
        for Redriven { letter, record } in &plan.records {
            *counts.entry((letter.family, record.topic.as_str())).or_default() += 1;
        }
        if self.output.is_json() {
            let rows = counts.iter().map(
                |((family, to), count)| json!({ "family": family, "to": to, "letters": count }),
            );
            return self.output.json_document(&json!({
                "would_redrive": plan.records.len(), "rows": rows.collect::<Vec<_>>(), "refused": refused(plan),
            }));
        }
        let cells = counts.iter().map(|((family, to), count)| {
            vec![family.to_string(), (*to).to_owned(), count.to_string()]
        });
        self.output.table(&["FAMILY", "TO", "LETTERS"], cells)?;
        self.output.line(&format!("{} would be redriven", plan.records.len()))?;
        self.output.flush()?;
        tell_refused(&plan.refused);
        Ok(())
    }

    async fn redrive(
        &mut self,
        plan: Redrive,
        reason: Option<&str>,
        assent: &Assent,
    ) -> anyhow::Result<Exit> {
        tell_refused(&plan.refused);
        let letters = plan.records.len();
        assent.allows(letters as u64, "redrive")?;
        let refused_here = plan.refused.len();
        let publisher = Publisher::connect(Arc::clone(&self.catalogue), &self.kafka)?;
        let Redrove { id, letters, refused } =
            plan.carry_out(&publisher, &assent.operator.by, reason).await?;
        if refused > 0 {
            eprintln!("event-bus: {refused} refused by Kafka: they are too large for their topic");
        }
        if self.output.is_json() {
            self.output.json_line(&json!({ "redriven": letters, "redrive": id }))?;
        } else {
            self.output.line(&format!("{letters} redriven"))?;
        }
        self.output.flush()?;
        Ok(if refused_here == 0 && refused == 0 { Exit::Done } else { Exit::Failed })
    }
}

fn cells(letter: &Foreign) -> Vec<String> {
    let says = &letter.says;
    let shown = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), printable);
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    let error = [&says.error_type, &says.message].map(Option::as_deref);
    let error: Vec<&str> = error.into_iter().flatten().collect();
    vec![
        letter.family.to_string(),
        format!(
            "{}/{}/{}",
            letter.dead_letter_topic, letter.dead_letter_partition, letter.dead_letter_offset
        ),
        says.failed_at.or(letter.written_at).map_or("-".to_owned(), |at| at.to_string()),
        [shown(&says.topic), number(says.partition.map(i64::from)), number(says.offset)].join("/"),
        shown(&says.group),
        printable(&error.join(": ")),
    ]
}

fn refused(plan: &Redrive) -> Vec<Value> {
    let refused = plan.refused.iter().map(|(letter, refusal)| {
        json!({ "partition": letter.dead_letter_partition, "offset": letter.dead_letter_offset,
                "why": refusal.to_string() })
    });
    refused.collect()
}

/// Says of each reason how often it was and where it was first.
fn tell_refused(refused: &[(Foreign, RedriveRefusal)]) {
    let mut counts: BTreeMap<String, (u64, &Foreign)> = BTreeMap::new();
    for (letter, refusal) in refused {
        counts.entry(refusal.to_string()).or_insert((0, letter)).0 += 1;
    }
    for (refusal, (count, first)) in counts {
        let Foreign { dead_letter_topic, dead_letter_partition, dead_letter_offset, .. } = first;
        eprintln!(
            "event-bus: {count} left out, the first at offset {dead_letter_offset} of partition {dead_letter_partition} of \
             {dead_letter_topic}: {}",
            printable(&refusal)
        );
    }
}
