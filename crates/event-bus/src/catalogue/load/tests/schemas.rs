use super::*;

#[test]
fn versions_must_be_distinct_and_of_two_numbers() {
    let old = "versions = [\"1.0\"]";
    one(
        old,
        "versions = []",
        "acme.toml:13: events.OrderPlaced.versions: lists no version; list at least one, such as \"1.0\"",
    );
    one(
        old,
        "versions = [\"1.0\", \"1.0\"]",
        "acme.toml:13: events.OrderPlaced.versions[1]: 1.0 is listed twice; remove one of them",
    );
    one(
        old,
        "versions = [\"1\"]",
        "acme.toml:13: events.OrderPlaced.versions[0]: not a version: two whole numbers with a dot, such as `1.0`, without \
         leading zeros; write it by that rule",
    );
    one(old, "", "acme.toml:8: events.OrderPlaced: has no `versions`; add `versions`");
}

#[test]
fn schemas_must_be_there_and_usable() {
    one(
        "versions = [\"1.0\"]",
        "versions = [\"1.0\", \"3.0\"]",
        "schemas/OrderPlaced/3.0.json: events.OrderPlaced.versions[1]: can't be read: no such file; write the schema of this \
         version there",
    );
    let usable = |schema: &Value| listed(load_with(GOOD, schema)).remove(0);
    let mut older = order_schema();
    older["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    assert!(
        usable(&older).contains(&format!("is not a usable schema: `$schema` is not `{DIALECT}`"))
    );
    for (pointer, wrong, part) in [
        ("order_id", json!({ "type": "text" }), "is not a usable schema"),
        ("order_id", json!({ "type": "string", "format": "oder-number" }), "oder-number"),
        ("order_id", json!({ "type": "string", "pattern": "^(?=a)" }), "is not a usable schema"),
        (
            "customer",
            json!({ "$ref": "https://example.com/customer.json" }),
            "https://example.com/customer.json",
        ),
        ("customer", json!({ "$ref": "customer.json" }), "is not a usable schema"),
    ] {
        let mut schema = order_schema();
        schema["properties"][pointer] = wrong;
        let problem = usable(&schema);
        assert!(
            problem.starts_with("schemas/OrderPlaced/1.0.json: events.OrderPlaced.versions[0]: "),
            "{problem}"
        );
        assert!(problem.contains(part), "{problem}");
    }
    let problems =
        listed(Catalogue::parse("acme.toml", GOOD, |_| Ok(r#"{"type":1,"type":2}"#.to_owned())));
    assert!(problems[0].contains("is not JSON: duplicate field"), "{problems:?}");
}

#[test]
fn a_key_must_be_a_required_scalar_in_every_version() {
    let old = "key = [\"/tenant_id\", \"/payload/order_id\"]";
    one(
        old,
        "key = []",
        "acme.toml:12: events.OrderPlaced.key: is empty; list at least one pointer: what has the same key stays in order",
    );
    one(
        old,
        "key = [\"/tenant_id\", \"/event_id\"]",
        "acme.toml:12: events.OrderPlaced.key[1]: \"/event_id\" is no pointer to a key field; write `/tenant_id`, or a pointer \
         that begins with `/payload/`",
    );
    let cure = "make the field a required string or integer there, or choose another for the key";
    for (pointer, why) in [
        ("/order", "the schema has no property /order"),
        ("/customer/email", "the schema does not require /customer"),
        ("/lines", "the schema does not require /lines"),
    ] {
        let new = format!("key = [\"/payload{pointer}\"]");
        one(
            old,
            &new,
            &format!("schemas/OrderPlaced/1.0.json: events.OrderPlaced.key[0]: {why}; {cure}"),
        );
    }
    let mut schema = order_schema();
    schema["properties"]["order_id"] = json!({ "type": "number" });
    assert!(
        listed(load_with(GOOD, &schema))[0]
            .contains("does not say that /order_id is of type string or integer")
    );
}

#[test]
fn pointers_to_personal_data_and_reads_must_lead_somewhere() {
    let cure = "correct the pointer (`/lines/*/sku` passes through an array), or add the field to the schema";
    one(
        "/payload/customer/email",
        "/payload/customer/mail",
        &format!(
            "acme.toml:14: events.OrderPlaced.personal-data[0]: no version's schema describes /customer/mail in the payload; {cure}"
        ),
    );
    one(
        "\"/payload/customer/email\"",
        "\"/customer/email\"",
        "acme.toml:14: events.OrderPlaced.personal-data[0]: \"/customer/email\" is no pointer that begins with `/payload/`; \
         write one, such as `/payload/customer/email`",
    );
    one(
        "/lines/*/sku",
        "/lines/*/ean",
        &format!(
            "acme.toml:17: events.OrderPlaced.consumers.mail.reads[1]: no version's schema describes /lines/*/ean in the payload; {cure}"
        ),
    );
}

#[test]
fn a_consumer_says_which_of_several_majors_it_handles() {
    let both = GOOD.replace("versions = [\"1.0\"]", "versions = [\"1.0\", \"2.0\"]");
    assert_eq!(
        problems_of(&both),
        [
            "acme.toml:16: events.OrderPlaced.consumers.mail: does not say which major it handles, of 1, 2; add `major = 1`, or \
          `major = 2`"
        ]
    );
    let catalogue = load_with(&format!("{both}major = 2\n"), &order_schema()).unwrap();
    assert_eq!(catalogue.event("OrderPlaced").unwrap().consumers[0].major, 2);
    assert_eq!(
        problems_of(&format!("{GOOD}major = 3\n")),
        [
            "acme.toml:18: events.OrderPlaced.consumers.mail.major: no version of major 3 is listed; write one of 1, or add a version"
        ]
    );
    assert_eq!(
        load_with(GOOD, &order_schema()).unwrap().event("OrderPlaced").unwrap().consumers[0].major,
        1
    );
}

#[test]
fn a_higher_minor_is_checked_against_the_highest_known_and_another_major_is_an_error() {
    let toml = GOOD.replace("versions = [\"1.0\"]", "versions = [\"1.2\", \"1.0\"]");
    let catalogue = load_with(&toml, &order_schema()).unwrap();
    let event = catalogue.event("OrderPlaced").unwrap();
    let version = |major, minor| Version { major, minor };
    let schema = |known: usize| &*event.versions[known].schema;
    assert!(std::ptr::eq(event.schema_for(&version(1, 0)).unwrap(), schema(0)));
    assert!(std::ptr::eq(event.schema_for(&version(1, 2)).unwrap(), schema(1)));
    assert!(std::ptr::eq(event.schema_for(&version(1, 9)).unwrap(), schema(1)));
    let error = event.schema_for(&version(2, 0)).unwrap_err();
    assert_eq!(error.to_string(), "version 2.0 of OrderPlaced is not supported; known: 1.0, 1.2");
    assert!(event.schema_of(&version(1, 9)).is_err());
}
