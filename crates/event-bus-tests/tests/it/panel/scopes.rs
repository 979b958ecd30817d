//! Whoever may see some sees nothing of the rest, and does nothing to it, whichever way in.

use std::time::Duration;

use event_bus::dead_letters::{Filter, Scope};
use event_bus::store::ops::Role;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use serde_json::json;

use super::served::{PASSWORD, Served};
use super::visitor::Visitor;
use crate::both::on_both_databases;
use crate::workshop::{Flaw, Workshop};

on_both_databases!(one_tenants_operator_neither_sees_nor_touches_what_is_anothers);

const SOON: Duration = Duration::from_secs(60);
const EACH: usize = 2;

fn of_tenant(name: &str) -> Scope {
    Scope::of(&[], &[name.to_owned()])
}

fn tenant_filter(name: &str) -> Filter {
    Filter { tenants: vec![name.to_owned()], ..Filter::default() }
}

async fn one_tenants_operator_neither_sees_nor_touches_what_is_anothers(databases: &Databases) {
    let workshop = Workshop::open(1, "").await;
    let served = Served::start(&workshop, databases).await;
    // Of each tenant as many, by turns.
    workshop.bury(EACH * 3, Flaw(0)).await;
    let count = async || served.store.count(&Filter::default()).await.expect("the store answers");
    eventually(SOON, async || equal(count().await, Some(EACH as u64 * 3))).await;
    let of = async |tenant| {
        let shown = served.store.letters(&tenant_filter(tenant), None, 10).await;
        let letters = shown.expect("the store answers").letters;
        letters.into_iter().map(|found| found.letter.id.to_string()).collect::<Vec<_>>()
    };
    let (own, others) = (of("acme").await, of("bolt").await);
    assert_eq!((own.len(), others.len()), (EACH, EACH));

    let mut ann = served.signed_in("ann", Role::Operator, &of_tenant("acme")).await;
    let groups = ann.get("/events/dead-letters").await;
    assert!(groups.shows(&format!("<strong>{EACH}</strong> open of {EACH}")), "{groups:?}");
    assert!(groups.shows("acme") && !groups.shows("bolt") && !groups.shows("cogs"), "{groups:?}");
    let list = ann.get("/events/dead-letters/list").await;
    let export = ann.get("/events/dead-letters/export?format=ndjson").await;
    assert_eq!(export.body.lines().count(), EACH, "{export:?}");
    let asked_for = ann.get("/events/dead-letters/list?tenant=bolt").await;
    assert!(own.iter().all(|id| list.shows(id)), "{list:?}");
    for id in &others {
        for page in [&list, &export, &asked_for] {
            assert!(!page.shows(id), "{page:?}");
        }
        for part in ["", "/history", "/raw", "/edit"] {
            let answer = ann.get(&format!("/events/dead-letters/{id}{part}")).await;
            assert_eq!(answer.status, 404, "{part} {answer:?}");
        }
        let fields = [("value", "{}"), ("reason", "mine now")];
        for part in ["/edit", "/edit/check"] {
            let answer = ann.post(&format!("/events/dead-letters/{id}{part}"), &fields).await;
            assert_eq!(answer.status, 404, "{part} {answer:?}");
        }
    }
    touches_nothing(&mut ann, &served, &others).await;

    // The API, with a token of the same scope.
    let token = served.token("ann", Role::Operator, &of_tenant("acme")).await;
    let listed = ann.api(&token, "/dead-letters", None).await.json();
    assert_eq!(
        (&listed["total"], listed["letters"].as_array().map(Vec::len)),
        (&json!(EACH), Some(EACH))
    );
    let failures = ann.api(&token, "/failures", None).await.json();
    assert_eq!(failures[0]["tenants"], json!(["acme"]), "{failures}");
    assert_eq!(failures[0]["letters"], EACH);
    let path = format!("/dead-letters/{}", others[0]);
    assert_eq!(ann.api(&token, &path, None).await.status, 404);
    let edit = json!({ "value": "{}", "reason": "mine now" });
    assert_eq!(ann.api(&token, &format!("{path}/edit"), Some(&edit)).await.status, 404);
    let decision = json!({ "filter": { "ids": others }, "reason": "mine now" });
    for verb in ["discard", "restore"] {
        let decided = ann.api(&token, &format!("/dead-letters/{verb}"), Some(&decision)).await;
        assert_eq!(decided.json()["letters"], 0, "{decided:?}");
    }
    // Who says the scope in the request is not heard.
    let claimed = json!({ "filter": { "ids": others, "scope": {} }, "reason": "mine now" });
    let refused = ann.api(&token, "/dead-letters/discard", Some(&claimed)).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    let asked = ann.api(&token, "/replays", Some(&decision)).await.json();
    assert_eq!(asked["letters"], 0, "{asked}");

    // A replay that has others' dead letters in it does not exist for ann; one of her own does.
    let admin = served.token("root", Role::Admin, &Scope::default()).await;
    let of_all = json!({ "filter": { "ids": [others[0], own[0]] }, "reason": "both" });
    let of_all = ann.api(&admin, "/replays", Some(&of_all)).await.json();
    let of_own = json!({ "filter": { "ids": [own[1]] } });
    let of_own = ann.api(&token, "/replays", Some(&of_own)).await.json();
    let [of_all, of_own] =
        [of_all, of_own].map(|one| one["id"].as_str().expect("an id").to_owned());
    let replays = ann.get("/events/replays").await;
    assert!(replays.shows(&of_own) && !replays.shows(&of_all), "{replays:?}");
    for part in ["", "/progress"] {
        assert_eq!(ann.get(&format!("/events/replays/{of_all}{part}")).await.status, 404);
        assert_eq!(ann.get(&format!("/events/replays/{of_own}{part}")).await.status, 200);
    }
    assert_eq!(ann.post(&format!("/events/replays/{of_all}/cancel"), &[]).await.status, 404);
    let cancel = ann.api(&token, &format!("/replays/{of_all}/cancel"), Some(&json!({}))).await;
    assert_eq!(cancel.status, 404, "{cancel:?}");
    let again = json!({ "id": of_all, "filter": { "ids": [own[1]] } });
    let again = ann.api(&token, "/replays", Some(&again)).await;
    assert_eq!(again.status, 404, "{again:?}");
    served.stop().await;
}

