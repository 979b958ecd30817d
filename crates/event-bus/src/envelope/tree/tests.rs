use std::collections::BTreeMap;

use jsonschema::json::conformance;
use jsonschema::{Draft, Validator};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{json, value::RawValue};

use super::*;

fn read(text: &str) -> Tree {
    Tree::read(text.to_owned()).unwrap()
}

fn written<T: Serialize + ?Sized>(value: &T) -> Tree {
    Written::of(value).unwrap().into_tree().unwrap()
}

/// Names and strings of few letters, so that some meet; among them those that JSON escapes.
const LETTERS: &str = "[ab1\"\\\\\n\u{e9}\u{1f600}]{0,3}";

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3..4_i64).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just(1.0), Just(-0.0), Just(1e300), Just(0.1)].prop_map(Value::from),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        LETTERS.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(LETTERS, inner, 0..16)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_tree_holds_what_a_value_holds(value in json_value()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let tree = read(&text);
            prop_assert_eq!(Value::from(tree.root()), serde_json::from_str::<Value>(&text).unwrap());
            prop_assert_eq!(tree.text(), text);
        }
    }

    #[test]
    fn what_is_noted_while_writing_is_what_a_reader_sees(value in json_value()) {
        let tree = written(&value);
        prop_assert_eq!(tree.text(), value.to_string());
        prop_assert_eq!(tree.entries, read(&value.to_string()).entries);
    }

    #[test]
    fn fields_are_found_as_in_a_value(value in json_value(), name in LETTERS) {
        let tree = written(&value);
        let found = tree.root().field(&name).map(Value::from);
        prop_assert_eq!(found.as_ref(), value.get(&name));
    }

    #[test]
    fn a_schema_judges_a_tree_as_it_judges_a_value(value in json_value()) {
        for (schema, of_trees, of_values) in &*VALIDATORS {
            let judged = of_trees.is_valid(written(&value).root());
            prop_assert_eq!(judged, of_values.is_valid(&value), "{} against {}", value, schema);
        }
    }

    #[test]
    fn a_name_that_is_there_twice_is_found(
        names in prop::collection::vec("[a-c\"]{1,2}", 0..24),
    ) {
        let fields = names.iter().map(|name| format!("{}:[]", json!(name))).collect::<Vec<_>>();
        let text = format!("[1,{{{}}}]", fields.join(","));
        let is_distinct = names.iter().collect::<HashSet<_>>().len() == names.len();
        prop_assert_eq!(Tree::read(text).is_ok(), is_distinct);
        let fields = Fields(names);
        prop_assert_eq!(Written::of(&fields).unwrap().into_tree().is_ok(), is_distinct);
    }
}

/// An object that may have a field twice.
struct Fields(Vec<String>);

impl Serialize for Fields {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|name| (name, [0_u8; 0])))
    }
}

/// Keywords that look at a value in ways of their own.
static VALIDATORS: std::sync::LazyLock<Vec<(Value, Validator<TreeJson>, Validator)>> =
    std::sync::LazyLock::new(|| {
        let schemas = [
            json!({ "type": "integer" }),
            json!({ "type": ["object", "string", "null"] }),
            json!({ "enum": [1, "a", null, [1, "b"], { "a": 1.0 }, [], true] }),
            json!({ "items": { "const": 1 } }),
            json!({ "uniqueItems": true, "maxItems": 3 }),
            json!({ "minLength": 1, "maxLength": 2, "pattern": "^[a1]" }),
            json!({ "minimum": -1, "exclusiveMaximum": 2 }),
            json!({ "multipleOf": 0.5 }),
            json!({ "required": ["a", "b"] }),
            json!({ "required": ["", "1", "a"], "properties": { "a": { "type": "number" }, "": {} } }),
            json!({ "properties": { "a": { "type": "array" }, "b": true }, "additionalProperties": false }),
            json!({ "patternProperties": { "^a": { "type": "string" } }, "additionalProperties": { "type": "number" } }),
            json!({ "propertyNames": { "maxLength": 2, "not": { "const": "a" } }, "minProperties": 1 }),
            json!({ "contains": { "type": "string" }, "maxContains": 2 }),
            json!({ "prefixItems": [{ "type": "number" }], "items": { "$ref": "#" } }),
            json!({ "anyOf": [{ "type": "array", "items": { "$ref": "#" } }, { "type": ["number", "boolean"] }] }),
            json!({ "dependentRequired": { "a": ["b"] }, "unevaluatedProperties": { "type": "null" } }),
        ];
        let both = |schema: Value| {
            let of_trees = jsonschema::options_for().with_draft(Draft::Draft202012).build(&schema);
            let of_values = jsonschema::draft202012::new(&schema).unwrap();
            (schema, of_trees.unwrap(), of_values)
        };
        schemas.into_iter().map(both).collect()
    });

