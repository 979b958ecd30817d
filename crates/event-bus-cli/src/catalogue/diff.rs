//! `event-bus catalogue diff`: whether a change of the catalogue breaks somebody.

use std::collections::BTreeSet;

use event_bus::catalogue::diff::{Change, Judged, Party, Verdict, diff};
use event_bus::names::EventName;
use serde_json::{Value, json};

use super::source::Source;
use crate::exit::{Exit, usage};
use crate::output::{Output, printable};
use crate::settings::Settings;

#[derive(clap::Args)]
pub struct Args {
    /// The catalogue of before: a file, a directory, a revision of git (REVISION or REVISION:PATH), what `catalogue export bundle` published, or
    /// - for such a bundle on stdin
    old: String,
    /// The catalogue of after, named likewise [default: the catalogue that the other commands use]
    new: Option<String>,
    /// A breaking change that is meant, by the name that it is shown with; may be given several times
    #[arg(long, value_name = "CHANGE")]
    accept: Vec<String>,
}

impl Args {
    pub fn run(self, settings: &Settings, output: &mut Output) -> anyhow::Result<Exit> {
        let in_use = settings.catalogue_file();
        let new = match &self.new {
            None => None,
            Some(text) => Some(Source::named(text, in_use)?),
        };
        let beside = new.as_ref().and_then(Source::file).or(in_use);
        let old = Source::named(&self.old, beside)?.read()?;
        let new = match (new, in_use) {
            (Some(source), _) => source.read()?,
            (None, Some(file)) => Source::File(file.to_owned()).read()?,
            (None, None) => blindstrader::catalogue(),
        };
        let changes = diff(&old, &new);
        let accepted: BTreeSet<&str> = self.accept.iter().map(String::as_str).collect();
        let breaking = breaking(&changes);
        if let Some(idle) =
            accepted.iter().find(|name| !breaking.iter().any(|(known, _)| known == *name))
        {
            return usage(format!(
                "--accept {idle} is no breaking change of this difference: leave it out"
            ));
        }
        let left: Vec<&(String, &Party)> =
            breaking.iter().filter(|(name, _)| !accepted.contains(name.as_str())).collect();
        if output.is_json() {
            output.json_document(&document(&changes, &accepted, left.len()))?;
        } else {
            table(&changes, &accepted, output)?;
        }
        if left.is_empty() {
            return Ok(Exit::Done);
        }
        let parties: BTreeSet<String> = left.iter().map(|(_, party)| party.to_string()).collect();
        let parties = parties.into_iter().collect::<Vec<_>>().join(", ");
        eprintln!("event-bus: {} breaking, for {parties}", left.len());
        Ok(Exit::Difference)
    }
}

/// What breaks whom, with the name by which that can be accepted.
fn breaking(changes: &[Change]) -> Vec<(String, &Party)> {
    let of = |change| {
        Change::judged_as(change, Verdict::Breaking)
            .map(move |judged| (change.id(&judged.party), &judged.party))
    };
    changes.iter().flat_map(of).collect()
}

fn document(changes: &[Change], accepted: &BTreeSet<&str>, left: usize) -> Value {
    let of = |change: &Change| {
        let judged: Vec<Value> = change
            .judged
            .iter()
            .map(|judged| {
                let id = change.id(&judged.party);
                let is_accepted = accepted.contains(id.as_str());
                json!({
                    "party": judged.party,
                    "verdict": judged.verdict,
                    "accepted": is_accepted,
                    "advice": judged.advice,
                    "id": id,
                })
            })
            .collect();
        json!({
            "event": change.event,
            "version": change.version,
            "pointer": change.pointer,
            "code": change.code,
            "what": change.what,
            "judged": judged,
        })
    };
    json!({ "breaking": left, "changes": changes.iter().map(of).collect::<Vec<_>>() })
}

fn table(changes: &[Change], accepted: &BTreeSet<&str>, output: &mut Output) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for change in changes {
        let mut row = |verdict: &str, party: String, advice: Option<&str>, name: String| {
            let advice = advice.unwrap_or_default();
            rows.push(vec![
                verdict.to_owned(),
                subject(change),
                change.what.clone(),
                party,
                advice.to_owned(),
                name,
            ]);
        };
        for judged in change.judged_as(Verdict::Breaking) {
            let id = change.id(&judged.party);
            let verdict = if accepted.contains(id.as_str()) { "accepted" } else { "BREAKING" };
            row(verdict, judged.party.to_string(), judged.advice.as_deref(), id);
        }
        for (advice, parties) in together(change.judged_as(Verdict::Safe)) {
            row("safe", parties.join(", "), advice, String::new());
        }
    }
    if rows.is_empty() {
        output.line("no difference")?;
        return output.flush();
    }
    // What breaks first, each in the order of the catalogue.
    rows.sort_by_key(|row| row[0].clone());
    let rows = rows.into_iter().map(|row| row.iter().map(|cell| printable(cell)).collect());
    output.table(&["VERDICT", "WHERE", "WHAT", "FOR", "WHAT TO DO", "NAME FOR --accept"], rows)
}

fn subject(change: &Change) -> String {
    let event = change.event.as_ref().map_or("the catalogue", EventName::as_str);
    let version = change.version.map(|version| format!(" {version}")).unwrap_or_default();
    let pointer = match change.pointer.as_deref() {
        None => String::new(),
        Some("") => " (payload)".to_owned(),
        Some(pointer) => format!(" {pointer}"),
    };
    format!("{event}{version}{pointer}")
}

/// Those who are told the same.
fn together<'c>(judged: impl Iterator<Item = &'c Judged>) -> Vec<(Option<&'c str>, Vec<String>)> {
    let mut together: Vec<(Option<&str>, Vec<String>)> = Vec::new();
    for judged in judged {
        let advice = judged.advice.as_deref();
        match together.iter_mut().find(|(known, _)| *known == advice) {
            Some((_, parties)) => parties.push(judged.party.to_string()),
            None => together.push((advice, vec![judged.party.to_string()])),
        }
    }
    together
}
