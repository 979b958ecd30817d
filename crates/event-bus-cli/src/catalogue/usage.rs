//! `event-bus catalogue usage`: which versions are still published and consumed.

use std::time::Duration;

use event_bus::Catalogue;
use event_bus::catalogue::{Event, Version};
use event_bus::kafka::admin::Position;
use event_bus::usage::{Consumed, Published, Usage, read};
use jiff::{Timestamp, Unit};

use crate::exit::{Exit, usage};
use crate::output::Output;
use crate::progress;
use crate::settings::Settings;

#[derive(clap::Args)]
pub struct Args {
    /// Events or topics [default: all events]
    #[arg(value_name = "EVENT|TOPIC")]
    events: Vec<String>,
    /// Only what was published since then: a time such as 2025-06-01T10:30:00Z, or so long ago: 30d, 12h, 5m, 30s [default: all that the
    /// topics hold]
    #[arg(long, value_name = "TIME|DURATION", value_parser = since)]
    since: Option<Since>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Time(Timestamp),
    Ago(Duration),
}

impl Args {
    pub async fn run(self, settings: &Settings, output: &mut Output) -> anyhow::Result<Exit> {
        let catalogue = settings.catalogue()?;
        let events = named(&catalogue, &self.events)?;
        let from = match self.since {
            None => Position::Start,
            Some(Since::Time(time)) => Position::At(time.as_millisecond()),
            Some(Since::Ago(ago)) => Position::At((Timestamp::now() - ago).as_millisecond()),
        };
        let bar = progress::bar(Some(0), "records");
        let on_read = |total, done| {
            bar.set_length(total);
            bar.set_position(done);
        };
        let usages = read(&catalogue, &events, &settings.kafka()?, from, on_read).await?;
        bar.finish_and_clear();
        if output.is_json() {
            output.json_document(&usages)?;
        } else {
            show(&usages, output)?;
        }
        Ok(Exit::Done)
    }
}

fn named<'c>(catalogue: &'c Catalogue, names: &[String]) -> anyhow::Result<Vec<&'c Event>> {
    if names.is_empty() {
        return Ok(catalogue.events().map(|event| &**event).collect());
    }
    let find = |name: &String| {
        let found = catalogue.event(name).or_else(|| catalogue.event_of_topic(name));
        found.map(|event| &**event).map_or_else(
            || usage(format!("the catalogue has no event or topic {name}: `event-bus catalogue show` lists them")),
            Ok,
        )
    };
    names.iter().map(find).collect()
}

fn show(usages: &[Usage], output: &mut Output) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for usage in usages {
        rows.extend(usage.published.iter().map(|published| published_row(usage, published)));
        let mut row = |records: String, note: &str| {
            rows.push(
                [usage.event.as_str(), "-", "-", &records, "-", "-", note]
                    .map(str::to_owned)
                    .to_vec(),
            );
        };
        match usage.others {
            _ if !usage.exists => row("0".to_owned(), "the topic does not exist"),
            0 if usage.published.is_empty() => row("0".to_owned(), ""),
            0 => {}
            others => row(others.to_string(), "no envelopes of the event"),
        }
    }
    output
        .table(&["EVENT", "VERSION", "PUBLISHED BY", "RECORDS", "FIRST", "LAST", "NOTE"], rows)?;
    output.line("")?;
    let consumed = usages.iter().flat_map(|usage| {
        let versions: Vec<Version> = {
            let mut versions: Vec<Version> =
                usage.published.iter().map(|published| published.version).collect();
            versions.dedup();
            versions
        };
        usage.consumed.iter().map(move |consumed| consumed_row(usage, &versions, consumed))
    });
    output.table(&["EVENT", "GROUP", "MAJOR", "HAS PASSED", "BEFORE IT"], consumed)
}

fn published_row(usage: &Usage, published: &Published) -> Vec<String> {
    let mut notes = Vec::new();
    if !published.is_listed {
        notes.push("not in the catalogue");
    }
    if !published.is_producer {
        notes.push("not its producer");
    }
    vec![
        usage.event.to_string(),
        published.version.to_string(),
        published.service.to_string(),
        published.records.to_string(),
        shown(published.first_at),
        shown(published.last_at),
        notes.join(", "),
    ]
}

fn consumed_row(usage: &Usage, versions: &[Version], consumed: &Consumed) -> Vec<String> {
    let before = |version: &Version| consumed.before.get(version).copied().unwrap_or(0);
    let passed = versions.iter().filter(|version| before(version) == 0 && !consumed.is_at_least);
    let passed: Vec<String> = passed.map(Version::to_string).collect();
    if versions.is_empty() && consumed.is_at_least {
        let event = usage.event.to_string();
        let (group, major) = (consumed.group.to_string(), consumed.major.to_string());
        return vec![event, group, major, String::new(), "what was published earlier".to_owned()];
    }
    let least = if consumed.is_at_least { "at least " } else { "" };
    let left = versions.iter().filter(|version| before(version) > 0 || consumed.is_at_least);
    let left: Vec<String> =
        left.map(|version| format!("{least}{} of {version}", before(version))).collect();
    vec![
        usage.event.to_string(),
        consumed.group.to_string(),
        consumed.major.to_string(),
        passed.join(" "),
        left.join(", "),
    ]
}

fn shown(time: Timestamp) -> String {
    time.round(Unit::Second).unwrap_or(time).to_string()
}

/// The value of `--since`.
fn since(text: &str) -> Result<Since, String> {
    if let Ok(time) = text.parse() {
        return Ok(Since::Time(time));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 0,
    };
    let ago = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
    // No topic is older than a thousand years.
    let ago = ago.filter(|seconds| (1..=31_536_000_000).contains(seconds));
    ago.map(|seconds| Since::Ago(Duration::from_secs(seconds))).ok_or_else(|| {
        "want a time such as 2025-06-01T10:30:00Z, or how long ago, such as 30d".to_owned()
    })
}
