//! All that is known of one dead letter.

use event_bus::Catalogue;
use event_bus::dead_letters::{Filter, Found, Moment, Reached, reached, timeline};
use event_bus::headers::Header;
use event_bus::kafka::Record;
use event_bus::kafka::admin::Admin;
use event_bus_ops::api::Known as Told;
use serde_json::{Value, json};
use uuid::Uuid;

use super::direct::{Desk, unknown};
use crate::output::{Output, printable};

impl Desk {
    pub(super) async fn show(&mut self, id: Uuid) -> anyhow::Result<()> {
        let filter = Filter { ids: vec![id], ..Filter::default() };
        let Some(found) = self.letters.matching(&filter).next() else {
            return unknown(id);
        };
        let record = found.record(&self.admin).await?;
        let lineage: Vec<&Found> = self.letters.lineage(found).collect();
        let known = Known::ask(&self.admin, &self.catalogue, found, lineage, record).await?;
        page(&mut self.output, &known)
    }
}

/// All that is known of a dead letter.
pub(super) struct Known<'a> {
    found: &'a Found,
    lineage: Vec<&'a Found>,
    /// Gone where retention took it.
    record: Option<Record>,
    doom: Option<String>,
    timeline: Vec<Moment>,
    reached: Vec<Reached>,
}

impl<'a> Known<'a> {
    pub(super) async fn ask(
        admin: &Admin,
        catalogue: &Catalogue,
        found: &'a Found,
        lineage: Vec<&'a Found>,
        record: Option<Record>,
    ) -> anyhow::Result<Self> {
        let doom = record.as_ref().and_then(|record| found.doom(catalogue, record));
        let timeline = timeline(admin, catalogue, &lineage, record.as_ref()).await?;
        // Of the event as it was published, and not of a replay that died.
        let first = lineage.first().copied().unwrap_or(found);
        let reached = reached(admin, catalogue, first).await?;
        Ok(Self { found, lineage, record, doom, timeline, reached })
    }

    /// As an ops process told it.
    pub(super) fn told(known: &'a Told) -> Self {
        let found = &known.family.found;
        let letter = &found.letter;
        let record = known.content.clone().map(|content| Record {
            topic: letter.dead_letter_topic.clone(),
            partition: letter.dead_letter_partition,
            offset: letter.dead_letter_offset,
            timestamp_ms: letter.failed_at.as_millisecond(),
            key: content.key.map(Into::into),
            value: content.value.map(Into::into),
            headers: content
                .headers
                .into_iter()
                .map(|(name, value)| Header { name: name.into(), value: value.map(Into::into) })
                .collect(),
        });
        Self {
            found,
            lineage: known.family.lineage.iter().collect(),
            record,
            doom: known.doom.clone(),
            timeline: known.timeline.clone(),
            reached: known.groups.clone(),
        }
    }
}

pub(super) fn page(output: &mut Output, known: &Known<'_>) -> anyhow::Result<()> {
    if output.is_json() {
        let kin = known.lineage.iter();
        let lineage = kin.map(|found| json!({ "id": found.letter.id, "state": found.state }));
        let record = known.record.as_ref();
        return output.json_document(&json!({
            "letter": known.found.letter, "state": known.found.state, "lineage": lineage.collect::<Vec<_>>(),
            "doom": known.doom, "timeline": known.timeline, "groups": known.reached,
            "headers": record.map(|record| record.headers.iter().map(header).collect::<Vec<_>>()),
            "value": record.and_then(|record| record.value.as_deref()).map(String::from_utf8_lossy),
        }));
    }
    for line in lines(known) {
        output.line(&line)?;
    }
    output.flush()
}

fn header(header: &Header) -> Value {
    json!([header.name, header.value.as_deref().map(String::from_utf8_lossy)])
}

fn lines(known: &Known<'_>) -> Vec<String> {
    let (found, letter) = (known.found, &known.found.letter);
    let mut lines = vec![
        format!("dead letter   {}", letter.id),
        format!("state         {}", found.state),
        format!(
            "event         {} {}",
            letter.event.as_deref().map_or("-".to_owned(), printable),
            letter.event_id
        ),
        format!("tenant        {}", letter.tenant.as_deref().map_or("-".to_owned(), printable)),
        format!(
            "original      {} partition {} offset {}",
            letter.topic, letter.partition, letter.offset
        ),
        format!("group         {}", letter.group),
        format!("reason        {}", printable(&letter.reason)),
        format!("error         {}: {}", printable(&letter.error_type), printable(&letter.message)),
        format!("fingerprint   {}", printable(&letter.fingerprint)),
        format!(
            "attempts      {}, from {} to {}",
            letter.attempts, letter.first_failed_at, letter.failed_at
        ),
        format!("replays       {}", letter.replays),
    ];
    if let Some(doom) = &known.doom {
        lines.push(format!("doom          {}", printable(doom)));
    }
    for kin in known.lineage.iter().filter(|kin| kin.letter.id != letter.id) {
        lines.push(format!(
            "also          {} {} at {}",
            kin.letter.id, kin.state, kin.letter.failed_at
        ));
    }
    for Reached { group, has_settled } in &known.reached {
        let how = if *has_settled { "has settled the event" } else { "has not reached the event" };
        lines.push(format!("group         {group} {how}"));
    }
    lines.push("timeline".to_owned());
    for Moment { at, what } in &known.timeline {
        lines.push(format!("  {at} {}", printable(what)));
    }
    let Some(record) = &known.record else {
        lines.push("value         retention has taken it".to_owned());
        return lines;
    };
    lines.push("headers".to_owned());
    for Header { name, value } in &record.headers {
        let value = value.as_deref().map_or("null".into(), String::from_utf8_lossy);
        lines.push(format!("  {} = {}", printable(name), printable(&value)));
    }
    lines.push("value".to_owned());
    let value = record.value.as_deref().unwrap_or_default();
    lines.push(format!("  {}", printable(&String::from_utf8_lossy(value))));
    lines
}
