//! What is personal reaches nobody who did not reveal it, whichever way in.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_bus::dead_letter::{Cause, Obituary, Reason, dlq_id};
use event_bus::dead_letters::Filter;
use event_bus::headers::Header;
use event_bus::kafka::Record;
use event_bus::names::EventId;
use event_bus::store::ops::{AuditFilter, OpsStore, Role};
use event_bus_ops::access::route::{Needs, Verb};
use event_bus_ops::{api, panel};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{raw, send_all};
use event_bus_tests::ops;
use event_bus_tests::process::escaped;
use serde_json::{Value, json};
use tokio::process::Child;

use super::relays::{CUTTING, Relays, set_limit};
use super::served::{ALL, PASSWORD, token, user};
use super::visitor::Visitor;
use crate::workshop::Workshop;

/// The owner of a piece, and nothing else in these tests has this in it.
const CANARY: &str = "Quandary7741";
const SOON: Duration = Duration::from_secs(60);

/// An ops process, and all that it wrote.
struct Process {
    child: Child,
    address: std::net::SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Process {
    async fn start(workshop: &Workshop, store: &str) -> Self {
        let arguments = ["ops", "serve", "--store", store, "--log", "debug"];
        let mut command = workshop.command(&arguments);
        command.stdout(Stdio::null());
        let log = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&log);
        let mut child = ops::start(command);
        let told = move |line: &str| written.lock().expect("nobody panics").push_str(line);
        let address = ops::address(&mut child, told).await;
        Self { child, address, log }
    }
}

fn envelope(event: &str, payload: &Value) -> String {
    let now = jiff::Timestamp::now();
    json!({ "event": event, "version": "1.0", "occurred_at": now, "service": "cutting", "tenant_id": "acme", "payload": payload })
        .to_string()
}

/// Values that have the canary: in the field that is personal, and in what can't be judged.
fn values() -> [String; 5] {
    let owner = json!({ "name": CANARY, CANARY: [CANARY] });
    [
        envelope("PieceCut", &json!({ "piece": "plank", "number": 1, "owner": owner })),
        envelope("PieceCut", &json!({ "piece": "plank", "number": "no number", "owner": owner })),
        envelope("PieceLost", &json!({ "owner": owner })),
        format!("junk of {CANARY}"),
        json!({ "owner": CANARY }).to_string(),
    ]
}

/// Events that have the canary in all places where it may be.
async fn publish(workshop: &Workshop) {
    let (topic, key) = (workshop.topic(), format!("acme/{CANARY}"));
    let record = |value: String| {
        let headers = vec![Header::text("x-owner", CANARY)];
        raw(&topic, Some(key.as_bytes()), Some(value.as_bytes()), headers)
    };
    send_all(values().map(record).into()).await;
}

/// Dead letters that have the canary in all places where it may be: the values', and what quotes them.
async fn bury(workshop: &Workshop) -> usize {
    let event = workshop.catalogue.event("PieceCut").expect("the workshop has it");
    let consumer = &event.consumers[0];
    let (now, values) = (jiff::Timestamp::now(), values());
    let letters = values.iter().zip(0..).map(|(value, offset)| {
        let original = Record {
            topic: event.topic.clone(),
            partition: 0,
            offset,
            timestamp_ms: 0,
            key: Some(format!("acme/{CANARY}").into()),
            value: Some(value.clone().into()),
            headers: vec![Header::text("x-owner", CANARY)],
        };
        Obituary {
            id: dlq_id(&consumer.group, &original),
            record: &original,
            event_id: EventId::of_position(&event.topic, 0, offset, 0, value.as_bytes()),
            group: &consumer.group,
            service: &consumer.service,
            cause: &Cause::new(
                Reason::Rejected,
                "Unowned",
                format!("{CANARY} owns nothing: \"{CANARY}\""),
            ),
            attempts: 1,
            first_failed_at: now,
            failed_at: now,
            chain_seq: None,
            previous: None,
        }
        .record(&event.dead_letter_topic)
    });
    send_all(letters.collect()).await;
    values.len()
}

