//! `anyOf` and `oneOf`: which branches came, went and changed.

use serde_json::{Map, Value};

use super::compare::Comparison;
use super::flat::flat;
use super::shift::{Effect, Shift};
use super::values::{listed, types};

type Keywords = Map<String, Value>;

pub(super) fn compare(
    comparison: &mut Comparison<'_>,
    old: &Keywords,
    new: &Keywords,
    pointer: &str,
    depth: usize,
) {
    for keyword in ["anyOf", "oneOf"] {
        match (list(old, keyword), list(new, keyword)) {
            (None, None) => {}
            (None, Some(_)) => comparison.note(
                pointer,
                "branches",
                Effect::Narrows,
                format!("has `{keyword}` now"),
            ),
            (Some(_), None) => comparison.note(
                pointer,
                "branches",
                Effect::Widens,
                format!("has no `{keyword}` any more"),
            ),
            (Some(old), Some(new)) => lists(comparison, (keyword, old, new), pointer, depth),
        }
    }
}

fn list<'k>(keywords: &'k Keywords, keyword: &str) -> Option<&'k [Value]> {
    keywords.get(keyword).and_then(Value::as_array).map(Vec::as_slice)
}

fn lists(
    comparison: &mut Comparison<'_>,
    (keyword, old, new): (&str, &[Value], &[Value]),
    pointer: &str,
    depth: usize,
) {
    let mut went: Vec<&Value> = old.iter().collect();
    let mut came: Vec<&Value> = new.iter().collect();
    // Those that say the same leave first, wherever they stand.
    went.retain(|old| {
        let same =
            came.iter().position(|new| comparison.apart(old, new, pointer, depth + 1).is_empty());
        same.map(|position| came.remove(position)).is_none()
    });
    let (old_root, new_root) = comparison.roots;
    let mut found: Vec<Shift> = Vec::new();
    let mut gone = 0_usize;
    for old in went {
        let twin = came.iter().position(|new| !are_disjoint((old_root, old), (new_root, new)));
        match twin {
            Some(position) => {
                let new = came.remove(position);
                found.extend(comparison.apart(old, new, pointer, depth + 1));
            }
            None => gone += 1,
        }
    }
    // Under `oneOf` a branch that grows can take values from another, unless no two ever share one.
    let is_sure =
        keyword == "anyOf" || (all_disjoint(old_root, old) && all_disjoint(new_root, new));
    for mut shift in found {
        if !is_sure && shift.effect != Effect::Harmless {
            shift.effect = Effect::Either;
        }
        comparison.add(shift);
    }
    let or_either = |effect| if is_sure { effect } else { Effect::Either };
    if !came.is_empty() {
        let what = format!("has {} more of `{keyword}`", counted(came.len()));
        comparison.note(pointer, "branches", or_either(Effect::Widens), what);
    }
    if gone > 0 {
        let what = format!("has {} less of `{keyword}`", counted(gone));
        comparison.note(pointer, "branches", or_either(Effect::Narrows), what);
    }
}

fn counted(branches: usize) -> String {
    format!("{branches} branch{}", if branches == 1 { "" } else { "es" })
}

fn all_disjoint(root: &Value, branches: &[Value]) -> bool {
    branches.iter().enumerate().all(|(at, first)| {
        branches[at + 1..].iter().all(|second| are_disjoint((root, first), (root, second)))
    })
}

/// Whether no value is valid by both: by its type, or by a field that says which it is.
fn are_disjoint(
    (first_root, first): (&Value, &Value),
    (second_root, second): (&Value, &Value),
) -> bool {
    let (first, second) = (flat(first_root, first), flat(second_root, second));
    if types(&first).is_disjoint(&types(&second)) {
        return true;
    }
    if let (Some(first), Some(second)) = (listed(&first), listed(&second)) {
        return first.iter().all(|value| !second.contains(value));
    }
    // The field is there only if both are objects and nothing else.
    let is_object = |keywords: &Keywords| types(keywords).iter().eq(["object"].iter());
    if !is_object(&first) || !is_object(&second) {
        return false;
    }
    let tells = |root: &Value, keywords: &Keywords, name: &str| {
        let is_required = list(keywords, "required")
            .is_some_and(|names| names.iter().any(|required| required == name));
        let schema = keywords.get("properties").and_then(|properties| properties.get(name));
        schema.filter(|_| is_required).and_then(|schema| listed(&flat(root, schema)))
    };
    let fields = first.get("properties").and_then(Value::as_object);
    fields.into_iter().flat_map(Map::keys).any(|name| {
        match (tells(first_root, &first, name), tells(second_root, &second, name)) {
            (Some(first), Some(second)) => first.iter().all(|value| !second.contains(value)),
            _ => false,
        }
    })
}