/// Whatever the forms say that somebody sends, what is out of scope stays as it was.
async fn touches_nothing(ann: &mut Visitor, served: &Served, others: &[String]) {
    let ids: Vec<String> = others.iter().map(|id| format!("id={id}")).collect();
    let query = ids.join("&");
    let plan = ann.get(&format!("/events/dead-letters/replay?{query}")).await;
    assert!(plan.shows("0 dead letters") && !plan.shows("bolt"), "{plan:?}");
    let id = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10";
    let fields = [
        ("query", &*query),
        ("reason", "mine now"),
        ("id", id),
        ("planned", "9"),
        ("max-dead", "10"),
        ("password", PASSWORD),
    ];
    let answer = ann.post("/events/dead-letters/replay", &fields).await;
    assert!(answer.status == 422 && answer.shows("nothing to replay"), "{answer:?}");
    for verb in ["discard", "restore"] {
        let answer = ann.post(&format!("/events/dead-letters/{verb}"), &fields).await;
        assert!(answer.shows("0 dead letters"), "{answer:?}");
    }
    let shown = served.store.letters(&tenant_filter("bolt"), None, 10).await;
    let letters = shown.expect("the store answers").letters;
    assert!(letters.iter().all(|found| found.state.as_str() == "open"), "{letters:?}");
    assert!(served.store.replays(&Scope::default(), 10).await.expect("it answers").is_empty());
}
