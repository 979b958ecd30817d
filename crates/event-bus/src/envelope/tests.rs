use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::{
    catalogue::{Catalogue, DIALECT, Event},
    headers,
    limits::{LimitExceeded, MAX_RECORD_BYTES},
};

const ID: &str = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10";

#[derive(Serialize, Deserialize)]
struct StockCounted {
    // Not in alphabetical order, to see that the order of fields is kept.
    sku: String,
    quantity: i64,
    note: Option<String>,
}

impl EventType for StockCounted {
    const NAME: &'static str = "StockCounted";
    const VERSION: &'static str = "1.0";
}

fn catalogue() -> Catalogue {
    let toml = r#"
        namespace = "acme"
        services = { warehouse = { title = "Warehouse" } }
        [events.StockCounted]
        topic = "stock.counted"
        description = "Stock was counted."
        producer = "warehouse"
        key = ["/tenant_id", "/payload/sku"]
        versions = ["1.0"]
    "#;
    let schema = json!({
        "$schema": DIALECT,
        "type": "object",
        "required": ["sku", "quantity"],
        "properties": {
            "sku": { "type": ["string", "integer"] },
            "quantity": { "type": "integer", "minimum": 0 },
        },
        "allOf": [{ "properties": { "sku": { "type": "string", "minLength": 1 } } }],
    });
    Catalogue::parse("acme.toml", toml, |_| Ok(schema.to_string())).unwrap()
}

fn event() -> &'static Event {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(catalogue);
    CATALOGUE.event("StockCounted").unwrap()
}

fn counted(sku: &str, quantity: i64) -> StockCounted {
    StockCounted { sku: sku.to_owned(), quantity, note: None }
}

fn tenant(text: &str) -> TenantId {
    text.parse().unwrap()
}

fn draft<'a>(tenant: &'a TenantId, payload: &StockCounted) -> Draft<'a> {
    Draft::typed(event(), tenant, payload, Timestamp::now()).unwrap()
}

fn fields() -> Value {
    json!({
        "event_id": ID, "event": "StockCounted", "version": "1.0", "occurred_at": "2025-06-01T10:30:00Z",
        "service": "warehouse", "tenant_id": "louvolite", "payload": { "sku": "RB-1", "quantity": 3 },
    })
}

fn parse(value: &Value) -> Result<Envelope, ParseError> {
    Envelope::parse(value.to_string().as_bytes())
}

/// The error with its sources.
fn explained(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", explained(source)),
        None => error.to_string(),
    }
}

#[test]
fn the_documented_envelope_is_read_with_and_without_an_event_id() {
    let envelope = parse(&fields()).unwrap();
    assert_eq!(envelope.event_id, Some(ID.parse().unwrap()));
    assert_eq!((envelope.event.as_str(), envelope.service.as_str()), ("StockCounted", "warehouse"));
    assert_eq!(envelope.version, Version { major: 1, minor: 0 });
    assert_eq!(envelope.occurred_at.to_string(), "2025-06-01T10:30:00Z");
    assert_eq!(envelope.payload.to_value(), json!({ "sku": "RB-1", "quantity": 3 }));
    let mut without = fields();
    without.as_object_mut().unwrap().remove("event_id");
    assert_eq!(parse(&without).unwrap().event_id, None);
}

#[test]
fn unknown_extra_fields_are_accepted() {
    let mut extra = fields();
    extra["region"] = json!({ "code": ["GB"] });
    extra["payload"]["colour"] = json!("white");
    assert_eq!(parse(&extra).unwrap().payload.to_value()["colour"], "white");
}

#[test]
fn a_field_that_is_missing_or_of_a_wrong_kind_is_an_error_that_names_it() {
    for name in ["event", "version", "occurred_at", "service", "tenant_id", "payload"] {
        let mut without = fields();
        without.as_object_mut().unwrap().remove(name);
        assert!(
            explained(&parse(&without).unwrap_err()).contains(&format!("missing field `{name}`"))
        );
    }
    for (name, wrong, says) in [
        ("event_id", json!(null), "event id"),
        ("event_id", json!("00000000-0000-0000-0000-000000000000"), "event id"),
        ("event", json!("stock counted"), "event name"),
        ("version", json!("1"), "version"),
        ("version", json!(1.0), "version"),
        ("occurred_at", json!("yesterday"), "occurred_at is not an RFC 3339 time"),
        ("service", json!("Warehouse"), "service name"),
        ("tenant_id", json!(""), "tenant id"),
        ("tenant_id", json!(7), "tenant id"),
    ] {
        let mut fields = fields();
        fields[name] = wrong;
        let error = parse(&fields).unwrap_err();
        assert!(matches!(error, ParseError::NotAnEnvelope(_)), "{error:?}");
        assert!(explained(&error).contains(says), "{}", explained(&error));
    }
}

