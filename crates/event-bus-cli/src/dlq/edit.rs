//! A dead letter goes back with another value.

use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::output::{Output, printable};

/// Options of `dlq edit`.
#[derive(clap::Args)]
pub struct EditOptions {
    /// Which dead letter
    pub id: Uuid,
    /// The file with the whole edited value; - for stdin. Event, tenant and id stay
    #[arg(long, value_name = "FILE")]
    value: PathBuf,
    /// Why, for those who ask later
    #[arg(long)]
    pub reason: String,
    /// Say what would be changed, check it, and send nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl EditOptions {
    /// The edited value.
    pub fn read(&self) -> anyhow::Result<Vec<u8>> {
        if self.value.as_os_str() == "-" {
            let mut value = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut value)
                .context("the edited value can't be read from stdin")?;
            return Ok(value);
        }
        std::fs::read(&self.value).with_context(|| {
            format!("the edited value can't be read from {}", self.value.display())
        })
    }
}

/// Tells what an edit changes, where what is personal changes that is not shown, and under which id it was sent, if it was.
pub(super) fn tell(
    output: &mut Output,
    old: &[u8],
    new: &[u8],
    personal: &[String],
    replay: Option<Uuid>,
) -> anyhow::Result<()> {
    let changes = changes_of(old, new);
    if output.is_json() {
        return output
            .json_document(&json!({ "changes": changes, "personal": personal, "replay": replay }));
    }
    if !changes.is_empty() || personal.is_empty() {
        tell_changes(output, "", &changes)?;
    }
    for pointer in personal {
        output.line(&format!("{}: personal data becomes other data", printable(pointer)))?;
    }
    match replay {
        Some(replay) => output.line(&format!("sent as {replay}"))?,
        None => output.line("nothing was sent")?,
    }
    output.flush()
}

/// A line for each change, behind this.
pub(super) fn tell_changes(
    output: &mut Output,
    indent: &str,
    changes: &[Change],
) -> anyhow::Result<()> {
    let text = |value: &Option<Value>| {
        value.as_ref().map_or("nothing".to_owned(), |value| printable(&value.to_string()))
    };
    for change in changes {
        let at = if change.at.is_empty() { "the value" } else { &change.at };
        let (at, old, new) = (printable(at), text(&change.old), text(&change.new));
        output.line(&format!("{indent}{at}: {old} -> {new}"))?;
    }
    if changes.is_empty() {
        output.line(&format!("{indent}only how it is written"))?;
    }
    Ok(())
}

/// A difference between two values.
#[derive(Debug, PartialEq, serde::Serialize)]
pub(super) struct Change {
    /// Where, as a JSON pointer (RFC 6901).
    at: String,
    old: Option<Value>,
    new: Option<Value>,
}

/// How two values differ. What is no JSON is a text.
pub(super) fn changes_of(old: &[u8], new: &[u8]) -> Vec<Change> {
    let parsed = |value: &[u8]| {
        serde_json::from_slice(value)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(value).into_owned()))
    };
    changes(&parsed(old), &parsed(new))
}

fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(String::new(), Some(old), Some(new), &mut found);
    found
}

fn compare(at: String, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Change>) {
    match (old, new) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let added = after.keys().filter(|name| !before.contains_key(*name));
            for name in before.keys().chain(added) {
                let step = name.replace('~', "~0").replace('/', "~1");
                compare(format!("{at}/{step}"), before.get(name), after.get(name), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for place in 0..before.len().max(after.len()) {
                compare(format!("{at}/{place}"), before.get(place), after.get(place), found);
            }
        }
        _ if old == new => {}
        _ => found.push(Change { at, old: old.cloned(), new: new.cloned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_where_they_are() {
        let old = json!({ "a/b": { "x": 1, "same": [1, 2] }, "gone": true, "list": [1, 2] });
        let new = json!({ "a/b": { "x": 2, "same": [1, 2] }, "list": [1, 3, 4], "new": null });
        let told: Vec<String> = changes(&old, &new)
            .into_iter()
            .map(|Change { at, old, new }| format!("{at} {old:?} {new:?}"))
            .collect();
        assert_eq!(
            told,
            [
                "/a~1b/x Some(Number(1)) Some(Number(2))",
                "/gone Some(Bool(true)) None",
                "/list/1 Some(Number(2)) Some(Number(3))",
                "/list/2 None Some(Number(4))",
                "/new None Some(Null)",
            ]
        );
        assert!(changes(&old, &old).is_empty());
    }
}
