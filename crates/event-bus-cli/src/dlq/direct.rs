//! By Kafka alone: all dead letters are read, and what is decided is done from here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use event_bus::Catalogue;
use event_bus::dead_letters::{
    DeadLetters, Done, Edit, Filter, Found, Plan, Progress, Repair, failures,
};
use event_bus::kafka::admin::Admin;
use event_bus::kafka::producer::ConnectError;
use event_bus::publisher::Publisher;
use event_bus::store::ops::PlannedRow;
use event_bus_ops::api::{Preview, Repaired};
use event_bus_ops::condition::{Condition, Sight};
use uuid::Uuid;

use super::edit::{self, EditOptions};
use super::export::Export;
use super::filters::Filters;
use super::repair::{self, RepairOptions};
use super::{Assent, Command, pages};
use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::output::Output;
use crate::progress;
use crate::settings::Settings;

/// That there is no such dead letter.
pub(super) fn unknown<T>(id: Uuid) -> anyhow::Result<T> {
    anyhow::bail!("no dead letter has the id {id}: `event-bus dlq list` shows them")
}

/// What all of the commands need.
pub(super) struct Desk {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) admin: Admin,
    pub(super) letters: DeadLetters,
    pub(super) output: Output,
}

impl Desk {
    pub(super) async fn open(global: &Global) -> anyhow::Result<Self> {
        let settings = Settings::of(global)?;
        let (catalogue, kafka) = (settings.catalogue()?, settings.kafka()?);
        let mut bar = progress::bar(None, "records");
        let letters = DeadLetters::read(&kafka, &catalogue, |progress| match progress {
            Progress::Of(total) => bar = progress::bar(Some(total), "records"),
            Progress::Read(more) => bar.inc(more),
        })
        .await?;
        bar.finish_and_clear();
        let admin = Admin::connect(&kafka)?;
        if let [first, ..] = letters.foreign() {
            let count = letters.foreign().len();
            tracing::warn!(
                count,
                first,
                "records that are no dead letters of this bus are left out: `event-bus dlq foreign list TOPIC` shows those that \
                 other frameworks wrote"
            );
        }
        Ok(Self { catalogue, admin, letters, output: global.output() })
    }

    pub(super) async fn run(mut self, command: Command) -> anyhow::Result<Exit> {
        match command {
            Command::List { filters, limit } => self.list(&filters, limit).await?,
            Command::Groups { filters } => {
                let filter = self.meant(filters.filter()).await?;
                let failures = failures(self.letters.matching(&filter));
                pages::failures(&mut self.output, &failures)?;
            }
            Command::Show { id, .. } => self.show(id).await?,
            Command::Export { filters, format, values, .. } => {
                let filter = self.meant(filters.filter()).await?;
                let mut found: Vec<&Found> = self.letters.matching(&filter).collect();
                found.reverse();
                let admin = values.then_some(&self.admin);
                let mut export = Export::start(&mut self.output, format, values)?;
                export.write(&found, admin).await?;
            }
            Command::Replay { filters, dry_run: true, .. } => self.would_replay(&filters).await?,
            Command::Replay { guard, .. } if guard.is_given() => {
                return usage("--canary, --max-dead, --rate and --wait take an ops process: --ops");
            }
            Command::Replay { filters, reason, assent, .. } => {
                let filter = self.meant(filters.chosen("replay")?).await?;
                let plan = Plan::replay(&self.catalogue, self.letters.matching(&filter));
                let done = self.act(&plan, "replay", reason.as_deref(), &assent).await?;
                let replay = (done.letters > 0).then_some(done.id);
                pages::done(&mut self.output, "replayed", done.letters, replay)?;
            }
            Command::Edit { options, operator } => self.edit(&options, &operator.by).await?,
            Command::Repair { filters, options, assent } => {
                self.repair(&filters, &options, &assent).await?;
            }
            Command::Discard { filters, reason, assent } => {
                let filter = self.meant(filters.chosen("discard")?).await?;
                let plan = Plan::discard(self.letters.matching(&filter));
                let done = self.act(&plan, "discard", Some(&reason), &assent).await?;
                pages::done(&mut self.output, "discarded", done.letters, None)?;
            }
            Command::Restore { filters, reason, assent } => {
                let filter = self.meant(filters.chosen("restore")?).await?;
                let plan = Plan::restore(self.letters.matching(&filter));
                let done = self.act(&plan, "restore", reason.as_deref(), &assent).await?;
                pages::done(&mut self.output, "restored", done.letters, None)?;
            }
            Command::Replays { .. } | Command::Cancel { .. } => {
                return usage(
                    "replays that can be watched and cancelled are an ops process's: --ops",
                );
            }
        }
        Ok(Exit::Done)
    }

