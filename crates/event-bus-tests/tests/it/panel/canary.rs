//! What is personal reaches nobody who did not reveal it, whichever way in.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_bus::dead_letter::{Cause, Obituary, Reason, dlq_id};
use event_bus::dead_letters::{Filter, Scope};
use event_bus::headers::Header;
use event_bus::kafka::Record;
use event_bus::names::EventId;
use event_bus::store::ops::{AuditFilter, OpsStore, Role, UserName};
use event_bus_ops::access::password;
use event_bus_ops::access::route::Verb;
use event_bus_ops::{api, panel};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::send_all;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use super::relays::{CUTTING, Relays, set_limit};
use super::served::PASSWORD;
use super::visitor::Visitor;
use crate::workshop::Workshop;

/// The owner of a piece, and nothing else in these tests has this in it.
const CANARY: &str = "Quandary7741";
const SOON: Duration = Duration::from_secs(60);
const ALL: Scope = Scope { services: None, tenants: None };

/// An ops process, and all that it wrote.
struct Process {
    child: Child,
    address: std::net::SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Process {
    async fn start(workshop: &Workshop, store: &str) -> Self {
        let arguments =
            ["ops", "serve", "--store", store, "--http", "127.0.0.1:0", "--log", "debug"];
        let mut command = workshop.command(&arguments);
        command.stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().expect("the program can be run");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let address = loop {
            let line = lines.next_line().await.expect("it can be read").expect("it goes on");
            log.lock().expect("nobody panics").push_str(&line);
            if line.contains("the API answers") {
                let (_, address) = line.rsplit_once("http=").expect("it says where");
                let address = address.split_whitespace().next().unwrap_or(address);
                break address.parse().expect("an address");
            }
        };
        let written = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                written.lock().expect("nobody panics").push_str(&line);
            }
        });
        Self { child, address, log }
    }
}

fn envelope(event: &str, payload: &Value) -> String {
    let now = jiff::Timestamp::now();
    json!({ "event": event, "version": "1.0", "occurred_at": now, "service": "cutting", "tenant_id": "acme", "payload": payload })
        .to_string()
}

/// Dead letters that have the canary in all places where it may be: in the field that is personal, in what quotes it, and in
/// values that can't be judged.
async fn bury(workshop: &Workshop) -> usize {
    let event = workshop.catalogue.event("PieceCut").expect("the workshop has it");
    let consumer = &event.consumers[0];
    let now = jiff::Timestamp::now();
    let owner = json!({ "name": CANARY, CANARY: [CANARY] });
    let values = [
        envelope("PieceCut", &json!({ "piece": "plank", "number": 1, "owner": owner })),
        envelope("PieceCut", &json!({ "piece": "plank", "number": "no number", "owner": owner })),
        envelope("PieceLost", &json!({ "owner": owner })),
        format!("junk of {CANARY}"),
        json!({ "owner": CANARY }).to_string(),
    ];
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

    let (group, mut seen) = (workshop.group("packing"), 0);
    for role in Role::ALL {
        let mut visitor = signed_in(&store, &process, role).await;
        let token = store.make_token(role.as_str(), role, &ALL).await;
        let token = token.expect("the store answers").expect("it is new");
        let replay = replay_of(&mut visitor, &token, &ids, role).await;
        // Those who may reveal see no more of the rest than a viewer: two of them will do.
        let some = if role == Role::Viewer { letters } else { 2 };
        for id in ids.iter().take(some) {
            seen += all_routes(&mut visitor, &token, role, group.as_str(), id, &replay).await;
        }
        finds_nothing_out(&mut visitor, &token, role).await;
        let outbox = visitor.get("/events/outbox/cutting").await;
        assert!(outbox.shows("‹personal›") && outbox.shows("refuses this record"), "{outbox:?}");
        by_command_line(&workshop, &process, &token, &ids).await;
    }
    // All but the one that ends the session.
    let routes = panel::ROUTES.len() - 1 + api::ROUTES.len();
    assert_eq!(seen, routes * (letters + 2 + 2));
    reveals(&store, &process, &ids).await;
    relays.stop().await;
    process.child.kill().await.expect("it is killed");
    let log = process.log.lock().expect("nobody panics").clone();
    assert!(log.contains("the API answers") && !has_canary(&log), "{log}");
}

async fn signed_in(store: &OpsStore, process: &Process, role: Role) -> Visitor {
    let name: UserName = role.as_str().parse().expect("a name");
    let hash = password::hash(PASSWORD.to_owned()).await.expect("it is hashed");
    let made = store.make_user(&name, role, &ALL, Some(&hash)).await;
    assert!(made.expect("the store answers"));
    let mut visitor = Visitor::new(process.address);
    visitor.signs_in(name.as_str(), PASSWORD).await;
    visitor
}

async fn ask(
    visitor: &mut Visitor,
    token: &str,
    verb: Verb,
    path: &str,
    body: &str,
) -> (u16, String) {
    let token = format!("Bearer {token}");
    let headers = [("Authorization", &*token), ("Content-Type", "application/json")];
    let method = if verb == Verb::Get { "GET" } else { "POST" };
    let answer = visitor.ask(method, path, &headers, body).await;
    (answer.status, answer.body)
}

