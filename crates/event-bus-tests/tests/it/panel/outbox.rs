//! Outboxes of services: how they are, as their relays say, and what is decided about rows that can't be sent.

use std::time::Duration;

use event_bus::dead_letters::Scope;
use event_bus::store::ops::{AuditFilter, Role};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::everything_in;
use serde_json::{Value, json};

use super::relays::{CUTTING, Relays, held, is_set_aside, set_limit};
use super::served::{ALL, Served};
use super::visitor::Visitor;
use crate::both::on_both_databases;
use crate::workshop::Workshop;

on_both_databases!(a_row_that_cant_be_sent_is_shown_and_retried_and_another_one_discarded);

const SOON: Duration = Duration::from_secs(60);
const PAGE: &str = "/events/outbox/cutting";
/// The owner of a piece.
const OWNER: &str = "Quillon8812";

/// Asks the API about outboxes.
async fn api(visitor: &mut Visitor, token: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let answer = visitor.api(token, &format!("/outbox{path}"), body).await;
    (answer.status, answer.json())
}

/// What the audit has of rows, the earliest first.
async fn audited(served: &Served) -> Vec<(String, String, Option<String>)> {
    let rows = served.store.audit_rows(&AuditFilter::default(), 100).await;
    let rows = rows.expect("the store answers").into_iter().rev();
    let is_of_rows = |action: &str| ["retry-row", "discard-row", "not-done"].contains(&action);
    let rows = rows.filter(|row| is_of_rows(&row.action));
    rows.map(|row| (row.action, row.object, row.reason)).collect()
}