    /// A filter without a condition: in its place stand the dead letters of whose events it is true.
    async fn meant(&self, mut filter: Filter) -> anyhow::Result<Filter> {
        match Condition::of(&mut filter) {
            Ok(None) => {}
            Ok(Some(condition)) => {
                let letters: Vec<&Found> = self.letters.matching(&filter).collect();
                filter.ids =
                    condition.ids(&self.admin, &self.catalogue, &letters, Sight::AsItIs).await?;
            }
            Err(error) => return usage(error.to_string()),
        }
        Ok(filter)
    }

    async fn list(&mut self, filters: &Filters, limit: usize) -> anyhow::Result<()> {
        let filter = self.meant(filters.filter()).await?;
        let mut found: Vec<&Found> = self.letters.matching(&filter).collect();
        let total = found.len();
        found.reverse();
        if limit > 0 {
            found.truncate(limit);
        }
        pages::letters(&mut self.output, found.iter().copied())?;
        if found.len() < total {
            pages::tell_more(found.len(), Some(total as u64));
        }
        Ok(())
    }

    async fn edit(&mut self, options: &EditOptions, by: &str) -> anyhow::Result<()> {
        let filter = Filter { ids: vec![options.id], ..Filter::default() };
        let Some(found) = self.letters.matching(&filter).next() else {
            return unknown(options.id);
        };
        let edit = Edit::plan(&self.admin, &self.catalogue, found, options.read()?.into()).await?;
        let old = edit.original.value.clone().unwrap_or_default();
        let new = edit.value.clone();
        let replay = if options.dry_run {
            None
        } else {
            let publisher = self.publisher()?;
            Some(edit.carry_out(&publisher, by, &options.reason).await?)
        };
        edit::tell(&mut self.output, &old, &new, &[], replay)
    }

    async fn repair(
        &mut self,
        filters: &Filters,
        options: &RepairOptions,
        assent: &Assent,
    ) -> anyhow::Result<()> {
        let (filter, patch) = (self.meant(filters.chosen("repair")?).await?, options.read()?);
        let plan = Plan::replay(&self.catalogue, self.letters.matching(&filter));
        let change = |value: &[u8]| patch.change(value);
        let repair = Repair::plan(&self.admin, &self.catalogue, &plan, change).await?;
        let mut repaired = Repaired::would(&plan, &repair, None);
        if !options.dry_run && repaired.letters > 0 {
            assent.allows(repaired.letters, "repair")?;
            let publisher = self.publisher()?;
            let by = &assent.operator.by;
            let done = repair.carry_out(&publisher, by, &options.reason).await?;
            (repaired.letters, repaired.replay) = (done.letters, Some(done.id));
        }
        repair::tell(&mut self.output, &repaired)
    }

    async fn would_replay(&mut self, filters: &Filters) -> anyhow::Result<()> {
        let filter = self.meant(filters.filter()).await?;
        let plan = Plan::replay(&self.catalogue, self.letters.matching(&filter));
        let unusable = plan.doomed(&self.admin, &self.catalogue).await?;
        let overtaken = plan.overtaken(&self.admin).await?;
        let mut rows: HashMap<_, u64> = HashMap::new();
        for found in &plan.letters {
            let letter = &found.letter;
            let kind = (&letter.fingerprint, &letter.topic, &letter.group, &letter.version);
            *rows.entry(kind).or_default() += 1;
        }
        let rows = rows.into_iter().map(|((fingerprint, topic, group, version), letters)| {
            let (topic, group) = (topic.to_string(), group.to_string());
            let (fingerprint, version) = (fingerprint.clone(), version.clone());
            (
                (fingerprint.clone(), version.clone()),
                PlannedRow { fingerprint, topic, group, version, letters },
            )
        });
        let rows: BTreeMap<_, _> = rows.collect();
        let preview = Preview {
            would_replay: plan.letters.len() as u64,
            rows: rows.into_values().collect(),
            unusable: unusable.into_iter().collect(),
            overtaken: overtaken.letters,
            overtaken_is_cut_off: overtaken.is_cut_off,
            looked_into: plan.letters.len() as u64,
            refused: plan.refused,
        };
        pages::preview(&mut self.output, &preview)
    }

    fn publisher(&self) -> Result<Publisher, ConnectError> {
        Publisher::connect(Arc::clone(&self.catalogue), &self.admin.config().without_linger())
    }

    /// Does what is planned.
    async fn act(
        &self,
        plan: &Plan<'_>,
        verb: &str,
        reason: Option<&str>,
        assent: &Assent,
    ) -> anyhow::Result<Done> {
        pages::tell_refused(&plan.refused);
        assent.allows(plan.letters.len() as u64, verb)?;
        let publisher = self.publisher()?;
        let by = &assent.operator.by;
        let done = plan.carry_out(&self.admin, &publisher, by, reason).await?;
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
}