fn has_canary(text: &str) -> bool {
    text.to_lowercase().contains(&CANARY.to_lowercase())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_in_personal_data_reaches_nobody_who_did_not_reveal_it() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let letters = bury(&workshop).await;
    let relays = Relays::of_all(&workshop, &databases).await;
    relays.halt(&workshop, &databases, &[("acme", CANARY, CANARY)]).await;
    set_limit(&workshop, 1_000_000).await;
    let url = databases.url("ops");
    let store = OpsStore::open(&url).await.expect("the ops store opens");
    let mut process = Process::start(&workshop, &url).await;
    let count = async || store.count(&Filter::default()).await.expect("the store answers");
    eventually(SOON, async || equal(count().await, Some(letters as u64))).await;
    let shown = store.letters(&Filter::default(), None, 10).await.expect("it answers").letters;
    let ids: Vec<String> = shown.iter().map(|found| found.letter.id.to_string()).collect();
    assert!(!has_canary(&format!("{shown:?}")), "the index has it: {shown:?}");

    publish(&workshop).await;
    let (group, replay) =
        (workshop.group("packing").to_string(), replay_of(&process, &store, &ids).await);
    let fingerprint = &shown[0].letter.fingerprint;
    for role in Role::ALL {
        let mut visitor = signed_in(&store, &process, role).await;
        let token = token(&store, role.as_str(), role, &ALL).await;
        // Those who may reveal see no more of the rest than a viewer: two of them will do.
        let some = if role == Role::Viewer { letters } else { 2 };
        let mut seen = BTreeSet::new();
        for letter in ids.iter().take(some) {
            let things = Things { group: &group, fingerprint, letter, replay: &replay };
            seen.append(&mut all_routes(&mut visitor, &token, role, &things).await);
        }
        let routes = panel::ROUTES.iter().map(|route| (route.verb, route.path, route.needs));
        let routes =
            routes.chain(api::ROUTES.iter().map(|route| (route.verb, route.path, route.needs)));
        let wrong = routes.filter(|(verb, path, needs)| {
            let is_to_be_seen = !NOT_SERVED.contains(path) && gets_in(*needs, role);
            *verb == Verb::Get && seen.contains(path) != is_to_be_seen
        });
        let wrong: Vec<&str> = wrong.map(|(_, path, _)| path).collect();
        assert!(wrong.is_empty(), "{role}: {wrong:?} of {seen:?}");
        is_in_no_event(&workshop, &mut visitor, &token, role).await;
        finds_nothing_out(&mut visitor, &token, role).await;
        let outbox = visitor.get("/events/outbox/cutting").await;
        assert!(outbox.shows("‹personal›") && outbox.shows("refuses this record"), "{outbox:?}");
        by_command_line(&workshop, &process, &token, &ids).await;
    }
    reveals(&store, &process, &ids).await;
    relays.stop().await;
    process.child.kill().await.expect("it is killed");
    let log = process.log.lock().expect("nobody panics").clone();
    assert!(log.contains("the API answers") && !has_canary(&log), "{log}");
}

async fn signed_in(store: &OpsStore, process: &Process, role: Role) -> Visitor {
    let name = user(store, role.as_str(), role, &ALL).await;
    let mut visitor = Visitor::new(process.address);
    visitor.signs_in(name.as_str(), PASSWORD).await;
    visitor
}

/// A replay to look at, which sent nothing.
async fn replay_of(process: &Process, store: &OpsStore, ids: &[String]) -> String {
    let (token, mut asker) =
        (token(store, "asker", Role::Operator, &ALL).await, Visitor::new(process.address));
    let asked = json!({ "filter": { "ids": ids }, "reason": "to look at" });
    let asked = asker.api(&token, "/replays", Some(&asked)).await.json();
    let id = asked["id"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned();
    asker.api(&token, &format!("/replays/{id}/cancel"), Some(&json!({}))).await;
    id
}

/// What is asked about.
struct Things<'a> {
    group: &'a str,
    fingerprint: &'a str,
    letter: &'a str,
    replay: &'a str,
}

impl Things<'_> {
    fn path(&self, route: &str) -> String {
        let id = if route.contains("/replays/") { self.replay } else { self.letter };
        let name = if route.starts_with("/assets/") { "panel.css" } else { "nobody" };
        let path = route.replace("{id}", id).replace("{name}", name);
        let path = path.replace("{group}", self.group).replace("{event}", "PieceCut");
        path.replace("{service}", CUTTING)
    }

    /// With what it takes so that it is served.
    fn served(&self, route: &str) -> String {
        let path = self.path(route);
        let query = match route.strip_prefix("/api/v1").unwrap_or(route) {
            "/events/dead-letters/notes" | "/notes" => format!("fingerprint={}", self.fingerprint),
            "/events/groups/{group}/reset" | "/groups/{group}/reset" => "to=latest".to_owned(),
            "/events/timeline" | "/timeline" => "value=plank".to_owned(),
            "/events/dead-letters/export" => "format=csv".to_owned(),
            "/events/dead-letters/replay" | "/events/dead-letters/discard" => {
                "state=open".to_owned()
            }
            "/events/dead-letters/restore" => "state=discarded".to_owned(),
            _ => return path,
        };
        format!("{path}?{query}")
    }
}