#[test]
fn a_duplicate_field_is_an_error_in_the_envelope_and_anywhere_in_the_payload() {
    let text = fields().to_string();
    for (old, new) in [
        (r#""tenant_id":"louvolite""#, r#""tenant_id":"louvolite","tenant_id":"decorquip""#),
        (r#""event_id""#, r#""event_id":"0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a11","event_id""#),
        (r#""quantity":3"#, r#""quantity":3,"quantity":3"#),
        (r#""quantity":3"#, r#""quantity":3,"more":[{"a":1,"\u0061":2}]"#),
        (r#""payload":{"#, r#""payload":{},"payload":{"#),
    ] {
        assert!(text.contains(old), "{old} in {text}");
        let error = Envelope::parse(text.replacen(old, new, 1).as_bytes()).unwrap_err();
        assert!(explained(&error).contains("duplicate field"), "{}", explained(&error));
    }
}

#[test]
fn what_is_not_json_or_not_utf8_is_told_apart_from_other_json() {
    for text in ["", "{", "hello", "{\"a\":1,}", "\u{feff}{}"] {
        assert!(matches!(Envelope::parse(text.as_bytes()), Err(ParseError::NotJson(_))), "{text}");
    }
    assert!(matches!(Envelope::parse(b"{\"tenant_id\":\"\xff\"}"), Err(ParseError::NotUtf8(_))));
    for text in ["[]", "7", "{}", "\"text\""] {
        assert!(
            matches!(Envelope::parse(text.as_bytes()), Err(ParseError::NotAnEnvelope(_))),
            "{text}"
        );
    }
}

#[test]
fn nesting_of_10_000_levels_is_refused_on_a_small_stack_and_64_are_read() {
    let nested = |open: &str, close: &str, levels: usize| {
        let deep = format!("{}{}", open.repeat(levels), close.repeat(levels));
        fields().to_string().replacen("\"quantity\":3", &format!("\"deep\":{deep}"), 1)
    };
    let parse = move |text: String| {
        let thread = std::thread::Builder::new().stack_size(256 * 1024);
        thread.spawn(move || Envelope::parse(text.as_bytes())).unwrap().join().unwrap()
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let text = nested(open, close, 10_000).replace(":}", ":1}");
        assert!(matches!(parse(text), Err(ParseError::TooDeep)));
    }
    // The envelope and the payload are a level each.
    assert!(parse(nested("[", "]", MAX_NESTING - 2)).is_ok());
    assert!(matches!(parse(nested("[", "]", MAX_NESTING - 1)), Err(ParseError::TooDeep)));
}

#[test]
fn a_sealed_draft_has_the_documented_bytes_key_and_headers() {
    let tenant = tenant("Rollos \"Müller\"");
    let mut draft = draft(&tenant, &counted("RB 1/2", 3));
    draft.event_id = ID.parse().unwrap();
    draft.occurred_at = "2025-06-01T10:30:00Z".parse().unwrap();
    let trace = draft.trace;
    let record = draft.seal().unwrap();
    assert_eq!(
        std::str::from_utf8(record.value.as_deref().unwrap()).unwrap(),
        r#"{"event_id":"0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10","event":"StockCounted","version":"1.0","occurred_at":"2025-06-01T10:30:00Z","service":"warehouse","tenant_id":"Rollos \"Müller\"","payload":{"sku":"RB 1/2","quantity":3,"note":null}}"#
    );
    assert_eq!(record.key.as_deref(), Some(&b"Rollos%20%22M%C3%BCller%22/RB%201%2F2"[..]));
    assert_eq!((record.topic.as_str(), record.partition), ("acme.stock.counted", None));
    let trace = trace.to_string();
    let expected = [
        (headers::CE_SPECVERSION, "1.0"),
        (headers::CONTENT_TYPE, "application/json"),
        (headers::CE_TYPE, "StockCounted"),
        (headers::CE_SOURCE, "/acme/warehouse"),
        (headers::CE_TENANTID, "Rollos \"Müller\""),
        (headers::CE_ID, ID),
        (headers::CE_TIME, "2025-06-01T10:30:00Z"),
        (headers::TRACEPARENT, &trace),
    ];
    assert_eq!(record.headers, expected.map(|(name, value)| headers::Header::text(name, value)));
}

#[test]
fn what_is_sealed_reads_back_as_the_same_event() {
    let tenant = tenant("louvolite");
    let draft = draft(&tenant, &counted("RB-1", 3));
    let record = draft.clone().seal().unwrap();
    let envelope = Envelope::parse(record.value.as_deref().unwrap()).unwrap();
    assert_eq!(envelope.event_id, Some(record.event_id));
    assert_eq!((envelope.occurred_at, &envelope.tenant_id), (draft.occurred_at, &tenant));
    assert_eq!(envelope.payload.json(), draft.payload.json());
    let mut key = Vec::new();
    draft.event.key.write(&envelope.tenant_id, &envelope.payload, &mut key).unwrap();
    assert_eq!(Some(key.as_slice()), record.key.as_deref());
}

#[test]
fn a_payload_against_its_schema_is_refused_with_every_pointer_and_no_value() {
    let error = draft(&tenant("louvolite"), &counted("", -5)).seal().unwrap_err();
    let SealError::Schema { violations, .. } = &error else { panic!("{error:?}") };
    let mut pointers =
        violations.iter().map(|violation| violation.pointer.as_str()).collect::<Vec<_>>();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/quantity", "/sku"]);
    assert!(!error.to_string().contains("-5"), "{error}");
}

#[test]
fn only_a_version_of_the_catalogue_is_published() {
    let tenant = tenant("louvolite");
    let mut draft = draft(&tenant, &counted("RB-1", 1));
    draft.version = Version { major: 1, minor: 7 };
    assert!(matches!(draft.seal(), Err(SealError::UnsupportedVersion(_))));
}

#[test]
fn a_record_at_the_limit_is_sealed_and_a_byte_more_is_refused() {
    let tenant = tenant("louvolite");
    let with_note = |bytes: usize| {
        let payload = StockCounted { note: Some("x".repeat(bytes)), ..counted("RB-1", 1) };
        let mut draft = draft(&tenant, &payload);
        draft.occurred_at = Timestamp::UNIX_EPOCH;
        draft.seal()
    };
    let empty = with_note(0).unwrap();
    let bytes = empty.key.unwrap().len()
        + empty.value.unwrap().len()
        + empty.headers.iter().map(headers::Header::bytes).sum::<usize>();
    assert!(with_note(MAX_RECORD_BYTES - bytes).is_ok());
    let error = with_note(MAX_RECORD_BYTES - bytes + 1).unwrap_err();
    assert!(
        matches!(error, SealError::Limit(LimitExceeded::Record { bytes: 1_000_001 })),
        "{error}"
    );
    let error = draft(&tenant, &counted(&"k".repeat(1024), 1)).seal().unwrap_err();
    assert!(matches!(error, SealError::Limit(LimitExceeded::Key { .. })), "{error}");
}

#[test]
fn a_type_is_published_only_as_its_own_event() {
    struct Other;
    impl Serialize for Other {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_unit()
        }
    }
    impl<'de> Deserialize<'de> for Other {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Other, D::Error> {
            Ok(Other)
        }
    }
    impl EventType for Other {
        const NAME: &'static str = "StockLost";
        const VERSION: &'static str = "1.0";
    }
    let error = Draft::typed(event(), &tenant("t"), &Other, Timestamp::now()).unwrap_err();
    assert_eq!(error.to_string(), "a payload of type StockLost is not one of StockCounted");
}

#[test]
fn a_whole_envelope_keeps_its_bytes() {
    let text = "\n { \"version\" : \"1.0\", \"event\":\"StockCounted\", \"extra\": 1e2, \"occurred_at\":\"2025-06-01T10:30:00.000Z\",\
        \"service\":\"warehouse\",\"event_id\":\"0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10\",\"tenant_id\":\"t\",\
        \"payload\":{\"quantity\": 3.0,\"sku\":\"a\"}}\r\n";
    let record = seal_bytes(&catalogue(), text.as_bytes(), Timestamp::now()).unwrap();
    assert_eq!(record.value.as_deref(), Some(text.trim().as_bytes()));
    assert_eq!(record.event_id.to_string(), ID);
    assert_eq!(headers::last(&record.headers, headers::CE_ID), Some(ID));
    assert_eq!(record.key.as_deref(), Some(&b"t/a"[..]));
}

#[test]
fn a_whole_envelope_without_an_id_gets_one_in_front_of_its_fields() {
    let mut fields = fields();
    fields.as_object_mut().unwrap().remove("event_id");
    let text = fields.to_string();
    let record = seal_bytes(&catalogue(), text.as_bytes(), Timestamp::now()).unwrap();
    let value = record.value.unwrap();
    let expected = format!("{{\"event_id\":\"{}\",{}", record.event_id, &text[1..]);
    assert_eq!(value, expected);
    assert_eq!(Envelope::parse(&value).unwrap().event_id, Some(record.event_id));
}

#[test]
fn a_whole_envelope_of_an_unknown_event_or_another_producer_is_refused() {
    let seal = |name: &str, value: Value| {
        let mut fields = fields();
        fields[name] = value;
        seal_bytes(&catalogue(), fields.to_string().as_bytes(), Timestamp::now()).unwrap_err()
    };
    assert!(matches!(seal("event", json!("StockLost")), SealError::UnknownEvent { .. }));
    assert!(matches!(seal("service", json!("brand")), SealError::WrongProducer { .. }));
    assert!(matches!(seal("version", json!("2.0")), SealError::UnsupportedVersion(_)));
    assert!(matches!(seal("payload", json!([])), SealError::Schema { .. }));
    assert!(matches!(seal("tenant_id", json!([])), SealError::Parse(_)));
}
