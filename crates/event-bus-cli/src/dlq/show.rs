//! All that is known of one dead letter.

use event_bus::Catalogue;
use event_bus::dead_letters::{Filter, Found};
use event_bus::headers::Header;
use event_bus::kafka::Record;
use serde_json::{Value, json};
use uuid::Uuid;

use super::direct::Desk;
use crate::output::{Output, printable};

impl Desk {
    pub(super) async fn show(&mut self, id: Uuid) -> anyhow::Result<()> {
        let filter = Filter { ids: vec![id], ..Filter::default() };
        let Some(found) = self.letters.matching(&filter).next() else {
            anyhow::bail!("no dead letter has the id {id}: `event-bus dlq list` shows them");
        };
        let record = found.record(&self.kafka).await?;
        let lineage: Vec<&Found> = self.letters.lineage(found).collect();
        page(&mut self.output, &self.catalogue, found, record.as_ref(), &lineage)
    }
}

/// The page of a dead letter, whose record is there or gone.
pub(super) fn page(
    output: &mut Output,
    catalogue: &Catalogue,
    found: &Found,
    record: Option<&Record>,
    lineage: &[&Found],
) -> anyhow::Result<()> {
    let doom = record.and_then(|record| found.doom(catalogue, record));
    if output.is_json() {
        let lineage =
            lineage.iter().map(|found| json!({ "id": found.letter.id, "state": found.state }));
        return output.json_document(&json!({
            "letter": found.letter, "state": found.state, "lineage": lineage.collect::<Vec<_>>(),
            "doom": doom,
            "headers": record.map(|record| record.headers.iter().map(header).collect::<Vec<_>>()),
            "value": record.and_then(|record| record.value.as_deref()).map(String::from_utf8_lossy),
        }));
    }
    for line in lines(found, record, doom.as_deref(), lineage) {
        output.line(&line)?;
    }
    output.flush()
}

fn header(header: &Header) -> Value {
    json!([header.name, header.value.as_deref().map(String::from_utf8_lossy)])
}

fn lines(
    found: &Found,
    record: Option<&Record>,
    doom: Option<&str>,
    lineage: &[&Found],
) -> Vec<String> {
    let letter = &found.letter;
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
    if let Some(doom) = doom {
        lines.push(format!("doom          {}", printable(doom)));
    }
    for kin in lineage.iter().filter(|kin| kin.letter.id != letter.id) {
        lines.push(format!(
            "also          {} {} at {}",
            kin.letter.id, kin.state, kin.letter.failed_at
        ));
    }
    let Some(record) = record else {
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
