//! The document of the API, held against what is answered.

use std::collections::BTreeMap;
use std::time::Duration;

use event_bus::store::ops::Role;
use event_bus_ops::api::openapi::DOCUMENT;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::eventually;
use serde_json::{Value, json};

use super::relays::{CUTTING, Relays};
use super::served::{ALL, Served};
use super::visitor::{Answer, Visitor};
use crate::workshop::{Flaw, Workshop};

const SOON: Duration = Duration::from_secs(60);
/// What the examples in the document are about.
const EXAMPLE_ID: &str = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10";
const EXAMPLE_FINGERPRINT: &str = "0123456789abcdef";
const LETTERS: usize = 20;
/// Whose all pieces are, which is personal, and which answers have it.
const OWNER: &str = "Quillfeather5519";
const REVEAL: [&str; 2] = ["revealDeadLetter", "revealValues"];
/// The example of an operation's body, within the operation.
const EXAMPLE_OF_BODY: &str = "/requestBody/content/application~1json/example";

/// These come before all others, which ask for what they make; and those after them, which take it away.
const FIRST: [&str; 2] = ["writeNote", "askForReplay"];
const LAST: [&str; 2] = ["removeNote", "cancelReplay"];

struct Operation {
    path: String,
    verb: String,
    told: Value,
}

impl Operation {
    fn id(&self) -> &str {
        self.told["operationId"].as_str().expect("it has one")
    }

    fn order(&self) -> usize {
        let is_in = |list: &[&str]| list.contains(&self.id());
        if is_in(&FIRST) { 0 } else { 1 + usize::from(is_in(&LAST)) }
    }
}

/// The document, in which no schema allows for a field that it does not name.
fn strict() -> Value {
    fn forbid(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                if fields.contains_key("properties") {
                    fields.insert("additionalProperties".to_owned(), json!(false));
                }
                fields.values_mut().for_each(forbid);
            }
            Value::Array(values) => values.iter_mut().for_each(forbid),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut document = serde_json::from_str(DOCUMENT).expect("it is JSON");
    forbid(&mut document);
    document
}

fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().expect("it has paths");
    let of = |(path, verbs): (&String, &Value)| {
        let verbs = verbs.as_object().expect("a path has verbs").clone();
        let operation = |(verb, told)| Operation { path: path.clone(), verb, told };
        verbs.into_iter().map(operation).collect::<Vec<_>>()
    };
    // What is streamed has no end.
    let ends = |(path, _): &(&String, &Value)| !path.ends_with("/stream");
    let mut operations: Vec<Operation> = paths.iter().filter(ends).flat_map(of).collect();
    operations.sort_by_key(Operation::order);
    operations
}

/// What a schema of the document has against a value.
fn complaints(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema);
    let validator = validator.expect("it is a schema");
    validator.iter_errors(value).map(|error| format!("{} {error}", error.instance_path())).collect()
}

/// Whether the answer is as the document says.
fn check(document: &Value, operation: &Operation, answer: &Answer) -> Value {
    let Operation { path, verb, told } = operation;
    let mut response = &told["responses"][answer.status.to_string()];
    if let Some(reference) = response["$ref"].as_str() {
        response = document.pointer(&reference[1..]).expect("it is there");
    }
    let schema = &response["content"]["application/json"]["schema"];
    assert!(!schema.is_null(), "{verb} {path} has no such answer: {answer:?}");
    let value = answer.json();
    let complaints = complaints(document, schema, &value);
    assert!(complaints.is_empty(), "{verb} {path} {}: {complaints:#?} {value}", answer.status);
    value
}

#[derive(Clone)]
struct Asker {
    visitor: Visitor,
    token: String,
}

impl Asker {
    async fn of(served: &Served, role: Role) -> Self {
        let token = served.token(&format!("a-{role}"), role, &ALL).await;
        Self { visitor: served.visitor(), token }
    }

    async fn ask(&mut self, verb: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.visitor.bearing(&self.token, &verb.to_uppercase(), path, &body).await
    }

    async fn json(&mut self, path: &str) -> Value {
        self.ask("get", path, None).await.json()
    }
}