/// A replay to look at: who may not ask for one has a name that nothing has.
async fn replay_of(visitor: &mut Visitor, token: &str, ids: &[String], role: Role) -> String {
    let body = json!({ "filter": { "ids": ids }, "reason": "to look at" }).to_string();
    let (_, asked) = ask(visitor, token, Verb::Post, "/api/v1/replays", &body).await;
    let asked: Value = serde_json::from_str(&asked).unwrap_or_default();
    let id = asked["id"].as_str().map(str::to_owned);
    assert_eq!(id.is_some(), role >= Role::Operator, "{asked}");
    let id = id.unwrap_or_else(|| ids[0].clone());
    ask(visitor, token, Verb::Post, &format!("/api/v1/replays/{id}/cancel"), "{}").await;
    id
}

/// Each route of both tables with real ids, and none that reveals with a reason. Says how many answered.
async fn all_routes(
    visitor: &mut Visitor,
    token: &str,
    role: Role,
    group: &str,
    id: &str,
    replay: &str,
) -> usize {
    let mut answers = 0;
    let path = |route: &str| {
        let id = if route.contains("/replays/") { replay } else { id };
        let path = route.replace("{id}", id).replace("{name}", "nobody");
        let path = path.replace("{group}", group).replace("{event}", "PieceCut");
        let path = path.replace("{service}", CUTTING);
        // What is streamed has no end, and this no beginning: it is what `latest` shows.
        if path.ends_with("/stream") { format!("{path}?event=nobody") } else { path }
    };
    for route in panel::ROUTES.iter().filter(|route| route.path != "/sign-out") {
        let path = path(route.path);
        let answer = match route.verb {
            Verb::Get => visitor.get(&format!("{path}?format=ndjson&state=open")).await,
            Verb::Post => {
                let filter = format!("id={id}");
                let fields = [
                    ("query", &*filter),
                    ("value", "{}"),
                    ("as", "raw"),
                    ("format", "csv"),
                    ("reason", if role == Role::Viewer { "I want to know" } else { "" }),
                ];
                visitor.post(&path, &fields).await
            }
        };
        assert!(!has_canary(&format!("{answer:?}")), "{role} {path}: {answer:?}");
        let plain =
            if route.verb == Verb::Get { visitor.get(&path).await.body } else { String::new() };
        assert!(!has_canary(&plain), "{role} {path}: {plain}");
        answers += 1;
    }
    for route in api::ROUTES {
        let path = path(route.path);
        let reason = if role == Role::Viewer { "I want to know" } else { " " };
        let bodies = [
            json!({ "reason": reason }),
            json!({ "filter": { "ids": [id] }, "reason": reason }),
            json!({ "value": "{}", "reason": reason, "dry_run": true }),
            json!({ "filter": { "ids": [id] }, "reason": reason, "dry_run": true,
                    "patch": [{ "op": "copy", "from": "/payload/owner", "path": "/payload/piece" }] }),
            json!({ "filter": { "ids": [id] }, "reason": reason, "dry_run": true,
                    "patch": [{ "op": "add", "path": "/payload/number", "value": 7 }] }),
        ];
        let bodies = bodies.iter().take(if route.verb == Verb::Get { 1 } else { bodies.len() });
        for body in bodies {
            let (status, answer) = ask(visitor, token, route.verb, &path, &body.to_string()).await;
            assert!(!has_canary(&answer), "{role} {path} {status}: {answer}");
        }
        answers += 1;
    }
    answers
}

/// Nobody finds out by asking what they may not see; and an error does not tell it to those who may.
async fn finds_nothing_out(visitor: &mut Visitor, token: &str, role: Role) {
    let list = "/api/v1/dead-letters";
    for condition in [
        format!("payload.owner.name == '{CANARY}'"),
        format!("payload.owner.name.startsWith('{}')", &CANARY[..4]),
        format!("key.contains('{CANARY}') || headers['x-owner'] == '{CANARY}'"),
    ] {
        let escaped: String = condition.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (status, told) =
            ask(visitor, token, Verb::Get, &format!("{list}?event=PieceCut&where={escaped}"), "")
                .await;
        let found: Value = serde_json::from_str(&told).unwrap_or_default();
        let found = found["letters"].as_array().map_or(0, Vec::len);
        assert_eq!(found > 0, role >= Role::Operator, "{role} {condition} {status} {told}");
    }
    for way in ["value", "as=key&value"] {
        let timeline = format!("/api/v1/timeline?{way}={CANARY}");
        let (status, told) = ask(visitor, token, Verb::Get, &timeline, "").await;
        let found: Value = serde_json::from_str(&told).expect("it is JSON");
        assert_eq!((status, &found["moments"]), (200, &json!([])), "{told}");
    }
    let (_, told) = ask(visitor, token, Verb::Get, &format!("{list}?text={CANARY}"), "").await;
    let told: Value = serde_json::from_str(&told).expect("it is JSON");
    assert_eq!(told["letters"], json!([]), "{told}");
    let (status, told) = ask(
        visitor,
        token,
        Verb::Get,
        &format!("{list}?event=PieceCut&where=payload.owner.name"),
        "",
    )
    .await;
    assert!(status == 400 || role == Role::Viewer, "{told}");
    assert!(!has_canary(&told), "{told}");
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
