//! What takes two: one asks, another one approves.

use std::time::Duration;

use event_bus::dead_letters::{Filter, Scope};
use event_bus::store::ops::{AuditFilter, RequestStage, Role};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use serde_json::{Value, json};

use super::served::{ALL, Served};
use super::visitor::Visitor;
use crate::both::on_both_databases;
use crate::workshop::{Flaw, Workshop};

on_both_databases!(
    many_go_back_once_somebody_else_approves_it_and_only_those_that_were_asked_for,
    many_are_discarded_once_somebody_else_approves_it,
);

const SOON: Duration = Duration::from_secs(60);
/// So many need nobody else.
const FEW: u64 = 2;

/// Somebody with a token.
struct Asks {
    visitor: Visitor,
    token: String,
}

impl Asks {
    async fn new(served: &Served, name: &str, role: Role, scope: &Scope) -> Self {
        let token = served.token(name, role, scope).await;
        Self { visitor: served.visitor(), token }
    }

    async fn post(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.visitor.api(&self.token, path, Some(body)).await;
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
    }
}

async fn states(served: &Served, state: &str) -> u64 {
    let filter = Filter { states: vec![state.to_owned()], ..Filter::default() };
    served.store.count(&filter).await.expect("the store answers").expect("it is summed")
}

async fn actions(served: &Served, object: &str) -> Vec<String> {
    let filter = AuditFilter { object: Some(object.to_owned()), ..AuditFilter::default() };
    let rows = served.store.audit_rows(&filter, 100).await.expect("the store answers");
    rows.into_iter().rev().map(|row| format!("{} {}", row.actor, row.action)).collect()
}

async fn many_go_back_once_somebody_else_approves_it_and_only_those_that_were_asked_for(
    databases: &Databases,
) {
    let workshop = Workshop::open(1, "").await;
    let served = Served::start_with(&workshop, databases, Some(FEW)).await;
    workshop.bury(5, Flaw(0)).await;
    eventually(SOON, async || equal(states(&served, "open").await, 5)).await;
    let mut ann = Asks::new(&served, "ann", Role::Operator, &ALL).await;
    let mut vic = Asks::new(&served, "vic", Role::Viewer, &ALL).await;
    let acme = Scope::of(&[], &["acme".to_owned()]);
    let mut cat = Asks::new(&served, "cat", Role::Operator, &acme).await;
    let id = uuid::Uuid::now_v7().to_string();
    let all = json!({ "id": id, "filter": {}, "reason": "they are mended" });
    for _ in 0..2 {
        // Who asks twice under one id has asked once.
        let (status, asked) = ann.post("/replays", &all).await;
        assert_eq!(
            (status, &asked["needs_approval"], &asked["letters"]),
            (202, &json!(true), &json!(5))
        );
    }
    // Nobody else is told of it, nor has the list under its id.
    for asks in [&mut cat, &mut Asks::new(&served, "eve", Role::Operator, &ALL).await] {
        let (status, told) = asks.post("/replays", &all).await;
        assert_eq!(status, 409, "{told}");
    }
    assert!(served.store.replays(&ALL, 10).await.expect("it answers").is_empty());
    assert_eq!(states(&served, "open").await, 5);
    // What comes meanwhile is not in it.
    workshop.bury(1, Flaw(1)).await;
    eventually(SOON, async || equal(states(&served, "open").await, 6)).await;

    let approve = format!("/requests/{id}/approve");
    for (asks, wanted) in [(&mut ann, 403), (&mut vic, 403), (&mut cat, 404)] {
        let (status, told) = asks.post(&approve, &json!({})).await;
        assert_eq!(status, wanted, "{told}");
    }
    let mut own = served.signed_in("ann", Role::Operator, &ALL).await;
    let page = own.get("/events/replays").await;
    assert!(page.shows("replay 5 dead letters") && !page.shows("/approve"), "{page:?}");
    let refused = own.post(&format!("/events{approve}"), &[]).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(actions(&served, &id).await, ["ann request"]);

    // Another one, from the command line.
    let bob = Asks::new(&served, "bob", Role::Operator, &ALL).await;
    let url = format!("http://{}", served.address);
    let mut program =
        workshop.command(&["dlq", "replays", "approve", &id, "--reason", "looked at it"]);
    program.args(["--ops", &url, "--output", "json"]).env("EVENT_BUS_OPS_TOKEN", &bob.token);
    let output = program.output().await.expect("the program can be run");
    assert!(output.status.success(), "{output:?}");
    let replays = served.store.replays(&ALL, 10).await.expect("the store answers");
    let [replay] = &replays[..] else { panic!("{replays:?}") };
    assert_eq!(
        (replay.id.to_string(), replay.by.as_str(), replay.progress.letters),
        (id.clone(), "ann", 5)
    );
    assert_eq!(states(&served, "open").await, 1);
    assert_eq!(actions(&served, &id).await, ["ann request", "bob approve"]);
    let (status, _) =
        Asks::new(&served, "dan", Role::Admin, &ALL).await.post(&approve, &json!({})).await;
    assert_eq!(status, 400, "it is decided");
    // Few need nobody else.
    let (_, asked) = ann.post("/replays", &json!({ "filter": {} })).await;
    assert_eq!(
        (&asked["needs_approval"], &asked["letters"]),
        (&json!(false), &json!(1)),
        "{asked}"
    );
    // And are no request, so that nobody reads of one in the audit.
    let few = asked["id"].as_str().expect("it has one");
    assert!(actions(&served, few).await.is_empty());
    served.stop().await;
}

