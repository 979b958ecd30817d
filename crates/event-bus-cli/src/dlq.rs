//! `event-bus dlq`: dead letters are found, understood and replayed.

mod filters;
mod show;

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Subcommand;
use event_bus::audit::Action;
use event_bus::dead_letters::{
    DeadLetters, Failure, Found, Plan, Progress, Refusal, decide, failures,
};
use event_bus::{Catalogue, KafkaConfig};
use serde_json::json;
use uuid::Uuid;

use crate::by::By;
use crate::exit::{Exit, usage};
use crate::global::Global;
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
        /// Also where it is more than a hundred
        #[arg(long)]
        yes: bool,
        /// Why, for those who ask later
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        by: By,
    },
    /// Decide that nothing is to be done about dead letters. They stay, and can be restored
    Discard {
        #[command(flatten)]
        filters: Filters,
        /// Why, for those who ask later
        #[arg(long)]
        reason: String,
        /// Also where it is more than a hundred
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        by: By,
    },
    /// Take back that dead letters were discarded, or a replay whose outcome nobody tells
    Restore {
        #[command(flatten)]
        filters: Filters,
        /// Why, for those who ask later
        #[arg(long)]
        reason: Option<String>,
        /// Also where it is more than a hundred
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        by: By,
    },
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
            Self::Replay { filters, dry_run: false, yes, reason, by } => {
                filters.must_choose("replay")?;
                desk.replay(&filters, yes, reason.as_deref(), &by.by).await?;
            }
            Self::Discard { filters, reason, yes, by } => {
                filters.must_choose("discard")?;
                desk.decide(Action::Discard, &filters, yes, Some(&reason), &by.by).await?;
            }
            Self::Restore { filters, reason, yes, by } => {
                filters.must_choose("restore")?;
                desk.decide(Action::Restore, &filters, yes, reason.as_deref(), &by.by).await?;
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
            let joined = |names: &std::collections::BTreeSet<String>| {
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
        let plan = Plan::of(&self.catalogue, self.letters.matching(&filter));
        let unusable = plan.unusable(&self.kafka, &self.catalogue).await?;
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
                "refused": plan.refused, "unusable": unusable,
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
        for (id, problem) in &unusable {
            self.output.line(&format!("{id} would be dead at once: {}", printable(problem)))?;
        }
        self.output.flush()?;
        told_refused(&plan.refused);
        Ok(())
    }

    async fn replay(
        &mut self,
        filters: &Filters,
        yes: bool,
        reason: Option<&str>,
        by: &str,
    ) -> anyhow::Result<()> {
        let filter = filters.filter();
        let plan = Plan::of(&self.catalogue, self.letters.matching(&filter));
        told_refused(&plan.refused);
        must_be_few(plan.letters.len(), yes, "replay")?;
        if plan.letters.is_empty() {
            return self.told("replayed", 0, None);
        }
        let replayed = plan.replay(&self.kafka, &self.catalogue, by, reason).await?;
        for (count, what) in [
            (replayed.gone, "gone: retention took them"),
            (replayed.refused, "refused by Kafka: with the headers of a replay they are too large"),
        ] {
            if count > 0 {
                eprintln!("event-bus: {count} {what}");
            }
        }
        self.told("replayed", replayed.sent, Some(replayed.id))
    }

    async fn decide(
        &mut self,
        action: Action,
        filters: &Filters,
        yes: bool,
        reason: Option<&str>,
        by: &str,
    ) -> anyhow::Result<()> {
        let filter = filters.filter();
        // What is decided already, and what took effect, is not decided about once more.
        let (from, verb, word): (&[&str], _, _) = match action {
            Action::Restore => (&["discarded", "replaying"], "restore", "restored"),
            _ => (&["open"], "discard", "discarded"),
        };
        let meant = self.letters.matching(&filter);
        let meant = meant.filter(|found| from.contains(&found.state.as_str()));
        let (letters, kept): (Vec<&Found>, Vec<&Found>) =
            meant.partition(|found| action != Action::Discard || found.may_be_discarded());
        if !kept.is_empty() {
            eprintln!(
                "event-bus: {} left out, each of a parked key: those behind it would wait for ever, so replay it once it can be handled",
                kept.len()
            );
        }
        let letters: Vec<Uuid> = letters.into_iter().map(|found| found.letter.id).collect();
        must_be_few(letters.len(), yes, verb)?;
        let count = letters.len() as u64;
        if count > 0 {
            decide(&self.kafka, &self.catalogue, action, letters, by, reason).await?;
        }
        self.told(word, count, None)
    }

    fn told(&mut self, what: &str, letters: u64, replay: Option<Uuid>) -> anyhow::Result<()> {
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

fn told_refused(refused: &BTreeMap<Refusal, u64>) {
    for (refusal, count) in refused {
        eprintln!("event-bus: {count} left out, each {refusal}");
    }
}

fn must_be_few(letters: usize, yes: bool, what: &str) -> anyhow::Result<()> {
    if letters > WITHOUT_YES && !yes {
        return usage(format!("{letters} dead letters to {what}: say --yes if that is meant"));
    }
    Ok(())
}
