//! The document of the API, for people and for programs that make clients of it.

use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;

/// All of `docs/openapi.json`. It is written by hand, for the library's types know no HTTP: tests compare it with the
/// table of routes and with what is answered.
pub const DOCUMENT: &str = include_str!("../../../../docs/openapi.json");

pub(super) async fn document() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use event_bus::dead_letters::Filter;
    use serde_json::Value;

    use super::super::{ROUTES, pairs};
    use super::*;
    use crate::access::route::{Needs, Verb};

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).expect("it is JSON")
    }

    fn verb_of(verb: Verb) -> &'static str {
        match verb {
            Verb::Get => "get",
            Verb::Post => "post",
        }
    }

    /// What is missing or wrong in an operation.
    fn wrong(operation: &Value, path: &str, verb: Verb, needs: Needs) -> Vec<String> {
        let mut wrong = Vec::new();
        let role = match needs {
            Needs::Nothing => "none".to_owned(),
            Needs::Somebody => "any".to_owned(),
            Needs::May(action) => action.needs().to_string(),
        };
        if operation["x-role"] != role {
            wrong.push(format!("its x-role is not {role}"));
        }
        for name in ["operationId", "summary"] {
            if operation[name].as_str().is_none_or(str::is_empty) {
                wrong.push(format!("it has no {name}"));
            }
        }
        let responses = &operation["responses"];
        let answer = ["200", "202"].iter().find(|status| !responses[**status].is_null());
        let kind = if path.ends_with("/stream") { "text/event-stream" } else { "application/json" };
        let answer = answer.map(|status| &responses[*status]["content"][kind]);
        if answer.is_none_or(|answer| answer["schema"].is_null()) {
            wrong.push("it has no schema of its answer".to_owned());
        }
        let places: Vec<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let mut errors = vec!["400", "401", "403", "502"];
        errors.extend((!places.is_empty()).then_some("404"));
        for status in errors {
            if responses[status].is_null() {
                wrong.push(format!("it has no response {status}"));
            }
        }
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let told: Vec<&Value> =
            parameters.filter(|one| one["in"] == "path").map(|one| &one["name"]).collect();
        if told != places {
            wrong.push(format!("of its path it tells {told:?} and not {places:?}"));
        }
        // What is asked of one thing, by its name alone, has no body.
        let body = &operation["requestBody"]["content"]["application/json"];
        let is_complete = !body["schema"].is_null() && !body["example"].is_null();
        if verb == Verb::Post && !places.contains(&"id") && !is_complete {
            wrong.push("it has no schema or no example of its body".to_owned());
        }
        wrong
    }

    #[test]
    fn each_way_in_is_in_the_document_and_nothing_else_is() {
        let document = document();
        let mut wrongs = Vec::new();
        let mut table = BTreeSet::new();
        for route in ROUTES {
            let verb = verb_of(route.verb);
            table.insert((route.path.to_owned(), verb.to_owned()));
            let operation = &document["paths"][route.path][verb];
            if operation.is_null() {
                wrongs.push(format!("docs/openapi.json lacks {verb} {}", route.path));
                continue;
            }
            let wrong = wrong(operation, route.path, route.verb, route.needs);
            let told = |wrong| format!("{verb} {} in docs/openapi.json: {wrong}", route.path);
            wrongs.extend(wrong.into_iter().map(told));
        }
        for (path, verbs) in document["paths"].as_object().expect("it has paths") {
            for verb in verbs.as_object().expect("a path has verbs").keys() {
                if !table.contains(&(path.clone(), verb.clone())) {
                    wrongs
                        .push(format!("docs/openapi.json has {verb} {path}, and the API does not"));
                }
            }
        }
        assert!(wrongs.is_empty(), "\n{}", wrongs.join("\n"));
        assert_eq!(document["security"][0]["token"], serde_json::json!([]));
    }

    #[test]
    fn whatever_the_document_refers_to_is_in_it() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|value| references(value, found));
                }
                Value::Array(values) => values.iter().for_each(|value| references(value, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("it is within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn each_condition_is_a_parameter_of_what_takes_conditions() {
        let some = || vec!["a".to_owned()];
        let now = Some(jiff::Timestamp::UNIX_EPOCH);
        let filter = Filter {
            ids: vec![uuid::Uuid::nil()],
            topics: some(),
            groups: some(),
            services: some(),
            tenants: some(),
            events: some(),
            reasons: some(),
            fingerprints: some(),
            states: some(),
            since: now,
            until: now,
            text: Some("a".to_owned()),
            condition: Some("a".to_owned()),
            scope: Default::default(),
            request: None,
        };
        let document = document();
        for path in ["dead-letters", "failures", "replays/preview"] {
            let parameters = &document["paths"][format!("/api/v1/{path}")]["get"]["parameters"];
            let parameters = parameters.as_array().expect("it has some");
            for (name, _) in pairs(&filter) {
                let reference = format!("#/components/parameters/{name}");
                assert!(parameters.iter().any(|one| one["$ref"] == reference), "{path} {name}");
            }
        }
    }
}