async fn many_are_discarded_once_somebody_else_approves_it(databases: &Databases) {
    let workshop = Workshop::open(1, "").await;
    let served = Served::start_with(&workshop, databases, Some(FEW)).await;
    workshop.bury(4, Flaw(0)).await;
    eventually(SOON, async || equal(states(&served, "open").await, 4)).await;
    let mut ann = Asks::new(&served, "ann", Role::Operator, &ALL).await;
    let mut bob = served.signed_in("bob", Role::Operator, &ALL).await;
    let all = json!({ "filter": {}, "reason": "test pieces" });
    let mut requests = Vec::new();
    for _ in 0..3 {
        let (status, asked) = ann.post("/dead-letters/discard", &all).await;
        assert_eq!((status, &asked["letters"]), (200, &json!(4)), "{asked}");
        requests.push(asked["request"].as_str().expect("it waits").to_owned());
    }
    assert_eq!(states(&served, "open").await, 4);
    let page = bob.get("/events/replays").await;
    assert!(page.shows("discard 4 dead letters") && page.shows("waiting"), "{page:?}");
    let fields = [("reason", "they are no test pieces")];
    let denied = bob.post(&format!("/events/requests/{}/deny", requests[0]), &fields).await;
    assert_eq!(denied.status, 303, "{denied:?}");
    let page = bob.get("/events/replays").await;
    assert!(page.shows("denied") && page.shows("they are no test pieces"), "{page:?}");

    // One that nobody decides about in time is over.
    let late = jiff::Timestamp::now() + event_bus::store::ops::REQUEST_LASTS;
    let expired = requests[2].parse().expect("an id");
    let row =
        served.store.request(&ALL, expired, late).await.expect("it answers").expect("there is one");
    assert_eq!(row.stage, RequestStage::Expired);
    let stage = RequestStage::Approved;
    let decided = served.store.decide_request(expired, stage, "bob", None, late).await;
    assert!(!decided.expect("the store answers"));
    let own =
        served.store.decide_request(expired, stage, "ann", None, jiff::Timestamp::now()).await;
    assert!(!own.expect("the store answers"), "who asked does not approve it");

    let approved = bob.post(&format!("/events/requests/{}/approve", requests[1]), &[]).await;
    assert_eq!(approved.status, 303, "{approved:?}");
    eventually(SOON, async || equal(states(&served, "discarded").await, 4)).await;
    assert_eq!(actions(&served, &requests[1]).await, ["ann request", "bob approve"]);
    // What changes values is not asked for, and so is not a way around it.
    let patch = json!([{ "op": "add", "path": "/payload/piece", "value": "board" }]);
    workshop.bury(3, Flaw(1)).await;
    eventually(SOON, async || equal(states(&served, "open").await, 3)).await;
    let repair = json!({ "filter": {}, "patch": patch, "reason": "around it" });
    let (status, told) = ann.post("/dead-letters/repair", &repair).await;
    assert_eq!(status, 400, "{told}");
    served.stop().await;
}
