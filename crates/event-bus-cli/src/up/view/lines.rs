//! A line, or a line of JSON, now and then.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::{Value, json};

use super::Frame;
use super::numbers::{Orders, clock, grouped};

/// All of it in a line.
pub fn line(frame: &Frame<'_>) -> String {
    let uptime = clock(frame.uptime);
    let state = match frame.health.problems.first() {
        None => String::new(),
        Some(problem) => format!("  NOT READY: {problem}"),
    };
    let Some(snapshot) = &frame.snapshot else { return format!("{uptime}{state}") };
    let Orders { placed, confirmed, dispatched, cancelled } = Orders::of(snapshot);
    let [placed, confirmed, dispatched, cancelled] =
        [placed, confirmed, dispatched, cancelled].map(grouped);
    let lags = snapshot.groups.iter().map(|group| (&group.group, group.total()));
    let dead = snapshot.topics.iter().map(|topic| (&topic.topic, topic.dead_letters));
    format!(
        "{uptime}  {:.1} events/s  orders: {placed} placed, {confirmed} confirmed, {dispatched} dispatched, \
         {cancelled} cancelled  lag {}  dead letters {}{state}",
        frame.rate,
        with_parts(snapshot.lag(), lags),
        with_parts(snapshot.dead_letters(), dead),
    )
}

/// A sum, and in brackets what it comes from.
fn with_parts<T: Display>(sum: u64, parts: impl Iterator<Item = (T, u64)>) -> String {
    let parts: Vec<String> = parts
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {}", grouped(count)))
        .collect();
    if parts.is_empty() { grouped(sum) } else { format!("{} ({})", grouped(sum), parts.join(", ")) }
}

/// All of it for a program.
pub fn document(frame: &Frame<'_>) -> Value {
    let problems: Vec<String> = frame.health.problems.iter().map(ToString::to_string).collect();
    let mut document = json!({
        "uptime_seconds": frame.uptime.as_secs(),
        "ready": frame.health.is_ready(),
        "problems": problems,
    });
    if let Some(snapshot) = &frame.snapshot {
        let Orders { placed, confirmed, dispatched, cancelled } = Orders::of(snapshot);
        let lags: BTreeMap<&str, u64> =
            snapshot.groups.iter().map(|group| (group.group.as_str(), group.total())).collect();
        let events: BTreeMap<&str, u64> =
            snapshot.topics.iter().map(|topic| (topic.topic.as_str(), topic.events)).collect();
        let dead: BTreeMap<&str, u64> = snapshot
            .topics
            .iter()
            .filter(|topic| topic.dead_letters > 0)
            .map(|topic| (topic.topic.as_str(), topic.dead_letters))
            .collect();
        document["events_per_second"] = json!((frame.rate * 10.0).round() / 10.0);
        document["orders"] = json!({
            "placed": placed, "confirmed": confirmed, "dispatched": dispatched, "cancelled": cancelled,
        });
        document["events"] = json!(events);
        document["lag"] = json!(lags);
        document["dead_letters"] = json!(dead);
    }
    document
}