/// What is shown to nobody who is signed in, what leads to a provider of identities, which is none here, and what is
/// streamed: that is followed.
const NOT_SERVED: [&str; 5] = [
    "/welcome",
    "/sign-in/oidc",
    "/sign-in/oidc/callback",
    "/events/live/stream",
    "/api/v1/events/live/stream",
];

/// Whether whoever has this role gets in.
fn gets_in(needs: Needs, role: Role) -> bool {
    match needs {
        Needs::May(action) => role >= action.needs(),
        Needs::Nothing | Needs::Somebody => true,
    }
}

/// Each route of both tables with real ids, and none that reveals with a reason. Gives those that are to be seen and were.
async fn all_routes(
    visitor: &mut Visitor,
    token: &str,
    role: Role,
    things: &Things<'_>,
) -> BTreeSet<&'static str> {
    let (mut seen, reason) =
        (BTreeSet::new(), if role == Role::Viewer { "I want to know" } else { " " });
    let ends = |path: &&str| !path.ends_with("/stream");
    for route in panel::ROUTES.iter().filter(|route| route.path != "/sign-out") {
        let path = things.path(route.path);
        if route.verb == Verb::Post {
            let filter = format!("id={}", things.letter);
            let fields = [
                ("query", &*filter),
                ("value", "{}"),
                ("as", "raw"),
                ("format", "csv"),
                ("reason", reason),
            ];
            let answer = visitor.post(&path, &fields).await;
            assert!(!has_canary(&format!("{answer:?}")), "{role} {path}: {answer:?}");
            continue;
        }
        if ends(&route.path) {
            let answer = visitor.get(&format!("{path}?format=ndjson&state=open")).await;
            assert!(!has_canary(&format!("{answer:?}")), "{role} {path}: {answer:?}");
            let answer = visitor.get(&things.served(route.path)).await;
            assert!(!has_canary(&format!("{answer:?}")), "{role} {path}: {answer:?}");
            if (200..400).contains(&answer.status) {
                seen.insert(route.path);
            }
        }
    }
    for route in api::ROUTES.iter().filter(|route| ends(&route.path)) {
        if route.verb == Verb::Get {
            let path = things.served(route.path);
            let answer = visitor.bearing(token, "GET", &path, "").await;
            assert!(!has_canary(&format!("{answer:?}")), "{role} {path}: {answer:?}");
            if answer.status == 200 {
                seen.insert(route.path);
            }
            continue;
        }
        let (path, id) = (things.path(route.path), things.letter);
        for body in [
            json!({ "reason": reason }),
            json!({ "filter": { "ids": [id] }, "reason": reason }),
            json!({ "value": "{}", "reason": reason, "dry_run": true }),
            json!({ "filter": { "ids": [id] }, "reason": reason, "dry_run": true,
                    "patch": [{ "op": "copy", "from": "/payload/owner", "path": "/payload/piece" }] }),
            json!({ "filter": { "ids": [id] }, "reason": reason, "dry_run": true,
                    "patch": [{ "op": "add", "path": "/payload/number", "value": 7 }] }),
        ] {
            let answer = visitor.bearing(token, "POST", &path, &body.to_string()).await;
            assert!(!has_canary(&format!("{answer:?}")), "{role} {path}: {answer:?}");
        }
    }
    seen
}

/// Whoever follows what comes, and asks where it occurs, sees the events that have it, and it in none of them.
async fn is_in_no_event(workshop: &Workshop, visitor: &mut Visitor, token: &str, role: Role) {
    for path in ["/events/live", "/events/timeline?value=plank"] {
        let page = visitor.get(path).await;
        assert!(page.shows("PieceCut") && !has_canary(&page.body), "{role} {path} {page:?}");
    }
    let latest = visitor.api(token, "/events/latest", None).await;
    assert!(latest.shows("PieceCut") && !has_canary(&latest.body), "{role} {latest:?}");
    let way = visitor.api(token, "/timeline?value=plank", None).await;
    let moments = way.json()["moments"].as_array().map_or(0, Vec::len);
    assert!(moments > 0 && !has_canary(&way.body), "{role} {way:?}");
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", &*bearer)];
    let mut followed = [
        visitor.follow("/events/live/stream", &[]).await,
        visitor.follow("/api/v1/events/live/stream", &headers).await,
    ];
    for followed in &mut followed {
        let followed = std::cell::RefCell::new(followed);
        let text = eventually(SOON, async || {
            publish(workshop).await;
            let text = followed.borrow_mut().text();
            if text.contains("event: came") { Ok(text) } else { Err(text) }
        })
        .await;
        assert!(text.contains("PieceCut") && !has_canary(&text), "{role} {text}");
    }
}

