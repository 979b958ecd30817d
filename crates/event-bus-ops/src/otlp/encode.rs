//! Spans as OTLP's JSON: the protobuf messages by their JSON mapping, with ids in hex and 64-bit numbers as texts.

use std::collections::BTreeMap;

use event_bus::trace_context::TraceContext;
use event_bus::tracer::{AttributeValue, Span, SpanKind};
use serde_json::{Value, json};

use super::Ended;

/// The instrumentation scope of all spans: who made them.
const SCOPE: &str = "event-bus";
/// `STATUS_CODE_ERROR`
const ERROR: u8 = 2;

/// The body of a request that exports these spans.
pub(super) fn request(spans: &[Ended]) -> Vec<u8> {
    let mut by_service: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for Ended { service_name, span } in spans {
        by_service.entry(service_name).or_default().push(span_json(span));
    }
    let resource_spans: Vec<Value> = by_service
        .into_iter()
        .map(|(service_name, spans)| {
            let attributes = [
                text("service.name", service_name),
                integer("process.pid", i64::from(std::process::id())),
            ];
            let scope = json!({ "name": SCOPE, "version": env!("CARGO_PKG_VERSION") });
            json!({
                "resource": { "attributes": attributes },
                "scopeSpans": [{ "scope": scope, "spans": spans }],
            })
        })
        .collect();
    json!({ "resourceSpans": resource_spans }).to_string().into_bytes()
}

fn span_json(span: &Span) -> Value {
    let attributes: Vec<Value> = span
        .attributes
        .iter()
        .map(|(key, value)| match value {
            AttributeValue::Text(value) => text(key, value),
            AttributeValue::Integer(value) => integer(key, *value),
        })
        .collect();
    let mut json = json!({
        "traceId": span.context.trace_id(),
        "spanId": span.context.span_id(),
        "name": span.name,
        "kind": kind(span.kind),
        "startTimeUnixNano": span.start.as_nanosecond().to_string(),
        "endTimeUnixNano": span.end.as_nanosecond().to_string(),
        "attributes": attributes,
        "links": span.links.iter().map(link).collect::<Vec<_>>(),
    });
    if let Some(parent) = span.parent {
        json["parentSpanId"] = parent.span_id().into();
    }
    if let Some(error) = &span.error {
        json["status"] = json!({ "code": ERROR, "message": error });
    }
    json
}

fn link(context: &TraceContext) -> Value {
    json!({ "traceId": context.trace_id(), "spanId": context.span_id() })
}

/// `SpanKind` of the protocol.
fn kind(kind: SpanKind) -> u8 {
    match kind {
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn integer(key: &str, value: i64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_bus::tracer::attributes;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn context(span: &str) -> TraceContext {
        format!("00-{TRACE}-{span}-01").parse().unwrap()
    }

    fn span() -> Span {
        Span {
            context: context("00000000000000aa"),
            parent: Some(context("00000000000000bb")),
            links: vec![context("00000000000000cc")],
            kind: SpanKind::Consumer,
            name: "process acme.order.placed".to_owned(),
            start: "2026-01-02T03:04:05.000000001Z".parse().unwrap(),
            end: "2026-01-02T03:04:06Z".parse().unwrap(),
            attributes: vec![
                (attributes::SYSTEM, "kafka".into()),
                (attributes::OFFSET, i64::MAX.into()),
            ],
            error: Some("no paper".to_owned()),
        }
    }

    #[test]
    fn a_span_is_written_as_otlp_has_it() {
        let attributes = json!([
            { "key": "messaging.system", "value": { "stringValue": "kafka" } },
            { "key": "messaging.kafka.offset", "value": { "intValue": "9223372036854775807" } },
        ]);
        let wanted = json!({
            "traceId": TRACE,
            "spanId": "00000000000000aa",
            "parentSpanId": "00000000000000bb",
            "name": "process acme.order.placed",
            "kind": 5,
            "startTimeUnixNano": "1767323045000000001",
            "endTimeUnixNano": "1767323046000000000",
            "attributes": attributes,
            "links": [{ "traceId": TRACE, "spanId": "00000000000000cc" }],
            "status": { "code": 2, "message": "no paper" },
        });
        assert_eq!(span_json(&span()), wanted);
    }

    #[test]
    fn each_service_has_its_own_resource() {
        let ended = ["a", "b", "a"].map(|name| Ended { service_name: name.into(), span: span() });
        let request: Value = serde_json::from_slice(&request(&ended)).unwrap();
        let resources = request["resourceSpans"].as_array().unwrap();
        let names: Vec<(&Value, usize)> = resources
            .iter()
            .map(|resource| {
                let name = &resource["resource"]["attributes"][0]["value"]["stringValue"];
                (name, resource["scopeSpans"][0]["spans"].as_array().unwrap().len())
            })
            .collect();
        assert_eq!(names, [(&json!("a"), 2), (&json!("b"), 1)]);
    }
}
