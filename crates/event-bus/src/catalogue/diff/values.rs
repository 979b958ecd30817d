//! Keywords that decide on a value by itself: types, enumerations, bounds, texts.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::compare::Comparison;
use super::shift::Effect;

type Keywords = Map<String, Value>;
type Types = BTreeSet<&'static str>;

/// Every type; `number` is an integer or a fraction.
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "string", "integer", "fraction"];

/// Compares, and gives back the types that a value may have on both sides.
pub(super) fn compare(
    comparison: &mut Comparison<'_>,
    old: &Keywords,
    new: &Keywords,
    pointer: &str,
) -> Types {
    let (was, is) = (types(old), types(new));
    let both: Types = was.intersection(&is).copied().collect();
    if let (Some(was), Some(is)) = (listed(old), listed(new)) {
        let missing = |from: &[Value], of: &[Value]| -> Vec<String> {
            from.iter().filter(|value| !of.contains(value)).map(Value::to_string).collect()
        };
        let (gained, lost) = (missing(&is, &was), missing(&was, &is));
        for value in &gained {
            comparison.note(pointer, "enum", Effect::Widens, format!("may be {value} now"));
        }
        for value in &lost {
            comparison.note(pointer, "enum", Effect::Narrows, format!("can't be {value} any more"));
        }
        let beside =
            ["pattern", "format", "minimum", "maximum", "minLength", "maxLength", "multipleOf"];
        if let Some(keyword) =
            beside.iter().find(|keyword| old.get(**keyword) != new.get(**keyword))
        {
            let what = format!("can't be told: `{keyword}` beside a list is another");
            comparison.note(pointer, "cannot-be-told", Effect::Either, what);
        }
        return both;
    }
    let effect =
        Effect::of(is.difference(&was).next().is_some(), was.difference(&is).next().is_some());
    if let Some(effect) = effect {
        comparison.note(
            pointer,
            "type",
            effect,
            format!("is of type {}, and was {}", shown(&is), shown(&was)),
        );
    }
    match (listed(old), listed(new)) {
        (None, Some(_)) => {
            comparison.note(pointer, "enum", Effect::Narrows, "is one of a list now");
        }
        (Some(_), None) => {
            comparison.note(pointer, "enum", Effect::Widens, "is no longer one of a list");
        }
        _ => {}
    }
    bounds(comparison, old, new, pointer, &both);
    if both.contains("string") {
        text(comparison, old, new, pointer);
    }
    let unique = |keywords: &Keywords| keywords.get("uniqueItems") == Some(&Value::Bool(true));
    if both.contains("array") {
        match (unique(old), unique(new)) {
            (true, false) => {
                comparison.note(pointer, "bounds", Effect::Widens, "may have equal items now");
            }
            (false, true) => comparison.note(
                pointer,
                "bounds",
                Effect::Narrows,
                "can't have equal items any more",
            ),
            _ => {}
        }
    }
    both
}

/// Which types a value may have, by `type` and by what is listed.
pub(super) fn types(keywords: &Keywords) -> Types {
    let mut types: Types = match keywords.get("type") {
        None => TYPES.into(),
        Some(Value::String(name)) => expanded(name).collect(),
        Some(names) => {
            let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
            names.flat_map(expanded).collect()
        }
    };
    if let Some(listed) = listed(keywords) {
        let found: Types = listed.iter().map(type_of).collect();
        types.retain(|name| found.contains(name));
    }
    types
}

/// The only values there may be, where that is said.
pub(super) fn listed(keywords: &Keywords) -> Option<Vec<Value>> {
    match (keywords.get("const"), keywords.get("enum")) {
        (Some(only), _) => Some(vec![only.clone()]),
        (None, Some(Value::Array(values))) => Some(values.clone()),
        (None, _) => None,
    }
}

fn expanded(name: &str) -> impl Iterator<Item = &'static str> {
    let names: &[&str] = match name {
        "number" => &["integer", "fraction"],
        _ => &[],
    };
    let itself = TYPES.into_iter().find(|known| *known == name && name != "fraction");
    TYPES.into_iter().filter(move |known| names.contains(known)).chain(itself)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(number)
            if number.is_f64() && number.as_f64().is_some_and(|float| float.fract() != 0.0) =>
        {
            "fraction"
        }
        Value::Number(_) => "integer",
    }
}