/// Nobody finds out by asking what they may not see; and an error does not tell it to those who may.
async fn finds_nothing_out(visitor: &mut Visitor, token: &str, role: Role) {
    let list = "/dead-letters";
    for condition in [
        format!("payload.owner.name == '{CANARY}'"),
        format!("payload.owner.name.startsWith('{}')", &CANARY[..4]),
        format!("key.contains('{CANARY}') || headers['x-owner'] == '{CANARY}'"),
    ] {
        let escaped = escaped(&condition);
        let answer =
            visitor.api(token, &format!("{list}?event=PieceCut&where={escaped}"), None).await;
        let found = answer.json()["letters"].as_array().map_or(0, Vec::len);
        assert_eq!(found > 0, role >= Role::Operator, "{role} {condition} {answer:?}");
    }
    for way in ["value", "as=key&value"] {
        let answer = visitor.api(token, &format!("/timeline?{way}={CANARY}"), None).await;
        assert_eq!((answer.status, &answer.json()["moments"]), (200, &json!([])), "{answer:?}");
    }
    let told = visitor.api(token, &format!("{list}?text={CANARY}"), None).await.json();
    assert_eq!(told["letters"], json!([]), "{told}");
    let query = format!("{list}?event=PieceCut&where=payload.owner.name");
    let answer = visitor.api(token, &query, None).await;
    assert!(answer.status == 400 || role == Role::Viewer, "{answer:?}");
    assert!(!has_canary(&answer.body), "{answer:?}");
}

async fn by_command_line(workshop: &Workshop, process: &Process, token: &str, ids: &[String]) {
    let url = format!("http://{}", process.address);
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["list", "--limit", "0"],
        vec!["groups"],
        vec!["export"],
        vec!["export", "--values"],
        vec!["export", "--values", "--format", "csv"],
        vec!["replay", "--all", "--dry-run"],
        vec!["replays"],
    ];
    commands.extend(ids.iter().map(|id| vec!["show", id]));
    for command in commands {
        for output in ["table", "json"] {
            let mut program = workshop.command(&["dlq"]);
            program.args(&command).args(["--ops", &url, "--output", output]);
            let output = program.env("EVENT_BUS_OPS_TOKEN", token).output().await;
            let output = output.expect("the program can be run");
            assert!(output.status.success(), "{command:?} {output:?}");
            let told = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(!has_canary(&told), "{command:?} {told}");
        }
    }
}

/// Who may see it does so with a reason, in an answer to a form, and the audit has that.
async fn reveals(store: &OpsStore, process: &Process, ids: &[String]) {
    let mut ann = Visitor::new(process.address);
    ann.signs_in("operator", PASSWORD).await;
    let count = async || {
        let filter = AuditFilter { action: Some("reveal".to_owned()), ..AuditFilter::default() };
        store.audit_rows(&filter, 100).await.expect("the store answers").len()
    };
    for (nth, id) in ids.iter().enumerate() {
        let path = format!("/events/dead-letters/{id}");
        assert!(ann.get(&path).await.shows("What is personal is masked"), "{id}");
        let without = ann.post(&format!("{path}/reveal"), &[("reason", " ")]).await;
        assert_eq!((without.status, count().await), (400, nth * 2), "{without:?}");
        let shown = ann.post(&format!("{path}/reveal"), &[("reason", "a customer asks")]).await;
        assert!(shown.status == 200 && has_canary(&shown.body), "{shown:?}");
        let fields = [("reason", "a customer asks"), ("as", "raw")];
        let raw = ann.post(&format!("{path}/reveal"), &fields).await;
        assert!(
            has_canary(&raw.body) && raw.header("content-disposition").contains(id.as_str()),
            "{raw:?}"
        );
        assert_eq!(count().await, nth * 2 + 2);
        assert!(!has_canary(&ann.get(&path).await.body), "it is shown once");
    }
    let query = format!("id={}", ids[0]);
    let fields = [("query", &*query), ("format", "ndjson"), ("reason", "a court asks")];
    let exported = ann.post("/events/dead-letters/export", &fields).await;
    assert!(exported.status == 200 && has_canary(&exported.body), "{exported:?}");
    let filter = AuditFilter { action: Some("export".to_owned()), ..AuditFilter::default() };
    let rows = store.audit_rows(&filter, 1).await.expect("the store answers");
    assert_eq!(rows[0].reason.as_deref(), Some("a court asks"));
    assert!(rows[0].detail.contains(&ids[0]), "{rows:?}");
}
