//! `event-bus replay`: a group runs a range of the log again.

use std::sync::Arc;

use clap::{Args as ClapArgs, ValueEnum};
use event_bus::catalogue::Catalogue;
use event_bus::control::Asker;
use event_bus::kafka::KafkaConfig;
use event_bus::kafka::admin::Admin;
use event_bus::names::GroupName;
use event_bus::publisher::Publisher;
use event_bus::rerun::{DryRun, MOST_TRIED, Mode, Only, Planned, Range, RerunError};
use event_bus::reset::Target;
use event_bus::store::Store;
use serde_json::json;

use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::operator::Operator;
use crate::output::{Output, printable};
use crate::settings::Settings;

/// More records than this are run again only with `--yes`.
const WITHOUT_YES: u64 = 1_000;

#[derive(ClapArgs)]
pub struct Args {
    /// The event, by its name or topic
    event: String,
    /// The consumer group that runs it again
    #[arg(long, value_name = "GROUP")]
    into: GroupName,
    /// From where: earliest, an offset, -N for N records back, or a time such as 2025-06-01T10:30:00Z
    #[arg(long, allow_hyphen_values = true)]
    from: Target,
    /// Up to where, not included [default: where the group is]
    #[arg(long, allow_hyphen_values = true)]
    to: Option<Target>,
    /// Only events of this key
    #[arg(long)]
    key: Option<String>,
    /// Only events of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// What is to take effect
    #[arg(long, value_enum, default_value_t = How::Redeliver)]
    mode: How,
    /// Send what handlers emit once more, under the ids that it had; else it goes nowhere
    #[arg(long)]
    emit: bool,
    /// So many events of each partition are tried by a dry run
    #[arg(long, value_name = "N", default_value_t = MOST_TRIED)]
    most: u64,
    /// Also more than 1,000 records
    #[arg(long)]
    yes: bool,
    /// The service's database, for a group whose service is stopped
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Why, for those who ask later
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    /// What never took effect; everything else is skipped
    Redeliver,
    /// All of it, as if it had never been: for a projection that was dropped
    Reprocess,
    /// Nothing: handlers run in transactions that are rolled back, and what would change is told
    DryRun,
}

/// What a range is to be done with.
struct Work<'a> {
    catalogue: Arc<Catalogue>,
    kafka: &'a KafkaConfig,
    admin: Admin,
    output: Output,
}

impl Args {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let (catalogue, kafka) = (settings.catalogue()?, settings.kafka()?);
        if self.emit && self.mode != How::Reprocess {
            return usage("--emit is for --mode reprocess: nothing else is sent twice");
        }
        if self.mode == How::DryRun && self.store.is_some() {
            return usage("--store is for a stopped service, and a dry run needs one that runs");
        }
        let Some(event) =
            catalogue.event(&self.event).or_else(|| catalogue.event_of_topic(&self.event))
        else {
            return usage(format!(
                "the catalogue has no event {}: `event-bus catalogue show` lists them",
                self.event
            ));
        };
        let range = Range {
            group: self.into.clone(),
            topic: event.topic.clone(),
            from: self.from,
            to: self.to,
            only: Only { key: self.key.clone(), tenant: self.tenant.clone() },
        };
        let admin = Admin::connect(&kafka)?;
        let planned = range.plan(&catalogue, &admin).await.or_else(by_its_kind)?;
        let mut work = Work { catalogue, kafka: &kafka, admin, output: global.output() };
        if self.mode == How::DryRun {
            let told = self.try_out(&planned, &work).await?;
            show_trial(&planned, &told, &mut work.output)?;
            return Ok(if told.failed > 0 { Exit::Difference } else { Exit::Done });
        }
        let records = planned.records();
        if records > WITHOUT_YES && !self.yes {
            return usage(format!("{records} records to run again: say --yes if that is meant"));
        }
        self.run_again(&planned, &work).await.or_else(by_its_kind)?;
        show(&planned, &mut work.output)?;
        Ok(Exit::Done)
    }

    async fn try_out(&self, planned: &Planned, work: &Work<'_>) -> anyhow::Result<DryRun> {
        let publisher = Arc::new(Publisher::connect(Arc::clone(&work.catalogue), work.kafka)?);
        let group = self.into.clone();
        let mut asker = Asker::of(group, &*self.operator.by, work.kafka, publisher).await?;
        planned.try_out(&mut asker, self.most).await.or_else(by_its_kind)
    }

    async fn run_again(&self, planned: &Planned, work: &Work<'_>) -> Result<(), RerunError> {
        let mode = match self.mode {
            How::Reprocess => Mode::Reprocess { emits: self.emit },
            How::Redeliver | How::DryRun => Mode::Redeliver,
        };
        let publisher = Publisher::connect(Arc::clone(&work.catalogue), work.kafka)
            .map_err(event_bus::kafka::producer::SendError::from)
            .map_err(event_bus::control::AskError::from)?;
        let publisher = Arc::new(publisher);
        let (cluster, deed) =
            ((&work.admin, &*publisher), (&*self.operator.by, self.reason.as_deref()));
        let groups = work.admin.groups().await?;
        let found = groups.iter().find(|found| found.name == self.into.as_str());
        if found.is_some_and(|found| !found.members.is_empty()) {
            if self.store.is_some() {
                tracing::warn!(
                    "--store is not needed: the group's service runs and is asked itself"
                );
            }
            let group = self.into.clone();
            let by = &*self.operator.by;
            let mut asker = Asker::of(group, by, work.kafka, Arc::clone(&publisher)).await?;
            return planned.run_again(mode, &mut asker, cluster, deed).await;
        }
        let store = match &self.store {
            Some(url) => Some(Store::open_existing(url).await?),
            None => None,
        };
        planned.run_again_at_rest(mode, store.as_ref(), cluster, deed).await
    }
}

/// What can't be meant is wrong usage.
fn by_its_kind<T>(error: RerunError) -> anyhow::Result<T> {
    match error {
        RerunError::OtherTopic { .. }
        | RerunError::UnknownGroup { .. }
        | RerunError::Nothing { .. }
        | RerunError::Purged { .. }
        | RerunError::NeedsStore { .. }
        | RerunError::NotIts { .. } => usage(error.to_string()),
        error => Err(error.into()),
    }
}

fn show(planned: &Planned, output: &mut Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json_document(&json!({ "spans": planned.spans }));
    }
    let rows = planned.spans.iter().map(|span| {
        [i64::from(span.partition), span.first, span.upto, span.end]
            .map(|number| number.to_string())
            .to_vec()
    });
    output.table(&["PARTITION", "FROM", "UP TO", "GROUP WAS AT"], rows)
}

fn show_trial(planned: &Planned, told: &DryRun, output: &mut Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json_document(&json!({ "spans": planned.spans, "dry_run": told }));
    }
    show(planned, output)?;
    output.line(&format!(
        "{} events ran and were rolled back: {} of them the inbox knows, {} failed",
        told.events, told.known, told.failed
    ))?;
    if told.is_cut {
        output
            .line("there are more than were tried: --most says how many of each partition are")?;
    }
    for (table, rows) in &told.rows {
        output.line(&format!("{rows} rows of {} would change", printable(table)))?;
    }
    for (topic, events) in &told.emitted {
        output.line(&format!("{events} events of {topic} would be emitted"))?;
    }
    for one in &told.failing {
        output.line(&format!(
            "partition {} offset {}: {} would fail: {}",
            one.partition,
            one.offset,
            one.event_id,
            printable(&one.error)
        ))?;
    }
    Ok(())
}
