//! `event-bus dlq`: dead letters are found, understood and replayed.

mod filters;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::Subcommand;
use event_bus::dead_letters::{
    DeadLetters, Done, Failure, Found, Plan, Progress, Refusal, failures,
};
use event_bus::publisher::Publisher;
use event_bus::{Catalogue, KafkaConfig};
use serde_json::json;
use uuid::Uuid;

use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::operator::Operator;
use crate::output::{Output, printable};
use crate::progress;
use crate::settings::Settings;
use filters::Filters;

/// More than so many are replayed only with `--yes`.
const WITHOUT_YES: usize = 100;

#[derive(Subcommand)]
pub enum Command {
    /// Show dead letters, the latest first
    List {
        #[command(flatten)]
        filters: Filters,
        /// At most so many; 0 for all
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Show failures: dead letters of a group that look alike are one
    Groups {
        #[command(flatten)]
        filters: Filters,
    },
    /// Show all that is known of a dead letter
    Show {
        /// Its id
        id: Uuid,
    },
    /// Send dead letters back to the groups that could not handle them, and to no others. Each takes effect once,
    /// however often it is replayed
    Replay {
        #[command(flatten)]
        filters: Filters,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        /// Why, for those who ask later
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        assent: Assent,
    },
    /// Decide that nothing is to be done about dead letters. They stay, and can be restored
    Discard {
        #[command(flatten)]
        filters: Filters,
        /// Why, for those who ask later
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        assent: Assent,
    },
    /// Take back that dead letters were discarded, or a replay whose outcome nobody tells
    Restore {
        #[command(flatten)]
        filters: Filters,
        /// Why, for those who ask later
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        assent: Assent,
    },
}

/// Who wants it done, also to many.
#[derive(clap::Args)]
pub struct Assent {
    /// Also where it is more than a hundred
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    operator: Operator,
}

/// What all of the commands need.
struct Desk {
    catalogue: Arc<Catalogue>,
    kafka: KafkaConfig,
    letters: DeadLetters,
    output: Output,
}

impl Command {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let mut desk = Desk::open(global).await?;
        match self {
            Self::List { filters, limit } => desk.list(&filters, limit)?,
            Self::Groups { filters } => desk.groups(&filters)?,
            Self::Show { id } => desk.show(id).await?,
            Self::Replay { filters, dry_run: true, .. } => desk.would_replay(&filters).await?,
            Self::Replay { filters, dry_run: false, reason, assent } => {
                let filter = filters.chosen("replay")?;
                let plan = Plan::replay(&desk.catalogue, desk.letters.matching(&filter));
                let done = desk.act(&plan, "replay", reason.as_deref(), &assent).await?;
                desk.tell("replayed", done.letters, (done.letters > 0).then_some(done.id))?;
            }
            Self::Discard { filters, reason, assent } => {
                let filter = filters.chosen("discard")?;
                let plan = Plan::discard(desk.letters.matching(&filter));
                let done = desk.act(&plan, "discard", Some(&reason), &assent).await?;
                desk.tell("discarded", done.letters, None)?;
            }
            Self::Restore { filters, reason, assent } => {
                let filter = filters.chosen("restore")?;
                let plan = Plan::restore(desk.letters.matching(&filter));
                let done = desk.act(&plan, "restore", reason.as_deref(), &assent).await?;
                desk.tell("restored", done.letters, None)?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Desk {
    async fn open(global: &Global) -> anyhow::Result<Self> {
        let settings = Settings::of(global)?;
        let (catalogue, kafka) = (settings.catalogue()?, settings.kafka()?);
        let mut bar = progress::bar(None, "records");
        let letters = DeadLetters::read(&kafka, &catalogue, |progress| match progress {
            Progress::Of(total) => bar = progress::bar(Some(total), "records"),
            Progress::Read(more) => bar.inc(more),
        })
        .await?;
        bar.finish_and_clear();
        if let [first, ..] = letters.foreign() {
            let count = letters.foreign().len();
            tracing::warn!(
                count,
                first,
                "records that are no dead letters of this bus are left out"
            );
        }
        Ok(Self { catalogue, kafka, letters, output: global.output() })
    }

    fn list(&mut self, filters: &Filters, limit: usize) -> anyhow::Result<()> {
        let filter = filters.filter();
        let mut found: Vec<&Found> = self.letters.matching(&filter).collect();
        let total = found.len();
        found.reverse();
        if limit > 0 {
            found.truncate(limit);
        }
        if self.output.is_json() {
            for found in found {
                self.output.json_line(&json!({ "letter": found.letter, "state": found.state }))?;
            }
            return self.output.flush();
        }
        let cells = |found: &&Found| {
            let letter = &found.letter;
            vec![
                letter.id.to_string(),
                found.state.to_string(),
                letter.failed_at.to_string(),
                letter.group.to_string(),
                printable(letter.tenant.as_deref().unwrap_or("-")),
                printable(&letter.reason),
                printable(&letter.message),
            ]
        };
        let header = ["ID", "STATE", "FAILED AT", "GROUP", "TENANT", "REASON", "ERROR"];
        self.output.table(&header, found.iter().map(cells))?;
        if found.len() < total {
            eprintln!("event-bus: {} of {total} dead letters; --limit shows more", found.len());
        }
        Ok(())
    }

    fn groups(&mut self, filters: &Filters) -> anyhow::Result<()> {
        let failures = failures(self.letters.matching(&filters.filter()));
        if self.output.is_json() {
            return self.output.json_document(&failures);
        }
        let cells = |failure: &Failure| {
            let joined = |names: &BTreeSet<String>| {
                printable(&names.iter().cloned().collect::<Vec<_>>().join(", "))
            };
            vec![
                failure.fingerprint.clone(),
                format!("{}{}", failure.open, if failure.is_regressed { " again" } else { "" }),
                failure.letters.to_string(),
                failure.group.clone(),
                failure.last_seen.to_string(),
                joined(&failure.tenants),
                printable(&failure.reason),
                printable(&failure.message),
            ]
        };
        let header =
            ["FINGERPRINT", "OPEN", "ALL", "GROUP", "LAST SEEN", "TENANTS", "REASON", "ERROR"];
        self.output.table(&header, failures.iter().map(cells))
    }

    async fn would_replay(&mut self, filters: &Filters) -> anyhow::Result<()> {
        let filter = filters.filter();
        let plan = Plan::replay(&self.catalogue, self.letters.matching(&filter));
        let doomed = plan.doomed(&self.kafka, &self.catalogue).await?;
        let mut counts: BTreeMap<[&str; 4], u64> = BTreeMap::new();
        for found in &plan.letters {
            let letter = &found.letter;
            let version = letter.version.as_deref().unwrap_or("-");
            let row = [
                letter.fingerprint.as_str(),
                letter.topic.as_str(),
                letter.group.as_str(),
                version,
            ];
            *counts.entry(row).or_default() += 1;
        }
        if self.output.is_json() {
            let rows = counts.iter().map(|([fingerprint, topic, group, version], count)| {
                json!({ "fingerprint": fingerprint, "topic": topic, "group": group, "version": version,
                        "letters": count })
            });
            return self.output.json_document(&json!({
                "would_replay": plan.letters.len(), "rows": rows.collect::<Vec<_>>(),
                "refused": plan.refused, "unusable": doomed.iter().cloned().collect::<BTreeMap<_, _>>(),
            }));
        }
        let cells = counts.iter().map(|(names, count)| {
            let mut cells: Vec<String> = names.iter().map(|name| printable(name)).collect();
            cells.push(count.to_string());
            cells
        });
        let header = ["FINGERPRINT", "TOPIC", "GROUP", "VERSION", "LETTERS"];
        self.output.table(&header, cells)?;
        self.output.line(&format!("{} would be replayed", plan.letters.len()))?;
        for (id, problem) in &doomed {
            self.output.line(&format!("{id} would be dead at once: {}", printable(problem)))?;
        }
        self.output.flush()?;
        tell_refused(&plan.refused);
        Ok(())
    }

    /// Does what is planned.
    async fn act(
        &self,
        plan: &Plan<'_>,
        verb: &str,
        reason: Option<&str>,
        assent: &Assent,
    ) -> anyhow::Result<Done> {
        tell_refused(&plan.refused);
        let letters = plan.letters.len();
        if letters > WITHOUT_YES && !assent.yes {
            return usage(format!("{letters} dead letters to {verb}: say --yes if that is meant"));
        }
        let publisher = Publisher::connect(Arc::clone(&self.catalogue), &self.kafka)?;
        let by = &assent.operator.by;
        let done = plan.carry_out(&self.kafka, &publisher, by, reason).await?;
        for (count, what) in [
            (done.gone, "gone: retention took them"),
            (done.refused, "refused by Kafka: with the headers of a replay they are too large"),
        ] {
            if count > 0 {
                eprintln!("event-bus: {count} {what}");
            }
        }
        Ok(done)
    }

    fn tell(&mut self, what: &str, letters: u64, replay: Option<Uuid>) -> anyhow::Result<()> {
        if self.output.is_json() {
            self.output.json_line(&json!({ what: letters, "replay": replay }))?;
        } else if let Some(replay) = replay {
            self.output.line(&format!(
                "{letters} {what} as {replay}: `event-bus dlq list` tells the outcomes"
            ))?;
        } else {
            self.output.line(&format!("{letters} {what}"))?;
        }
        self.output.flush()
    }
}

fn tell_refused(refused: &BTreeMap<Refusal, u64>) {
    for (refusal, count) in refused {
        eprintln!("event-bus: {count} left out, each {refusal}");
    }
}
