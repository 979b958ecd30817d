//! Changes of the schema of an order, and whom each breaks.

use serde_json::{Value, json};

pub(super) type Planted = (&'static str, Value, &'static [&'static str], &'static [&'static str]);

/// Where, what instead, what breaks in the published version, what breaks in a new minor.
#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(super) fn planted() -> Vec<Planted> {
    vec![
        // What nobody reads may go; what somebody reads may not, by name.
        ("/properties/unread", Value::Null, &[], &[]),
        ("/$defs/party/properties/name", Value::Null, &[], &[]),
        (
            "/$defs/party/properties/email",
            Value::Null,
            &["mail field-gone /customer/email"],
            &["mail field-gone /customer/email"],
        ),
        ("/properties/lines/items/properties/note", Value::Null, &[], &[]),
        (
            "/properties/lines/items/properties/sku",
            Value::Null,
            &["mail field-gone /lines/*/sku"],
            &["mail field-gone /lines/*/sku"],
        ),
        (
            "/properties/total",
            Value::Null,
            &["billing field-gone /total"],
            &["billing field-gone /total"],
        ),
        ("/properties/extra/properties/a", Value::Null, &["shop field-gone /extra/a"], &[]),
        // Required.
        (
            "/$defs/party/required",
            json!([]),
            &["mail field-optional /customer/email"],
            &["mail field-optional /customer/email"],
        ),
        (
            "/required",
            json!(["order_id", "lines", "total", "unread"]),
            &["mail field-optional /customer"],
            &["mail field-optional /customer"],
        ),
        ("/required", json!(["order_id", "customer", "lines", "total"]), &[], &[]),
        (
            "/$defs/party/required",
            json!(["email", "name"]),
            &["shop field-required /customer/name"],
            &[],
        ),
        (
            "/required",
            json!(["order_id", "customer", "lines", "total", "unread", "kind"]),
            &["shop field-required /kind"],
            &["mail field-required /kind"],
        ),
        // New fields.
        ("/properties/new", json!({ "type": "string" }), &[], &[]),
        ("/properties/extra/properties/new", json!({ "type": "string" }), &[], &[]),
        // Types, with null among them.
        (
            "/properties/total/type",
            json!("number"),
            &["billing type /total"],
            &["billing type /total"],
        ),
        (
            "/properties/total/type",
            json!("string"),
            &["billing type /total", "shop type /total"],
            &["billing type /total"],
        ),
        (
            "/properties/total/type",
            json!(["integer", "null"]),
            &["billing type /total"],
            &["billing type /total"],
        ),
        ("/properties/unread/type", json!(["string", "null"]), &[], &[]),
        ("/properties/order_id", json!({ "type": "integer" }), &["shop type /order_id"], &[]),
        // Enumerations.
        (
            "/properties/kind/enum",
            json!(["retail", "trade", "gift"]),
            &["mail enum /kind"],
            &["mail enum /kind"],
        ),
        ("/properties/kind/enum", json!(["retail"]), &["shop enum /kind"], &["mail enum /kind"]),
        ("/properties/kind/enum", json!(["trade", "retail"]), &[], &[]),
        ("/properties/kind", json!({ "enum": ["retail", "trade"] }), &[], &[]),
        ("/properties/kind/enum", Value::Null, &["mail enum /kind"], &["mail enum /kind"]),
        // Bounds, formats, patterns.
        (
            "/properties/total/maximum",
            json!(2000),
            &["billing bounds /total"],
            &["billing bounds /total"],
        ),
        (
            "/properties/total/maximum",
            json!(500),
            &["shop bounds /total"],
            &["billing bounds /total"],
        ),
        (
            "/properties/total/exclusiveMinimum",
            json!(0),
            &["shop bounds /total"],
            &["billing bounds /total"],
        ),
        (
            "/properties/total/multipleOf",
            json!(5),
            &["shop bounds /total"],
            &["billing bounds /total"],
        ),
        ("/properties/lines/maxItems", json!(10), &["mail bounds /lines"], &["mail bounds /lines"]),
        (
            "/properties/lines/items/properties/sku/maxLength",
            json!(20),
            &["shop bounds /lines/*/sku"],
            &["mail bounds /lines/*/sku"],
        ),
        ("/properties/lines/items/properties/sku/minLength", json!(0), &[], &[]),
        (
            "/$defs/party/properties/email/format",
            json!("hostname"),
            &["mail format /customer/email", "shop format /customer/email"],
            &["mail format /customer/email"],
        ),
        ("/properties/unread/format", Value::Null, &[], &[]),
        ("/properties/unread/pattern", json!("^20"), &["shop pattern /unread"], &[]),
        // A key of another kind than the field has.
        ("/properties/total/minLength", json!(3), &[], &[]),
        // Further fields.
        ("/properties/extra/additionalProperties", json!(true), &[], &[]),
        ("/additionalProperties", json!(false), &["shop closed /*"], &[]),
        // Branches that tell themselves apart by a field.
        ("/properties/means/oneOf/0/properties/holder", json!({ "type": "string" }), &[], &[]),
        (
            "/properties/means/oneOf/0/properties/digits",
            Value::Null,
            &["mail field-gone /means/digits"],
            &["mail field-gone /means/digits"],
        ),
        (
            "/properties/means/oneOf/1",
            json!({ "type": "object", "required": ["by"], "properties": { "by": { "const": "transfer" } } }),
            &["mail branches /means", "shop branches /means"],
            &["mail branches /means"],
        ),
        (
            "/properties/means/oneOf/1/properties/by",
            json!({ "enum": ["cash", "cheque"] }),
            &["mail enum /means/by"],
            &["mail enum /means/by"],
        ),
        // What can't be told.
        ("/properties/odd/not/const", json!(8), &["shop cannot-be-told /odd"], &[]),
        (
            "/properties/total/not",
            json!({ "const": 13 }),
            &["billing cannot-be-told /total", "shop cannot-be-told /total"],
            &["billing cannot-be-told /total"],
        ),
        (
            "/properties/kind/if",
            json!({ "const": "trade" }),
            &["mail cannot-be-told /kind", "shop cannot-be-told /kind"],
            &["mail cannot-be-told /kind"],
        ),
        // What says nothing about payloads, and the same in other words.
        ("/properties/total/default", json!(0), &[], &[]),
        ("/properties/total/description", json!("In pence."), &[], &[]),
        (
            "/properties/customer",
            json!({ "type": "object", "required": ["email"],
            "properties": { "email": { "type": "string", "format": "email" }, "name": { "type": "string" } } }),
            &[],
            &[],
        ),
        (
            "/properties/total",
            json!({ "allOf": [{ "type": "integer" }, { "minimum": 0 }], "maximum": 1000 }),
            &[],
            &[],
        ),
        // In a schema that refers to itself.
        ("/$defs/tree/properties/leaf", json!({ "type": "string" }), &[], &[]),
        ("/$defs/tree/required", json!(["left"]), &["shop field-required /tree/left"], &[]),
    ]
}