/// What is asked about, by the way in which paths begin.
#[derive(Default)]
struct Known {
    letters: Vec<String>,
    fingerprint: String,
    group: String,
    /// By the id of the operation that made them.
    made: BTreeMap<String, String>,
}

impl Known {
    fn path(&mut self, operation: &Operation) -> String {
        let made = |by: &str| self.made.get(by).cloned().unwrap_or_else(|| EXAMPLE_ID.to_owned());
        let id = match operation.path.split('/').nth(3) {
            Some("notes") => made("writeNote"),
            Some("replays") => made("askForReplay"),
            _ => self.letters.first().cloned().expect("there are enough"),
        };
        let path = operation.path.replace("{id}", &id).replace("{group}", &self.group);
        let path = path.replace("{event}", "PieceCut").replace("{service}", CUTTING);
        match operation.id() {
            "showTimeline" => format!("{path}?value=1"),
            "listNotes" => format!("{path}?fingerprint={}", self.fingerprint),
            "planReset" => format!("{path}?to=latest"),
            _ => path,
        }
    }

    /// The example of the document, about what there is.
    fn body(&mut self, operation: &Operation, value: &str) -> Option<Value> {
        let example = &operation.told["requestBody"]["content"]["application/json"]["example"];
        if example.is_null() {
            return None;
        }
        let letter = self.letters.pop().expect("there are enough");
        let text = example.to_string();
        let text = text.replace(EXAMPLE_ID, &letter);
        let text = text.replace(EXAMPLE_FINGERPRINT, &self.fingerprint);
        let mut body: Value = serde_json::from_str(&text).expect("it is JSON still");
        if operation.id() == "editDeadLetter" {
            body["value"] = json!(value.replace("plank", "board"));
        }
        Some(body)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_is_as_the_document_says() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let workshop = workshop.owned_by(OWNER);
    let served = Served::start_patiently(&workshop, &databases).await;
    let relays = Relays::of_all(&workshop, &databases).await;
    relays.halt(&workshop, &databases, &[("acme", "plank", OWNER), ("acme", "board", OWNER)]).await;
    workshop.publish(3, None).await;
    workshop.bury(LETTERS, Flaw(0)).await;
    let document = strict();
    let mut admin = Asker::of(&served, Role::Admin).await;
    let event = workshop.catalogue.events().next().expect("it has one");
    let group = event.consumers[0].group.to_string();
    let mut known = Known { group, ..Known::default() };
    let page = eventually(SOON, async || {
        let page = admin.clone().json("/api/v1/dead-letters").await;
        // They are counted once the page is read: more may be there by then.
        let is_whole = page["letters"].as_array().is_some_and(|all| all.len() == LETTERS);
        if is_whole { Ok(page) } else { Err(page) }
    })
    .await;
    let letters = page["letters"].as_array().expect("it has some");
    let text = |value: &Value| value.as_str().expect("it is a text").to_owned();
    known.letters = letters.iter().map(|found| text(&found["letter"]["id"])).collect();
    known.fingerprint = text(&letters[0]["letter"]["fingerprint"]);
    let mut ann = served.signed_in("ann", Role::Viewer, &ALL).await;
    let value = ann.get(&format!("/events/dead-letters/{}/raw", known.letters[0])).await.body;

    let mut failed = Vec::new();
    for operation in operations(&document) {
        let path = known.path(&operation);
        let mut body = known.body(&operation, &value);
        if let (Some(body), "resetGroup") = (&mut body, operation.id()) {
            *body = as_shown(&mut admin, &path, body.clone()).await;
        }
        if let (Some(body), "retryRow" | "discardRow") = (&mut body, operation.id()) {
            let outbox = admin.json("/api/v1/outbox/cutting").await;
            body["row"] = outbox["rows"][0]["id"].clone();
            body["event_id"] = outbox["rows"][0]["event_id"].clone();
        }
        if let Some(body) = &body {
            let schema = &operation.told["requestBody"]["content"]["application/json"]["schema"];
            let complaints = complaints(&document, schema, body);
            assert!(complaints.is_empty(), "{path}: {complaints:#?} {body}");
        }
        let answer = admin.ask(&operation.verb, &path, body.as_ref()).await;
        let told = check(&document, &operation, &answer);
        let reveals = REVEAL.contains(&operation.id());
        assert_eq!(answer.shows(OWNER), reveals, "{} {path}: {answer:?}", operation.verb);
        // Nothing waits for somebody else: two.rs has that.
        let is_request = path.contains("/requests/") && answer.status == 404;
        if answer.status >= 300 && !is_request {
            failed.push(format!("{} {path}: {answer:?}", operation.verb));
        }
        if let (0, Some(id)) = (operation.order(), told["id"].as_str()) {
            known.made.insert(operation.id().to_owned(), id.to_owned());
        }
    }
    assert!(failed.is_empty(), "ask for these as it takes, here: {failed:#?}");

    refusals(&document, &served, &mut admin).await;
    relays.stop().await;
    served.stop().await;
}

/// The reset of the example, of all that its preview shows.
async fn as_shown(admin: &mut Asker, path: &str, mut body: Value) -> Value {
    let plan = admin.json(&format!("{path}?to=latest")).await;
    let mut shown = plan["moves"].clone();
    for step in shown.as_array_mut().expect("it shows moves") {
        let step = step.as_object_mut().expect("it is one");
        step.retain(|name, _| !["again", "skipped"].contains(&name.as_str()));
    }
    body["to"] = json!("latest");
    body["shown"] = shown;
    body
}

/// What is answered to those who may not, or who ask for nothing that there is.
async fn refusals(document: &Value, served: &Served, admin: &mut Asker) {
    let mut viewer = Asker::of(served, Role::Viewer).await;
    let mut nobody = Asker { visitor: served.visitor(), token: String::new() };
    for operation in operations(document) {
        let path = operation.path.replace("{id}", EXAMPLE_ID).replace("{group}", "nobodys");
        let path = path.replace("{event}", "NothingHappened").replace("{service}", "nobodys");
        let answer = nobody.ask(&operation.verb, &path, None).await;
        assert_eq!(answer.status, 401, "{path} {answer:?}");
        check(document, &operation, &answer);
        let answer = viewer.ask(&operation.verb, &path, Some(&json!({}))).await;
        let role = operation.told["x-role"].as_str().expect("it has one");
        let may = ["any", "viewer"].contains(&role);
        assert_eq!(answer.status == 403, !may, "{path} {answer:?}");
        check(document, &operation, &answer);
        let answer = admin.ask(&operation.verb, &path, Some(&json!({ "colour": "red" }))).await;
        check(document, &operation, &answer);
        // Each parameter is one that is taken.
        for parameter in operation.told["parameters"].as_array().into_iter().flatten() {
            let parameter = match parameter["$ref"].as_str() {
                Some(reference) => document.pointer(&reference[1..]).expect("it is there"),
                None => parameter,
            };
            let name = parameter["name"].as_str().expect("it has one");
            let value = match name {
                "id" => EXAMPLE_ID,
                "event" => "PieceCut",
                "as" => "id",
                "before" => "7",
                "state" => "open",
                "since" | "until" => "2026-01-02T03:04:05Z",
                "limit" => "7",
                "to" => "latest",
                "partition" => "0&to=latest",
                "after" => "7-7",
                "where" => "true",
                _ => "none",
            };
            if parameter["in"] == "path" {
                // One that nothing has.
                let body = operation.told.pointer(EXAMPLE_OF_BODY);
                let query = if operation.id() == "planReset" { "?to=latest" } else { "" };
                let answer = admin.ask(&operation.verb, &format!("{path}{query}"), body).await;
                assert_eq!(answer.status, 404, "{} {path} {answer:?}", operation.verb);
                check(document, &operation, &answer);
                continue;
            }
            let is_timeline = operation.id() == "showTimeline" && name != "value";
            let of = if is_timeline { "&value=1" } else { "" };
            let answer = admin.ask("get", &format!("{path}?{name}={value}{of}"), None).await;
            assert_eq!(parameter["in"], "query", "{path} {name}");
            assert_ne!(answer.status, 400, "{path} {name} {answer:?}");
            check(document, &operation, &answer);
        }
    }
}
