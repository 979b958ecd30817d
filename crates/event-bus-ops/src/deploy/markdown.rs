//! The catalogue as pages to read: what happens, who tells it, who listens, and what it looks like.

use std::fmt::Write as _;
use std::time::Duration;

use event_bus::Catalogue;
use event_bus::catalogue::{
    BehindDeadLetter, Consumer, Event, Execution, Places, Retention, SchemaVersion,
};
use event_bus::names::ServiceName;
use serde_json::Value;

/// What a table shows of a schema that refers to itself.
const DEPTH_MAX: usize = 8;

/// All of it in one document.
#[must_use]
pub fn file(catalogue: &Catalogue) -> String {
    let mut page = format!(
        "# Events of {}\n\nGenerated from the catalogue by `event-bus catalogue export markdown`: change the catalogue instead.\n\n",
        catalogue.namespace()
    );
    page.push_str("| event | what happened | producer | consumers |\n|---|---|---|---|\n");
    for event in catalogue.events() {
        let consumers: Vec<&str> =
            event.consumers.iter().map(|consumer| consumer.service.as_str()).collect();
        let anchor = event.name.as_str().to_lowercase();
        let cells =
            [cell(&event.description), title(catalogue, &event.producer), consumers.join(", ")];
        line(&mut page, &format!("| [{}](#{anchor}) | {} |", event.name, cells.join(" | ")));
    }
    page.push_str("\n## Services\n\n| service | publishes | consumes |\n|---|---|---|\n");
    for (service, title) in catalogue.services() {
        let published: Vec<&str> = catalogue
            .events()
            .filter(|event| event.producer == *service)
            .map(|event| event.name.as_str())
            .collect();
        let consumed: Vec<&str> =
            catalogue.subscriptions_of(service).map(|found| found.event.name.as_str()).collect();
        line(
            &mut page,
            &format!(
                "| {} (`{service}`) | {} | {} |",
                cell(title),
                published.join(", "),
                consumed.join(", ")
            ),
        );
    }
    for event in catalogue.events() {
        event_page(catalogue, event, &mut page);
    }
    page
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

fn title(catalogue: &Catalogue, service: &ServiceName) -> String {
    let named = catalogue.services().find(|(name, _)| *name == service);
    cell(named.map_or(service.as_str(), |(_, title)| title))
}

/// A text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}

/// A text as code in a cell of a table.
fn code(text: &str) -> String {
    let quoted = if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") };
    quoted.replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn event_page(catalogue: &Catalogue, event: &Event, page: &mut String) {
    write!(page, "\n## {}\n\n{}\n\n| | |\n|---|---|\n", event.name, event.description)
        .expect("writing to a String cannot fail");
    let versions: Vec<String> =
        event.versions.iter().map(|known| known.version.to_string()).collect();
    let key: Vec<String> = event.key.pointers().map(code).collect();
    let topic = |name: &str, kept: Retention| format!("{}, kept {}", code(name), kept_for(kept));
    for (what, is) in [
        ("producer", format!("{} (`{}`)", title(catalogue, &event.producer), event.producer)),
        ("versions", versions.join(", ")),
        ("topic", topic(event.topic.as_str(), event.retention)),
        ("dead letters", topic(event.dead_letter_topic.as_str(), event.dlq_retention)),
        (
            "partitions",
            format!(
                "{}, each on {} brokers, of which {} acknowledge",
                event.partitions, event.replication, event.min_insync_replicas
            ),
        ),
        ("order is kept by", key.join(", ")),
        ("personal data", personal(event)),
    ] {
        line(page, &format!("| {what} | {is} |"));
    }
    consumers(event, page);
    for known in &event.versions {
        version(event, known, page);
    }
}

fn personal(event: &Event) -> String {
    let pointers: Vec<String> = event.personal_data.iter().map(|pointer| code(pointer)).collect();
    if pointers.is_empty() { "none".to_owned() } else { pointers.join(", ") }
}

fn consumers(event: &Event, page: &mut String) {
    if event.consumers.is_empty() {
        return line(page, "\nNobody consumes it.");
    }
    page.push_str("\n| consumer | group | major | reads of the payload | handles | attempts |\n|---|---|---|---|---|---|\n");
    for consumer in &event.consumers {
        let Consumer { service, group, major, reads, .. } = consumer;
        let reads: Vec<String> = reads.iter().map(|pointer| code(pointer)).collect();
        let reads = if reads.is_empty() { "not declared".to_owned() } else { reads.join(", ") };
        let handles = handling(consumer);
        let waits: Vec<String> = consumer.retry.iter().map(|wait| duration(*wait)).collect();
        let attempts = format!("{}, after {}", waits.len() + 1, waits.join(", "));
        line(
            page,
            &format!(
                "| {service} | {} | {major} | {reads} | {handles} | {attempts} |",
                code(group.as_str())
            ),
        );
    }
}

fn handling(consumer: &Consumer) -> String {
    let how = match consumer.execution {
        Execution::Batched => "batched".to_owned(),
        Execution::Concurrent(most) => format!("up to {most} at once"),
    };
    match consumer.behind_dead_letter {
        BehindDeadLetter::Continue => how,
        BehindDeadLetter::Park => format!("{how}, parks a key behind a dead letter"),
    }
}

fn version(event: &Event, known: &SchemaVersion, page: &mut String) {
    let schema = known.schema.json();
    write!(
        page,
        "\n### {} {}\n\n| field | type | required | what |\n|---|---|---|---|\n",
        event.name, known.version
    )
    .expect("writing to a String cannot fail");
    fields(schema, schema, "", 0, page);
    if let Some(sample) = &known.sample {
        write!(page, "\n```json\n{}\n```\n", sample.trim_end())
            .expect("writing to a String cannot fail");
    }
}

/// A row for each field, and for those inside of it.
fn fields(root: &Value, schema: &Value, path: &str, depth: usize, page: &mut String) {
    for place in together(root, schema) {
        let required: Vec<&str> = place
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (name, field) in
            place.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            let at = format!("{path}/{name}");
            row(root, field, &at, required.contains(&name.as_str()), page);
            if depth < DEPTH_MAX {
                fields(root, field, &at, depth + 1, page);
            }
        }
        for keyword in ["items", "additionalProperties"] {
            if let Some(each) = place.get(keyword).filter(|each| each.is_object())
                && depth < DEPTH_MAX
            {
                fields(root, each, &format!("{path}/*"), depth + 1, page);
            }
        }
    }
}

fn row(root: &Value, field: &Value, at: &str, is_required: bool, page: &mut String) {
    let said = |keyword: &str| {
        together(root, field).into_iter().find_map(|place| place.get(keyword).cloned())
    };
    let kind = match said("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        _ => String::new(),
    };
    let format = said("format")
        .and_then(|format| format.as_str().map(|format| format!(" ({format})")))
        .unwrap_or_default();
    let what = said("description").and_then(|text| text.as_str().map(cell)).unwrap_or_default();
    let values = said("enum").and_then(|values| {
        let values =
            values.as_array()?.iter().map(|value| code(&value.to_string())).collect::<Vec<_>>();
        Some(format!(" One of {}.", values.join(", ")))
    });
    let required = if is_required { "yes" } else { "" };
    line(
        page,
        &format!(
            "| {} | {kind}{format} | {required} | {what}{} |",
            code(at),
            values.unwrap_or_default()
        ),
    );
}

/// A schema, what it refers to, and those that apply beside it.
fn together<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let mut all = vec![schema];
    let mut next = 0;
    while next < all.len() && all.len() < 64 {
        let place = all[next];
        next += 1;
        let target = place
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| root.pointer(reference.strip_prefix('#')?));
        all.extend(target);
        let lists = place.as_object().into_iter().flatten().filter(|(keyword, _)| {
            *keyword != "prefixItems" && Places::of(keyword) == Places::List
        });
        all.extend(lists.filter_map(|(_, list)| list.as_array()).flatten());
    }
    all
}

fn kept_for(retention: Retention) -> String {
    match retention {
        Retention::Unlimited => "for ever".to_owned(),
        Retention::For(time) => format!("for {}", duration(time)),
    }
}

/// In the largest unit that is whole.
fn duration(time: Duration) -> String {
    let millis = time.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let whole = units.into_iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{millis} ms"), |(unit, name)| format!("{} {name}", millis / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_cell_or_begin_a_tag_is_escaped() {
        assert_eq!(cell("a|b\\c<script>\nd"), "a\\|b\\\\c&lt;script> d");
        assert_eq!(code("^(a|b)`$"), "`` ^(a\\|b)`$ ``");
    }

    #[test]
    fn durations_are_told_in_the_largest_whole_unit() {
        let told = |millis| duration(Duration::from_millis(millis));
        assert_eq!(
            [500, 2_000, 90_000, 7_200_000, 2_592_000_000].map(told),
            ["500 ms", "2 s", "90 s", "2 h", "30 d"]
        );
    }
}