fn shown(types: &Types) -> String {
    if types.len() == TYPES.len() {
        return "any".to_owned();
    }
    if types.is_empty() {
        return "none".to_owned();
    }
    let mut names: Vec<&str> = types.iter().copied().filter(|name| *name != "fraction").collect();
    if types.contains("fraction") {
        names.retain(|name| *name != "integer");
        names.push("number");
    }
    names.join(" or ")
}

fn number(keywords: &Keywords, keyword: &str) -> Option<f64> {
    keywords.get(keyword).and_then(Value::as_f64)
}

/// A limit on one side: its value, and whether that itself is outside.
type Limit = Option<(f64, bool)>;

fn lower(keywords: &Keywords) -> Limit {
    let limits =
        [(number(keywords, "minimum"), false), (number(keywords, "exclusiveMinimum"), true)];
    let limits =
        limits.into_iter().filter_map(|(limit, is_exclusive)| Some((limit?, is_exclusive)));
    limits.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
}

/// As a lower limit of what is behind zero, so that the stricter is always the greater.
fn upper(keywords: &Keywords) -> Limit {
    let limits =
        [(number(keywords, "maximum"), false), (number(keywords, "exclusiveMaximum"), true)];
    let limits =
        limits.into_iter().filter_map(|(limit, is_exclusive)| Some((-limit?, is_exclusive)));
    limits.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
}

fn bounds(
    comparison: &mut Comparison<'_>,
    old: &Keywords,
    new: &Keywords,
    pointer: &str,
    types: &Types,
) {
    let mut compare = |what: &str, was: Limit, is: Limit| {
        let (was, is) =
            (was.unwrap_or((f64::NEG_INFINITY, false)), is.unwrap_or((f64::NEG_INFINITY, false)));
        let order = is.0.total_cmp(&was.0).then(is.1.cmp(&was.1));
        if order.is_gt() {
            comparison.note(pointer, "bounds", Effect::Narrows, format!("has a stricter {what}"));
        } else if order.is_lt() {
            comparison.note(pointer, "bounds", Effect::Widens, format!("has a looser {what}"));
        }
    };
    if types.contains("integer") || types.contains("fraction") {
        compare("minimum", lower(old), lower(new));
        compare("maximum", upper(old), upper(new));
    }
    for (kind, least, most) in [
        ("string", "minLength", "maxLength"),
        ("array", "minItems", "maxItems"),
        ("object", "minProperties", "maxProperties"),
    ] {
        if types.contains(kind) {
            // None is as good as zero.
            let at_least = |keywords| Some((number(keywords, least).unwrap_or(0.0), false));
            let at_most = |keywords| number(keywords, most).map(|limit| (-limit, false));
            compare(least, at_least(old), at_least(new));
            compare(most, at_most(old), at_most(new));
        }
    }
    if (types.contains("integer") || types.contains("fraction"))
        && old.get("multipleOf") != new.get("multipleOf")
    {
        let effect = match (number(old, "multipleOf"), number(new, "multipleOf")) {
            (None, _) => Effect::Narrows,
            (_, None) => Effect::Widens,
            (Some(was), Some(is)) if (is / was).fract() == 0.0 => Effect::Narrows,
            (Some(was), Some(is)) if (was / is).fract() == 0.0 => Effect::Widens,
            _ => Effect::Either,
        };
        comparison.note(pointer, "bounds", effect, "is a multiple of another number");
    }
}

fn text(comparison: &mut Comparison<'_>, old: &Keywords, new: &Keywords, pointer: &str) {
    for keyword in ["pattern", "format"] {
        let none = json!("none");
        let (was, is) = (old.get(keyword), new.get(keyword));
        if was == is {
            continue;
        }
        let (effect, doubt) = match (was, is) {
            (None, _) => (Effect::Narrows, ""),
            (_, None) => (Effect::Widens, ""),
            // Whether one text's language is within another's is not asked.
            _ => (Effect::Either, ", and which texts that adds or takes can't be told"),
        };
        let what = format!(
            "has the {keyword} {}, and had {}{doubt}",
            is.unwrap_or(&none),
            was.unwrap_or(&none)
        );
        comparison.note(pointer, keyword, effect, what);
    }
}