#[test]
fn the_validators_own_check_of_other_json_types_passes() {
    let document = conformance::document();
    conformance::assert_conformance::<TreeJson>(&written(&document).root());
    conformance::assert_conformance::<TreeJson>(&read(&document.to_string()).root());
}

#[test]
fn numbers_are_what_a_reader_makes_of_their_text() {
    for text in [
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775809",
        "1.0",
        "1e2",
        "0.1",
        "-0",
        "-0.0",
        "123456789012345678901234567890",
        "1.7976931348623157e308",
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Value::from(read(text).root()), value, "{text}");
    }
    assert!(Tree::read("1e999".to_owned()).is_err());
}

/// One of everything that a Rust type may be written as.
#[derive(Serialize)]
struct Everything {
    integers: (i8, i16, i32, i64, u8, u16, u32, u64),
    wide: (i128, u128),
    floats: (f32, f64, f64),
    text: (char, String, &'static [u8]),
    none: (Option<u8>, ()),
    by_number: BTreeMap<i64, bool>,
    by_bool: BTreeMap<bool, u8>,
    variants: [Variant; 4],
    raw: Box<RawValue>,
    #[serde(flatten)]
    flat: BTreeMap<String, u8>,
}

#[derive(Serialize)]
enum Variant {
    Unit,
    New(u8),
    Tuple(u8, u8),
    Struct { a: u8 },
}

#[test]
fn whatever_a_type_is_written_as_is_seen_as_a_reader_sees_it() {
    let everything = Everything {
        integers: (-1, -2, -3, -4, 1, 2, 3, 4),
        wide: (i128::MIN, u128::MAX),
        floats: (0.1, 0.1, f64::NAN),
        text: ('ü', "a \"quoted\"\nline".to_owned(), b"\x01\xff"),
        none: (None, ()),
        by_number: [(-1, true), (2, false)].into(),
        by_bool: [(true, 1)].into(),
        variants: [Variant::Unit, Variant::New(1), Variant::Tuple(1, 2), Variant::Struct { a: 1 }],
        raw: RawValue::from_string("{ \"a\": [1, \"\\u00fc\"] }".to_owned()).unwrap(),
        flat: [("flat".to_owned(), 1)].into(),
    };
    fn check<T: Serialize + ?Sized>(value: &T) {
        let text = serde_json::to_string(value).unwrap();
        let tree = written(value);
        assert_eq!(tree.text(), text);
        assert_eq!(tree.entries, read(&text).entries, "{text}");
    }
    check(&everything);
    // Each on its own as well: one part that must be read back hides the others.
    check(&everything.integers);
    check(&everything.wide);
    check(&everything.floats.0);
    check(&everything.floats);
    check(&everything.text);
    check(&everything.none);
    check(&everything.by_number);
    check(&everything.by_bool);
    check(&everything.variants);
    check(&everything.raw);
    check(&everything.flat);
    check("");
}

#[test]
fn a_type_that_writes_a_field_twice_is_refused() {
    #[derive(Serialize)]
    struct Twice {
        a: u8,
        #[serde(flatten)]
        more: BTreeMap<String, u8>,
    }
    let written = Written::of(&Twice { a: 1, more: [("a".to_owned(), 2)].into() }).unwrap();
    let error = written.into_tree().unwrap_err();
    assert!(error.to_string().contains("duplicate field \"a\""), "{error}");
}

#[test]
fn a_type_that_goes_on_after_an_error_is_refused_for_what_it_wrote() {
    use serde::ser::{SerializeMap, SerializeSeq, Serializer};

    struct Unclosed;
    impl Serialize for Unclosed {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(None)?;
            drop(seq.serialize_element(&BTreeMap::from([((), 1)])));
            seq.end()
        }
    }
    struct Pairless;
    impl Serialize for Pairless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_key("a")?;
            map.serialize_key("b")?;
            map.end()
        }
    }
    fn refused<T: Serialize>(value: &T) {
        let written = Written::of(value).unwrap();
        let text = written.text().to_owned();
        assert!(written.into_tree().is_err(), "{text}");
    }
    refused(&Unclosed);
    refused(&Pairless);
}
