//! By an ops process.

use std::time::Duration;

use anyhow::Context;
use event_bus::dead_letters::{Filter, Found};
use event_bus::store::ops::{ReplayRow, Stage};
use event_bus_ops::api::{AskForEdit, AskForRepair, AskForReplay, Decided, Decision};
use event_bus_ops::client::{Client, ClientError};
use uuid::Uuid;

use super::edit;
use super::export::{Export, Format};
use super::filters::Filters;
use super::repair::{self, RepairOptions};
use super::show::{self, Known};
use super::{Assent, Command, GuardOptions, RequestCommand, pages};
use crate::exit::Exit;
use crate::global::Global;
use crate::output::Output;
use crate::progress;

/// The most dead letters of one answer.
const PAGE: u32 = 1_000;
/// How often it is asked how far a replay is.
const LOOK: Duration = Duration::from_millis(500);

pub(super) struct Remote {
    client: Client,
    output: Output,
}

impl Remote {
    pub(super) fn new(client: Client, global: &Global) -> Self {
        Self { client, output: global.output() }
    }

    pub(super) async fn run(mut self, command: Command) -> anyhow::Result<Exit> {
        match command {
            Command::List { filters, limit } => self.list(&filters, limit).await?,
            Command::Groups { filters } => {
                let failures = self.client.failures(&filters.filter()).await?;
                pages::failures(&mut self.output, &failures)?;
            }
            Command::Show { id, reveal } => self.show(id, reveal).await?,
            Command::Export { filters, format, values, reveal } => {
                self.export(&filters, format, values, reveal).await?;
            }
            Command::Replay { filters, dry_run: true, .. } => {
                let preview = self.client.preview(&filters.filter()).await?;
                pages::preview(&mut self.output, &preview)?;
            }
            Command::Replay { filters, reason, guard, assent, .. } => {
                return self.replay(&filters, reason, &guard, &assent).await;
            }
            Command::Edit { options, .. } => {
                let value = String::from_utf8(options.read()?);
                let value = value.context("the edited value is no text in UTF-8")?;
                let (reason, dry_run) = (options.reason, options.dry_run);
                let edit = AskForEdit { value, reason, dry_run };
                let edited = self.client.edit(options.id, &edit).await?;
                let old = edited.old.unwrap_or_default();
                let (old, new) = (old.as_bytes(), edited.new.as_bytes());
                edit::tell(&mut self.output, old, new, &edited.personal, edited.replay)?;
            }
            Command::Repair { filters, options, assent } => {
                self.repair(&filters, options, &assent).await?;
            }
            Command::Discard { filters, reason, assent } => {
                let filter = filters.chosen("discard")?;
                self.allowed(&filter, "open", "discard", &assent).await?;
                let decision = Decision { filter, reason: Some(reason) };
                let decided = self.client.discard(&decision).await;
                self.decided("discarded", decided)?;
            }
            Command::Restore { filters, reason, assent } => {
                let filter = filters.chosen("restore")?;
                self.allowed(&filter, "discarded", "restore", &assent).await?;
                let decided = self.client.restore(&Decision { filter, reason }).await;
                self.decided("restored", decided)?;
            }
            Command::Replays { request: Some(request), .. } => self.request(request).await?,
            Command::Replays { id: None, .. } => {
                let replays = self.client.replays().await?;
                pages::replays(&mut self.output, &replays)?;
            }
            Command::Replays { id: Some(id), .. } => {
                let replay = self.client.replay(id).await?;
                pages::replays(&mut self.output, &[replay])?;
            }
            Command::Cancel { id } => {
                let replay = self.client.cancel(id).await?;
                pages::replays(&mut self.output, &[replay])?;
            }
        }
        Ok(Exit::Done)
    }

    async fn list(&mut self, filters: &Filters, limit: usize) -> anyhow::Result<()> {
        let filter = filters.filter();
        let (mut shown, mut after, mut total) = (Vec::<Found>::new(), None, None);
        let limit = if limit == 0 { usize::MAX } else { limit };
        loop {
            let left = u32::try_from(limit - shown.len()).unwrap_or(PAGE).min(PAGE);
            let page = self.client.letters(&filter, after.as_deref(), left).await?;
            total = total.or(page.total);
            shown.extend(page.letters);
            after = page.next;
            if after.is_none() || shown.len() >= limit {
                break;
            }
        }
        pages::letters(&mut self.output, shown.iter())?;
        if after.is_some() {
            pages::tell_more(shown.len(), total);
        }
        Ok(())
    }

