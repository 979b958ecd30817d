use proptest::prelude::*;
use serde_json::json;

use super::*;

const TOPIC: &str = "corner.order.placed";

fn catalogue(personal: &str, key: &str) -> Catalogue {
    let toml = format!(
        r#"namespace = "corner"
        [services]
        shop = {{ title = "Shop" }}
        billing = {{ title = "Billing" }}
        [defaults]
        partitions = 1
        replication = 1
        min-insync-replicas = 1
        retention = "unlimited"
        dlq-retention = "unlimited"
        retry = ["1s"]
        execution = "batched"
        behind-dead-letter = "continue"
        handler-timeout = "30s"
        [events.OrderPlaced]
        topic = "order.placed"
        description = "A customer placed an order."
        producer = "shop"
        key = ["/tenant_id", "{key}"]
        versions = ["1.0"]
        personal-data = [{personal}]
        [events.OrderPlaced.consumers.billing]
        reads = ["/order"]"#
    );
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["order", "mail"],
        "properties": {
            "order": { "type": "string" },
            "mail": { "type": "string" },
            "customer": { "type": "object", "properties": { "name": { "type": "string" } } },
            "guests": { "type": "array", "items": { "type": "object", "properties": {
                "name": { "type": "string" }, "seat": { "type": "integer" } } } },
        },
    });
    Catalogue::parse("corner.toml", &toml, |_| Ok(schema.to_string())).unwrap()
}

fn usual() -> Catalogue {
    catalogue(r#""/payload/mail", "/payload/customer", "/payload/guests/*/name""#, "/payload/order")
}

fn envelope(payload: &str) -> String {
    format!(
        r#"{{"event_id":"0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10","event":"OrderPlaced","version":"1.0",
           "occurred_at":"2026-01-01T00:00:00Z","service":"shop","tenant_id":"acme","payload":{payload}}}"#
    )
}

const PAYLOAD: &str = r#"{"order": "o-7", "m\u0061il":"jane@doe.example","total":1.50,
    "customer":{"name":"Jane Doe","age":42,"odd name":true},
    "guests":[{"name":"Ann Arbor","seat":1},{"name":"Bob","seat":2}]}"#;

fn masked(catalogue: &Catalogue, value: &str) -> String {
    let personal = Personal::of(catalogue, TOPIC, Some(value.as_bytes()));
    String::from_utf8(personal.value(&Bytes::from(value.to_owned())).into()).unwrap()
}

