//! `event-bus conform consumer`: what a running consumer does, told by its dead letters and effects.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use event_bus::conform::consumer::{Check, ProbeError, Trial, Verdict, drive};
use event_bus::names::EventId;
use event_bus::store::EffectsProbe;
use event_bus_ops::effects::{EffectsUrl, effects};
use serde_json::json;

use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::output::{Output, printable};
use crate::settings::Settings;

/// What counts the effects where nobody says: what the inbox of the contract holds.
const INBOX_POSTGRES: &str =
    "SELECT count(*) FROM processed_events WHERE status = 'done' AND event_id = $1::uuid";
/// As [`INBOX_POSTGRES`].
const INBOX_SQLITE: &str =
    "SELECT count(*) FROM processed_events WHERE status = 'done' AND event_id = $1";

#[derive(clap::Args)]
pub struct Args {
    /// Whose consumer
    #[arg(long)]
    service: String,
    /// Which event it consumes; its consumer must run, under the namespace that is given here
    #[arg(long)]
    event: String,
    /// Its database, sqlite://… or postgres://…, in which its effects are counted; it is only read
    #[arg(long, value_name = "URL", required_unless_present = "probe_http")]
    probe_sql: Option<String>,
    /// The query that counts the effects of the event whose id is $1, as text [default: rows of processed_events that are done]
    #[arg(long, value_name = "SQL", requires = "probe_sql")]
    probe_query: Option<String>,
    /// Where it tells its effects: it answers GET URL?event_id=ID with {"effects": n}
    #[arg(long, value_name = "URL", conflicts_with = "probe_sql")]
    probe_http: Option<EffectsUrl>,
    /// A payload that it handles [default: the catalogue's sample]. Each event gets a tenant of its own
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// A payload that obeys the schema and that it fails to handle, each time [default: this is not tried]
    #[arg(long, value_name = "FILE")]
    poison: Option<PathBuf>,
    /// How long what is waited for may take: longer than all retries of an event
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    within: u64,
    /// Its topics may hold records already. Without this they must be empty: a trial writes junk, which is nothing for
    /// topics that others read
    #[arg(long)]
    used_topics: bool,
}

/// How effects are counted.
enum Probe {
    Sql(EffectsProbe),
    Http(EffectsUrl),
}

impl Probe {
    async fn effects(&self, id: EventId) -> Result<u64, ProbeError> {
        match self {
            Self::Sql(probe) => probe.effects(id).await.map_err(Into::into),
            Self::Http(url) => effects(url, id).await.map_err(Into::into),
        }
    }
}

impl Args {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let (catalogue, kafka) = (settings.catalogue()?, settings.kafka()?);
        let Self { service, event, .. } = &self;
        let Some(subscription) = catalogue.subscription(service, event) else {
            return usage(format!(
                "by the catalogue {service} does not consume {event}: `event-bus catalogue show` lists who does"
            ));
        };
        let probe = self.probe()?;
        let trial = Trial {
            kafka: &kafka,
            catalogue: &catalogue,
            subscription,
            payload: self.payload.as_deref().map(read).transpose()?,
            poison: self.poison.as_deref().map(read).transpose()?,
            within: Duration::from_secs(self.within),
            used_topics: self.used_topics,
        };
        let checks = drive(&trial, async |id| probe.effects(id).await).await?;
        show(&checks, &mut global.output())?;
        let has_failed = checks.iter().any(|check| matches!(check.verdict, Verdict::Failed(_)));
        Ok(if has_failed { Exit::Difference } else { Exit::Done })
    }

    fn probe(&self) -> anyhow::Result<Probe> {
        if let Some(url) = &self.probe_http {
            return Ok(Probe::Http(url.clone()));
        }
        let url = self.probe_sql.as_deref().unwrap_or_default();
        let inbox = if url.starts_with("sqlite:") { INBOX_SQLITE } else { INBOX_POSTGRES };
        let query = self.probe_query.clone().unwrap_or_else(|| inbox.to_owned());
        Ok(Probe::Sql(EffectsProbe::new(url, query)?))
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))
}

fn show(checks: &[Check], output: &mut Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json_document(&json!({ "checks": checks }));
    }
    let (mut failed, mut not_tried) = (0, 0);
    for Check { name, what, verdict } in checks {
        let (word, why) = match verdict {
            Verdict::Passed => ("passed", &[][..]),
            Verdict::Failed(faults) => ("FAILED", &faults[..]),
            Verdict::NotTried(why) => ("not tried", std::slice::from_ref(why)),
        };
        failed += usize::from(matches!(verdict, Verdict::Failed(_)));
        not_tried += usize::from(matches!(verdict, Verdict::NotTried(_)));
        output.line(&format!("{word}: {what} [{name}]"))?;
        for fault in why {
            output.line(&format!("  {}", printable(fault)))?;
        }
    }
    let passed = checks.len() - failed - not_tried;
    output.line(&format!("{passed} checks passed, {failed} failed, {not_tried} not tried"))?;
    output.flush()
}