    async fn export(
        &mut self,
        filters: &Filters,
        format: Format,
        values: bool,
        reveal: Option<String>,
    ) -> anyhow::Result<()> {
        let filter = filters.filter();
        let mut export = Export::start(&mut self.output, format, values)?;
        let mut after: Option<String> = None;
        loop {
            if values {
                let page = self.client.values(&filter, after, reveal.clone()).await?;
                export.tell(page.letters)?;
                after = page.next;
            } else {
                let page = self.client.letters(&filter, after.as_deref(), PAGE).await?;
                export.write(&page.letters.iter().collect::<Vec<_>>(), None).await?;
                after = page.next;
            }
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn show(&mut self, id: Uuid, reveal: Option<String>) -> anyhow::Result<()> {
        let known = self.client.known(id, reveal).await?;
        show::page(&mut self.output, &Known::told(&known))
    }

    async fn replay(
        &mut self,
        filters: &Filters,
        reason: Option<String>,
        options: &GuardOptions,
        assent: &Assent,
    ) -> anyhow::Result<Exit> {
        let filter = filters.chosen("replay")?;
        let preview = self.client.preview(&filter).await?;
        pages::tell_refused(&preview.refused);
        assent.allows(preview.would_replay, "replay")?;
        // The id is ours, so that a request whose answer got lost can be made again.
        let id = Some(Uuid::now_v7());
        let asked = AskForReplay { id, filter, guard: options.guard(), reason };
        let asked = self.client.ask_for_replay(&asked).await?;
        if asked.needs_approval {
            pages::waits(&mut self.output, "replay", asked.id, asked.letters)?;
            return Ok(Exit::Done);
        }
        if !options.wait {
            let replay = self.client.replay(asked.id).await?;
            pages::replays(&mut self.output, &[replay])?;
            return Ok(Exit::Done);
        }
        let replay = self.until_it_is_over(asked.id).await?;
        let is_finished = replay.stage == Stage::Finished;
        pages::replays(&mut self.output, &[replay])?;
        Ok(if is_finished { Exit::Done } else { Exit::Failed })
    }

    async fn request(&mut self, request: RequestCommand) -> anyhow::Result<()> {
        let rows = match request {
            RequestCommand::Requests => self.client.requests().await?,
            RequestCommand::Approve { id, reason } => vec![self.client.approve(id, reason).await?],
            RequestCommand::Deny { id, reason } => vec![self.client.deny(id, reason).await?],
        };
        pages::requests(&mut self.output, &rows)
    }

    async fn repair(
        &mut self,
        filters: &Filters,
        options: RepairOptions,
        assent: &Assent,
    ) -> anyhow::Result<()> {
        let (filter, patch) = (filters.chosen("repair")?, options.read()?);
        let mut asked = AskForRepair { filter, patch, reason: options.reason, dry_run: true };
        let mut repaired = self.client.repair(&asked).await?;
        if !options.dry_run {
            assent.allows(repaired.letters, "repair")?;
            asked.dry_run = false;
            repaired = self.client.repair(&asked).await?;
        }
        repair::tell(&mut self.output, &repaired)
    }

    async fn until_it_is_over(&self, id: Uuid) -> Result<ReplayRow, ClientError> {
        let mut bar = None;
        loop {
            let replay = self.client.replay(id).await?;
            let letters = Some(replay.progress.letters);
            let bar = bar.get_or_insert_with(|| progress::bar(letters, "dead letters"));
            bar.set_position(
                replay.progress.told() + replay.progress.gone + replay.progress.refused,
            );
            if replay.stage.is_over() {
                bar.finish_and_clear();
                return Ok(replay);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Refuses to decide about many unless that was said.
    async fn allowed(
        &self,
        filter: &Filter,
        state: &str,
        verb: &str,
        assent: &Assent,
    ) -> anyhow::Result<()> {
        let mut filter = filter.clone();
        if filter.states.is_empty() {
            filter.states.push(state.to_owned());
        }
        let page = self.client.letters(&filter, None, PAGE).await?;
        assent.allows(page.total.unwrap_or(page.letters.len() as u64), verb)
    }

    fn decided(&mut self, what: &str, decided: Result<Decided, ClientError>) -> anyhow::Result<()> {
        let decided = decided?;
        if let Some(request) = decided.request {
            return pages::waits(&mut self.output, "discard", request, decided.letters);
        }
        pages::tell_refused(&decided.refused);
        pages::done(&mut self.output, what, decided.letters, None)
    }
}