async fn a_row_that_cant_be_sent_is_shown_and_retried_and_another_one_discarded(
    databases: &Databases,
) {
    let workshop = Workshop::open(1, "").await;
    let served = Served::start_patiently(&workshop, databases).await;
    // Two on one database: one of them does what is asked.
    let relays = Relays::start(&workshop, databases, &[CUTTING, CUTTING]).await;
    relays.halt(&workshop, databases, &[("acme", "plank", OWNER), ("bolt", "board", OWNER)]).await;
    assert_eq!(held(databases).await, 4);
    let scope = Scope::of(&[CUTTING.to_owned()], &[]);
    let mut ann = served.signed_in("ann", Role::Operator, &scope).await;
    let page = eventually(SOON, async || {
        let page = ann.clone().get(PAGE).await;
        if page.body.matches("name=\"row\"").count() == 2 { Ok(page) } else { Err(page) }
    })
    .await;
    for text in ["PieceCut", "acme/plank", "bolt/board", "refuses this record for good"] {
        assert!(page.shows(text), "{text}: {page:?}");
    }
    assert!(page.shows("<dt>Quarantined</dt><dd>2</dd>"), "{page:?}");
    assert!(!page.shows(OWNER) && !page.shows("filling"), "{page:?}");

    // Nothing is decided without a token of the form, or without a reason to discard.
    let token = served.token("api", Role::Operator, &scope).await;
    let told = eventually(SOON, async || {
        let (_, told) = api(&mut ann.clone(), &token, "/cutting", None).await;
        let relays = told["standing"]["relays"].as_array().cloned().unwrap_or_default();
        let holds = |relay: &Value| relay["shards"].as_array().map(Vec::len);
        let shards: Vec<_> = relays.iter().map(holds).collect();
        if shards == [Some(4), Some(4)] { Ok(told) } else { Err(told) }
    })
    .await;
    let rows = told["rows"].as_array().expect("they are told").clone();
    let first = json!({ "row": rows[0]["id"], "event_id": rows[0]["event_id"] });
    let (status, refused) = api(&mut ann, &token, "/cutting/discard", Some(&first)).await;
    assert!(status == 400 && refused["error"].to_string().contains("reason"), "{refused}");
    let number = rows[1]["id"].to_string();
    let event_id = rows[1]["event_id"].as_str().expect("it is a text").to_owned();
    let fields = [("row", &*number), ("event_id", &*event_id), ("reason", "it was sent by hand")];
    let origin = ann.origin();
    let forged = [("Origin", &*origin), ("Sec-Fetch-Site", "same-origin")];
    let form = super::visitor::form(&fields);
    let forged = ann.ask("POST", &format!("{PAGE}/discard"), &forged, &form).await;
    assert_eq!(forged.status, 403, "{forged:?}");
    assert_eq!(audited(&served).await, []);

    // Sent again as it is, it comes back as another row; once its cause is removed, it is sent.
    let (status, lifted) = api(&mut ann, &token, "/cutting/retry", Some(&first)).await;
    assert_eq!((status, &lifted["rows"]), (200, &json!(2)), "{lifted}");
    is_set_aside(databases, 2).await;
    let (status, refused) = api(&mut ann, &token, "/cutting/retry", Some(&first)).await;
    assert!(status == 409 && refused["error"].to_string().contains("any more"), "{refused}");
    let (_, told) = api(&mut ann, &token, "/cutting", None).await;
    let again = told["rows"].as_array().expect("they are told");
    let again = again.iter().find(|row| row["event_id"] == first["event_id"]).expect("it is back");
    let other = json!({ "row": again["id"], "event_id": event_id });
    let (status, refused) = api(&mut ann, &token, "/cutting/retry", Some(&other)).await;
    assert_eq!(status, 409, "the row is another event's: {refused}");
    set_limit(&workshop, 1_000_000).await;
    let again =
        json!({ "row": again["id"], "event_id": again["event_id"], "reason": "it is wider now" });
    let (status, lifted) = api(&mut ann, &token, "/cutting/retry", Some(&again)).await;
    assert_eq!((status, &lifted["rows"]), (200, &json!(2)), "{lifted}");
    eventually(SOON, async || equal(held(databases).await, 2)).await;
    assert_eq!(everything_in(&[workshop.topic()]).await.len(), 2);

    let done = ann.post(&format!("{PAGE}/discard"), &fields).await;
    assert!(done.status == 200 && done.shows("is never sent"), "{done:?}");
    eventually(SOON, async || equal(held(databases).await, 0)).await;
    assert_eq!(everything_in(&[workshop.topic()]).await.len(), 3);
    let discarded = relays.cutting.discarded().await.expect("the store answers");
    let reasons: Vec<&str> = discarded.iter().map(|row| row.reason.as_str()).collect();
    assert_eq!(reasons, ["ann: it was sent by hand"]);
    // Sent once more, the form finds nothing, and says so.
    let twice = ann.post(&format!("{PAGE}/discard"), &fields).await;
    assert!(twice.status == 422 && twice.shows("any more"), "{twice:?}");
    let page = ann.get(PAGE).await;
    assert!(page.shows("None: all that is written can be sent"), "{page:?}");

    let row = |action: &str, row: &Value, reason: Option<&str>| {
        (action.to_owned(), format!("cutting/{row}"), reason.map(str::to_owned))
    };
    let audited = audited(&served).await;
    let deeds: Vec<_> = audited.iter().filter(|(action, ..)| action != "not-done").collect();
    let hand = Some("it was sent by hand");
    let wanted = [
        row("retry-row", &first["row"], None),
        row("retry-row", &first["row"], None),
        row("retry-row", &other["row"], None),
        row("retry-row", &again["row"], Some("it is wider now")),
        row("discard-row", &rows[1]["id"], hand),
        row("discard-row", &rows[1]["id"], hand),
    ];
    assert_eq!(deeds, wanted.iter().collect::<Vec<_>>());
    assert_eq!(audited.len() - deeds.len(), 3, "three were not done: {audited:?}");
    relays.stop().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outbox_is_shown_to_its_scope_and_only_operators_of_all_tenants_decide() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start_patiently(&workshop, &databases).await;
    let relays = Relays::of_all(&workshop, &databases).await;
    relays.halt(&workshop, &databases, &[("acme", "plank", OWNER), ("bolt", "board", OWNER)]).await;
    let mut vic = served.signed_in("vic", Role::Viewer, &ALL).await;
    let list = eventually(SOON, async || {
        let list = vic.clone().get("/events/outbox").await;
        if list.shows("did not answer") { Err(list) } else { Ok(list) }
    })
    .await;
    for (service, _) in workshop.catalogue.services() {
        assert!(list.shows(&format!("href=\"/events/outbox/{service}\"")), "{list:?}");
    }
    assert!(list.shows("<span class=\"level critical\">2</span>"), "{list:?}");
    let page = vic.get(PAGE).await;
    assert!(page.shows("acme/plank") && !page.shows("name=\"row\""), "{page:?}");
    let fields = [("row", "1"), ("event_id", "x"), ("reason", "mine")];
    for deed in ["retry", "discard"] {
        assert_eq!(vic.post(&format!("{PAGE}/{deed}"), &fields).await.status, 403);
    }

    let packing = Scope::of(&["packing".to_owned()], &[]);
    let mut pat = served.signed_in("pat", Role::Operator, &packing).await;
    let list = pat.get("/events/outbox").await;
    assert!(list.shows("/events/outbox/packing") && !list.shows(CUTTING), "{list:?}");
    assert_eq!(pat.get(PAGE).await.status, 404);
    assert_eq!(pat.post(&format!("{PAGE}/retry"), &fields).await.status, 404);
    let token_of_pat = served.token("pat", Role::Operator, &packing).await;
    let (status, told) = api(&mut pat, &token_of_pat, "/cutting", None).await;
    assert_eq!(status, 404, "{told}");
    let asked = json!({ "row": 1, "event_id": "x" });
    let (status, told) = api(&mut pat, &token_of_pat, "/cutting/retry", Some(&asked)).await;
    assert_eq!(status, 404, "{told}");

    let acme = Scope::of(&[], &["acme".to_owned()]);
    let mut amy = served.signed_in("amy", Role::Operator, &acme).await;
    let page = amy.get(PAGE).await;
    assert!(page.shows("acme/plank") && !page.shows("bolt/board"), "{page:?}");
    assert!(page.shows("1 more") && !page.shows("name=\"row\""), "{page:?}");
    let refused = amy.post(&format!("{PAGE}/retry"), &fields).await;
    assert!(refused.status == 403 && refused.shows("the events of all"), "{refused:?}");
    assert_eq!(audited(&served).await, []);
    assert_eq!(held(&databases).await, 4);
    relays.stop().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_service_that_does_not_run_it_is_said_that_it_did_not_answer() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    let mut ann = served.signed_in("ann", Role::Operator, &ALL).await;
    let list = ann.get("/events/outbox").await;
    let silent = list.body.matches("did not answer</span>").count();
    assert_eq!((list.status, silent), (200, workshop.catalogue.services().count()), "{list:?}");
    let page = ann.get(PAGE).await;
    assert!(page.status == 200 && page.shows("It did not answer"), "{page:?}");
    let fields = [("row", "1"), ("event_id", "x")];
    let refused = ann.post(&format!("{PAGE}/retry"), &fields).await;
    assert!(refused.status == 422 && refused.shows("Nothing was done"), "{refused:?}");
    let actions: Vec<String> =
        audited(&served).await.into_iter().map(|(action, ..)| action).collect();
    assert_eq!(actions, ["retry-row", "not-done"]);
    let token = served.token("api", Role::Viewer, &ALL).await;
    let (status, told) = api(&mut ann, &token, "", None).await;
    assert_eq!((status, &told[0]["standing"]), (200, &Value::Null), "{told}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_and_the_program_answer_for_their_outboxes() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start_patiently(&workshop, &databases).await;
    let departments = workshop.start(&databases).await;
    let url = databases.url(CUTTING);
    drop(event_bus::store::Store::open(&url, &[]).await.expect("the store opens"));
    let mut relay = workshop.command(&["relay", "--store", &url, "--service", CUTTING]);
    relay.stderr(std::process::Stdio::null());
    let mut relay = relay.spawn().expect("the program can be run");
    let mut ann = served.signed_in("ann", Role::Viewer, &ALL).await;
    let token = served.token("api", Role::Viewer, &ALL).await;
    let told = eventually(SOON, async || {
        let (_, told) = api(&mut ann.clone(), &token, "", None).await;
        let silent = told.as_array().expect("it is a list").iter();
        let silent = silent.filter(|row| row["standing"].is_null()).count();
        if silent == 0 { Ok(told) } else { Err(told) }
    })
    .await;
    for row in told.as_array().expect("it is a list") {
        assert_eq!(row["standing"]["relays"].as_array().map(Vec::len), Some(1), "{row}");
    }
    assert_eq!(ann.get("/events/outbox").await.status, 200);
    relay.kill().await.expect("it is killed");
    departments.stop().await;
    served.stop().await;
}
