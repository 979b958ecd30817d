//! The way of an order and of an event, from who published it to what the groups made of it.

use std::time::Duration;

use event_bus::dead_letters::{Filter, Scope};
use event_bus::store::ops::Role;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use serde_json::Value;

use super::served::{ALL, Served};
use super::visitor::Visitor;
use crate::workshop::{Flaw, Workshop};

const SOON: Duration = Duration::from_secs(90);
const PAGE: &str = "/events/timeline";

async fn moments(visitor: &mut Visitor, token: &str, query: &str) -> Vec<Value> {
    let told = visitor.api(token, &format!("/timeline?{query}"), None).await.json();
    told["moments"].as_array().unwrap_or_else(|| panic!("{told}")).clone()
}

fn kinds(moments: &[Value]) -> Vec<&str> {
    moments.iter().filter_map(|moment| moment["what"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeline_tells_who_published_who_settled_what_died_and_what_went_back() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(2, "").await);
    let services = workshop.start(&databases).await;
    let served = Served::start(&workshop, &databases).await;
    let mut ann = served.signed_in("ann", Role::Viewer, &ALL).await;
    let empty = ann.get(PAGE).await;
    assert!(empty.shows("Give an id"), "{empty:?}");
    let nothing = ann.get(&format!("{PAGE}?value=plank")).await;
    assert!(nothing.shows("No record carries this"), "{nothing:?}");

    // Of acme, bolt and cogs, one each.
    let flaw = Flaw(1);
    workshop.publish(3, Some(flaw)).await;
    workshop.is_through().await;
    let of_state = |state: &str| Filter { states: vec![state.to_owned()], ..Filter::default() };
    let count = async |state| served.store.count(&of_state(state)).await.expect("it answers");
    eventually(SOON, async || equal(count("open").await, Some(3))).await;
    let page = ann.get(&format!("{PAGE}?value=plank")).await;
    for text in ["PieceCut", "cutting published it", "settled", "is cracked", "acme", "bolt"] {
        assert!(page.shows(text), "{text}: {page:?}");
    }
    let of_key = ann.get(&format!("{PAGE}?value=acme%2Fplank&as=key")).await;
    assert!(of_key.shows("acme") && !of_key.shows("bolt"), "{of_key:?}");

    let token = served.token("ann", Role::Viewer, &ALL).await;
    let all = moments(&mut ann, &token, "value=plank").await;
    let mut sorted = kinds(&all);
    sorted.sort_unstable();
    assert_eq!(sorted, ["died", "died", "died", "published", "published", "published"]);
    let groups = all[0]["groups"].as_array().expect("the first thing is an event");
    assert_eq!(groups.len(), 4, "{groups:?}");
    assert!(groups.iter().all(|group| group["has_settled"] == true), "{groups:?}");
    // A text that is only a part of an id finds nothing, nor does another time.
    assert!(moments(&mut ann, &token, "value=plan").await.is_empty());
    let before = "value=plank&until=2020-01-01T00:00:00Z";
    assert!(moments(&mut ann, &token, before).await.is_empty());

    // The dead letter goes back.
    let id = all[0]["event_id"].as_str().expect("an event has an id").to_owned();
    workshop.mend(flaw);
    workshop.replay_all().await;
    eventually(SOON, async || equal(count("resolved").await, Some(3))).await;
    let way = moments(&mut ann, &token, &format!("value={id}")).await;
    assert_eq!(kinds(&way), ["published", "died", "replayed"], "{way:?}");
    assert_eq!(way[1]["state"], "resolved", "{way:?}");
    assert_eq!(way[1]["id"], way[2]["letter"], "{way:?}");

    for (query, why) in [
        ("value=x&colour=red", "no such condition"),
        ("value=x&event=Nothing", "has no event Nothing"),
        ("value=x&since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "is not before"),
    ] {
        let refused = ann.get(&format!("{PAGE}?{query}")).await;
        assert!(refused.status == 400 && refused.shows(why), "{refused:?}");
    }
    served.stop().await;
    services.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeline_has_nothing_out_of_scope() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let services = workshop.start(&databases).await;
    let served = Served::start(&workshop, &databases).await;
    workshop.publish(3, Some(Flaw(1))).await;
    workshop.is_through().await;
    let count = async || served.store.count(&Filter::default()).await.expect("it answers");
    eventually(SOON, async || equal(count().await, Some(3))).await;
    let of_bolt = Scope::of(&[], &["bolt".to_owned()]);
    let mut bob = served.signed_in("bob", Role::Operator, &of_bolt).await;
    for query in ["value=plank", "value=acme%2Fplank&as=key", "value=acme"] {
        let page = bob.get(&format!("{PAGE}?{query}")).await;
        assert!(!page.shows("<td data-label=\"For\">acme"), "{page:?}");
        assert_eq!(page.shows("<td data-label=\"For\">bolt"), query == "value=plank", "{page:?}");
    }
    // Sawing consumes the pieces, and drilling's dead letters are none of its business.
    let of_sawing = Scope::of(&["sawing".to_owned()], &[]);
    let mut sue = served.signed_in("sue", Role::Operator, &of_sawing).await;
    let page = sue.get(&format!("{PAGE}?value=plank")).await;
    assert!(page.shows("acme") && page.shows("-sawing-"), "{page:?}");
    assert!(!page.shows("is cracked") && !page.shows("-drilling-"), "{page:?}");
    let of_nobody = Scope::of(&["stock".to_owned()], &[]);
    let mut eve = served.signed_in("eve", Role::Operator, &of_nobody).await;
    let page = eve.get(&format!("{PAGE}?value=plank")).await;
    assert!(page.shows("No record carries this"), "{page:?}");
    served.stop().await;
    services.stop().await;
}