#[test]
fn what_the_catalogue_calls_personal_is_masked_and_all_else_stays() {
    let value = envelope(PAYLOAD);
    let wanted = value
        .replace("\"jane@doe.example\"", "\"‹personal›\"")
        .replace(r#"{"name":"Jane Doe","age":42,"odd name":true}"#, "\"‹personal›\"")
        .replace("\"Ann Arbor\"", "\"‹personal 1›\"")
        .replace("\"Bob\"", "\"‹personal 2›\"");
    assert_eq!(masked(&usual(), &value), wanted);
}

#[test]
fn what_is_not_as_its_schema_says_is_masked_as_a_whole() {
    let catalogue = usual();
    for (written, shown) in [
        (r#""Ann Arbor""#, r#""‹personal›""#),
        (r#"{"first":"Ann Arbor"}"#, r#"{"first":"‹personal 1›"}"#),
        (r#"["Ann Arbor",7,null]"#, r#"["‹personal 1›","‹personal 2›",null]"#),
        (r#"[["Ann Arbor"],{"name":"Bob"}]"#, r#"["‹personal 1›",{"name":"‹personal 2›"}]"#),
        ("null", "null"),
    ] {
        let value = envelope(&format!(r#"{{"order":"o-7","mail":null,"guests":{written}}}"#));
        let wanted =
            envelope(&format!(r#"{{"order":"o-7","mail":"‹personal›","guests":{shown}}}"#));
        assert_eq!(masked(&catalogue, &value), wanted);
        let personal = Personal::of(&catalogue, TOPIC, Some(value.as_bytes()));
        assert_eq!(personal.restored(&wanted).unwrap(), value);
        assert!(!personal.text("Ann Arbor is no list").contains("Ann") || written == "null");
    }
}

#[test]
fn texts_keys_and_headers_that_quote_it_are_masked() {
    let (catalogue, value) = (usual(), envelope(PAYLOAD));
    let personal = Personal::of(&catalogue, TOPIC, Some(value.as_bytes()));
    let told =
        personal.text("no mail to jane@doe.example (Doe, 42): \"odd name\" of o-7, 420, name");
    assert_eq!(told, "no mail to ‹personal›): \"‹personal›\" of o-7, 420, name");
    let record = Record {
        topic: TOPIC.parse().unwrap(),
        partition: 0,
        offset: 42,
        timestamp_ms: 0,
        key: Some("acme/bob".into()),
        value: Some(value.clone().into()),
        headers: vec![
            Header::text("x-to", "jane@doe.example"),
            Header::text(headers::DLQ_ERRORS_MESSAGE, "Bob is unknown"),
            Header::text(headers::DLQ_ERRORS_OFFSET, "42"),
        ],
    };
    let shown = personal.record(&record);
    assert_eq!(shown.key.as_deref(), Some(MASK.as_bytes()));
    let headers: Vec<_> = shown.headers.iter().filter_map(|one| one.value.as_deref()).collect();
    assert_eq!(headers, [MASK.as_bytes(), "‹personal› is unknown".as_bytes(), b"42"]);
    assert_eq!(personal.key(Some(&"acme/o-7".into())).as_deref(), Some(&b"acme/o-7"[..]));
    assert_eq!(personal.pointer("/payload/customer/name"), "/payload/customer");
    assert_eq!(personal.pointer("/payload/guests/1/name"), "/payload/guests/1/name");
    assert_eq!(personal.pointer("/payload/total"), "/payload/total");
}

#[test]
fn a_key_of_what_is_personal_is_masked() {
    let catalogue = catalogue(r#""/payload/mail""#, "/payload/mail");
    let value = envelope(r#"{"order":"o-7","mail":"x@y.example"}"#);
    for value in [Some(value.as_bytes()), None, Some(b"junk".as_slice())] {
        let personal = Personal::of(&catalogue, TOPIC, value);
        assert_eq!(personal.key(Some(&"acme/z".into())).as_deref(), Some(MASK.as_bytes()));
        assert!(personal.hides());
    }
}

#[test]
fn what_can_not_be_judged_is_personal_as_a_whole() {
    let catalogue = usual();
    for (topic, value) in [
        (TOPIC, "name: Jane Doe, order".to_owned()),
        (TOPIC, "\u{0}\"".to_owned()),
        (TOPIC, r#"{"payload":{"order":"Jane Doe"}}"#.to_owned()),
        (TOPIC, envelope(PAYLOAD).replace("OrderPlaced", "OrderLost")),
        (TOPIC, envelope(PAYLOAD).replace("\"1.0\"", "\"9.0\"")),
        ("corner.other", envelope(PAYLOAD)),
    ] {
        let personal = Personal::of(&catalogue, topic, Some(value.as_bytes()));
        assert!(personal.is_all() && personal.hides(), "{value}");
        assert_eq!(personal.value(&value.clone().into()), MASK.as_bytes());
        assert_eq!(personal.pointer("/payload/order"), "");
        assert!(
            !personal.text("order of JANE: OrderLost acme").contains("JANE")
                || !value.contains("Jane")
        );
        if value.contains("Jane") && topic == TOPIC {
            assert_eq!(
                personal.text("order of JANE: OrderLost acme"),
                "order of ‹personal›: OrderLost acme"
            );
        }
    }
    let none = Personal::of(&catalogue, TOPIC, None);
    assert!(!none.hides() && none.text("Jane") == "Jane");
}

#[test]
fn an_edit_keeps_what_is_masked_and_a_mask_can_not_be_moved() {
    let (catalogue, value) = (usual(), envelope(PAYLOAD));
    let personal = Personal::of(&catalogue, TOPIC, Some(value.as_bytes()));
    let shown = masked(&catalogue, &value);
    assert_eq!(personal.restored(&shown).unwrap(), value);
    // Some programs write every letter that is not of ASCII in numbers.
    let escaped = shown.replace('‹', "\\u2039").replace('›', "\\u203A");
    assert_eq!(personal.restored(&escaped).unwrap(), value);
    let edited = shown.replace("1.50", "1.60").replace("\"‹personal 2›\"", "\"Bo\"");
    let wanted = value.replace("1.50", "1.60").replace("\"Bob\"", "\"Bo\"");
    assert_eq!(personal.restored(&edited).unwrap(), wanted);
    // A list may get shorter, or have another order: each mask has its number.
    let moved = shown.replace(r#"{"name":"‹personal 1›","seat":1},"#, "");
    assert!(personal.restored(&moved).unwrap().contains(r#""guests":[{"name":"Bob","seat":2}]"#));
    for (from, to) in [
        ("\"o-7\"", "\"‹personal›\""),
        ("\"o-7\"", "\"‹personal 1›\""),
        ("\"o-7\"", "\"so ‹personal›\""),
        ("\"‹personal 2›\"", "\"‹personal 3›\""),
        ("\"‹personal 2›\"", "\"‹personal›\""),
        ("{", "‹personal›"),
        ("\"o-7\"", r#""\u2039personal\u203a""#),
        ("\"o-7\"", r#""so \u2039person\u0061l 1\u203A""#),
        ("\"order\"", r#""\u2039personal\u203a""#),
    ] {
        assert_eq!(personal.restored(&shown.replacen(from, to, 1)), Err(Misplaced), "{to}");
    }
    let other = Personal::of(&catalogue, TOPIC, Some(wanted.as_bytes()));
    assert_eq!(personal.changed(&other), ["/payload/guests/1/name"]);
    let guests = |name: &str| value.replace(r#"[{"name":"Ann Arbor""#, name);
    let [was, is] = [r#"{"a/b~c":{"name":"Ann Arbor""#, r#"{"a/b~c":{"name":"Ann""#].map(guests);
    let [was, is] = [was, is].map(|value| {
        value.replace(r#"},{"name":"Bob""#, r#"},"b":{"name":"Bob""#).replace("]}", "}}")
    });
    let [was, is] = [was, is].map(|value| Personal::of(&catalogue, TOPIC, Some(value.as_bytes())));
    assert_eq!(was.changed(&is), ["/payload/guests/a~1b~0c/name"]);
    let junk = Personal::of(&catalogue, TOPIC, Some(b"junk"));
    assert_eq!(junk.restored("‹personal›"), Err(Misplaced));
    assert_eq!(junk.restored("{}").unwrap(), "{}");
}

proptest! {
    /// Whatever stands in the fields that are personal, nothing that is shown has it.
    #[test]
    fn no_personal_value_survives(
        mail in "[A-Za-z0-9äß@.\"\\\\ -]{6,30}", name in "[A-Za-z]{6,12}", age in 100_000_u32..,
        noise in "[ -~]{0,40}", field in "[a-z]{6,9}",
    ) {
        let catalogue = usual();
        let payload = json!({
            "order": noise, "mail": mail, "customer": { "name": name, "age": age, field.clone(): [{ "deep": name }] },
            "guests": [{ "name": name }, { "name": { "first": mail } }, { "seat": 1 }],
        });
        let value = envelope(&payload.to_string());
        let letters = |text: &str| text.chars().filter(|one| one.is_alphanumeric()).count();
        let mail_is_told = letters(&mail) > 3 && !noise.contains(mail.trim());
        prop_assume!(!noise.contains(&name) && !noise.contains(&age.to_string()) && !noise.contains(&field));
        prop_assume!(!"personal".contains(&name.to_lowercase()) && !"personal".contains(&field));
        let personal = Personal::of(&catalogue, TOPIC, Some(value.as_bytes()));
        let shown = masked(&catalogue, &value);
        let error = personal.text(&format!("{name} <{mail}> {mail:?} is {age}, not {field}: {payload}"));
        for secret in [&name, &age.to_string()] {
            prop_assert!(!shown.contains(secret), "{secret}: {shown}");
            prop_assert!(!error.contains(secret), "{secret}: {error}");
        }
        if mail_is_told {
            prop_assert!(!shown.contains(mail.trim()), "{mail}: {shown}");
            prop_assert!(!error.contains(mail.trim()), "{mail}: {error}");
        }
        prop_assert_eq!(personal.restored(&shown).unwrap(), value);
    }
}
