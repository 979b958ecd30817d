//! What is shown of dead letters, whoever found it.

use std::collections::{BTreeMap, BTreeSet};

use event_bus::dead_letters::{Failure, Found, Refusal};
use event_bus::store::ops::{PlannedRow, ReplayRow, RequestRow};
use event_bus_ops::api::Preview;
use serde_json::json;
use uuid::Uuid;

use crate::output::{Output, printable};

pub(super) fn letters<'a>(
    output: &mut Output,
    found: impl Iterator<Item = &'a Found>,
) -> anyhow::Result<()> {
    if output.is_json() {
        for found in found {
            output.json_line(found)?;
        }
        return output.flush();
    }
    let cells = |found: &Found| {
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
    output.table(&header, found.map(cells))
}

/// That there are more than are shown.
pub(super) fn tell_more(shown: usize, total: Option<u64>) {
    match total {
        Some(total) => eprintln!("event-bus: {shown} of {total} dead letters; --limit shows more"),
        None => eprintln!("event-bus: the first {shown} dead letters; --limit shows more"),
    }
}

pub(super) fn failures(output: &mut Output, failures: &[Failure]) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json_document(&failures);
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
    let header = ["FINGERPRINT", "OPEN", "ALL", "GROUP", "LAST SEEN", "TENANTS", "REASON", "ERROR"];
    output.table(&header, failures.iter().map(cells))
}

pub(super) fn preview(output: &mut Output, preview: &Preview) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json_document(preview);
    }
    let cells = |row: &PlannedRow| {
        vec![
            printable(&row.fingerprint),
            row.topic.clone(),
            row.group.clone(),
            printable(row.version.as_deref().unwrap_or("-")),
            row.letters.to_string(),
        ]
    };
    let header = ["FINGERPRINT", "TOPIC", "GROUP", "VERSION", "LETTERS"];
    output.table(&header, preview.rows.iter().map(cells))?;
    output.line(&format!("{} would be replayed", preview.would_replay))?;
    for (id, problem) in &preview.unusable {
        output.line(&format!("{id} would be dead at once: {}", printable(problem)))?;
    }
    for (id, newer) in &preview.overtaken {
        output.line(&format!(
            "{id} would come late: its group has settled {newer} newer events of its key"
        ))?;
    }
    if preview.overtaken_is_cut_off {
        output.line("not all events behind them were looked at for newer ones of their keys")?;
    }
    if preview.looked_into < preview.would_replay {
        output.line(&format!(
            "only the latest {} were looked into for what would be dead at once or come late",
            preview.looked_into
        ))?;
    }
    output.flush()?;
    tell_refused(&preview.refused);
    Ok(())
}

pub(super) fn done(
    output: &mut Output,
    what: &str,
    letters: u64,
    replay: Option<Uuid>,
) -> anyhow::Result<()> {
    if output.is_json() {
        output.json_line(&json!({ what: letters, "replay": replay }))?;
    } else if let Some(replay) = replay {
        output.line(&format!(
            "{letters} {what} as {replay}: `event-bus dlq list` tells the outcomes"
        ))?;
    } else {
        output.line(&format!("{letters} {what}"))?;
    }
    output.flush()
}

pub(super) fn tell_refused(refused: &BTreeMap<Refusal, u64>) {
    for (refusal, count) in refused {
        eprintln!("event-bus: {count} left out, each {refusal}");
    }
}

/// That it is done once somebody else approves it.
pub(super) fn waits(
    output: &mut Output,
    verb: &str,
    request: Uuid,
    letters: u64,
) -> anyhow::Result<()> {
    if output.is_json() {
        output.json_line(&json!({ "waits": verb, "request": request, "letters": letters }))?;
    } else {
        output.line(&format!(
            "{letters} dead letters to {verb} wait for somebody else: `event-bus dlq replays approve {request}`"
        ))?;
    }
    output.flush()
}

pub(super) fn requests(output: &mut Output, requests: &[RequestRow]) -> anyhow::Result<()> {
    if output.is_json() {
        for request in requests {
            output.json_line(request)?;
        }
        return output.flush();
    }
    let or_dash = |text: &Option<String>| printable(text.as_deref().unwrap_or("-"));
    let cells = |request: &RequestRow| {
        vec![
            request.id.to_string(),
            request.action.as_str().to_owned(),
            request.letters.to_string(),
            request.stage.as_str().to_owned(),
            request.at.to_string(),
            printable(&request.by),
            or_dash(&request.reason),
            or_dash(&request.decided_by),
            or_dash(&request.why),
        ]
    };
    let header =
        ["ID", "WHAT", "LETTERS", "STAGE", "ASKED AT", "BY", "REASON", "DECIDED BY", "WHY"];
    output.table(&header, requests.iter().map(cells))
}

pub(super) fn replays(output: &mut Output, replays: &[ReplayRow]) -> anyhow::Result<()> {
    if output.is_json() {
        for replay in replays {
            output.json_line(replay)?;
        }
        return output.flush();
    }
    let cells = |replay: &ReplayRow| {
        let progress = &replay.progress;
        vec![
            replay.id.to_string(),
            replay.stage.as_str().to_owned(),
            replay.at.to_string(),
            printable(&replay.by),
            format!("{} of {}", progress.sent, progress.letters),
            (progress.processed + progress.duplicate).to_string(),
            progress.dead_again.to_string(),
            progress.waits_for().to_string(),
            printable(replay.why_stopped.as_deref().or(replay.reason.as_deref()).unwrap_or("-")),
        ]
    };
    let header =
        ["ID", "STAGE", "ASKED AT", "BY", "SENT", "PROCESSED", "DEAD AGAIN", "WAITS FOR", "WHY"];
    output.table(&header, replays.iter().map(cells))
}
