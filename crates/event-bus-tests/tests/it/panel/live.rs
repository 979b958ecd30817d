//! Events as they come, over HTTP: who is shown which, what a slow one misses, and how it ends.

use std::time::Duration;

use event_bus::dead_letters::Scope;
use event_bus::store::ops::Role;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::eventually;
use serde_json::Value;

use super::served::{ALL, Served};
use super::visitor::Followed;
use crate::workshop::{Flaw, Workshop};

const SOON: Duration = Duration::from_secs(90);
const STREAM: &str = "/events/live/stream";

/// What came, as the messages say it; with it how many were left out.
fn told(text: &str) -> (Vec<Value>, u64) {
    let (mut came, mut left_out, mut kind) = (Vec::new(), 0, "");
    // The last line may still be on its way.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        if let Some(name) = line.strip_prefix("event: ") {
            kind = name.trim();
        } else if let Some(data) = line.strip_prefix("data: ") {
            let data: Value = serde_json::from_str(data).expect("each message is JSON");
            match kind {
                "came" => came.push(data),
                "left-out" => left_out += data.as_u64().expect("it is a number"),
                _ => {}
            }
        }
    }
    (came, left_out)
}

/// Once something came, publishing until then: nobody is told of what came before somebody reads for those who look.
async fn begins(workshop: &Workshop, followed: &mut Followed) {
    let text = std::cell::RefCell::new(followed);
    eventually(SOON, async || {
        workshop.publish(3, Some(Flaw(0))).await;
        let text = text.borrow_mut().text();
        if told(&text).0.is_empty() { Err(text) } else { Ok(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_look_see_what_they_want_and_may_until_they_sign_out_or_it_ends() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    let mut ann = served.signed_in("ann", Role::Viewer, &ALL).await;
    let of_acme = Scope::of(&[], &["acme".to_owned()]);
    let bob = served.signed_in("bob", Role::Viewer, &of_acme).await;
    let mut of_bolt = ann.follow(&format!("{STREAM}?tenant=bolt"), &[]).await;
    let mut of_key = ann.follow(&format!("{STREAM}?key=cogs%2Fplank&event=PieceCut"), &[]).await;
    let mut in_scope = bob.follow(STREAM, &[]).await;
    for (followed, tenant) in
        [(&mut of_bolt, "bolt"), (&mut of_key, "cogs"), (&mut in_scope, "acme")]
    {
        begins(&workshop, followed).await;
        let (came, left_out) = told(&followed.text());
        assert!(came.iter().all(|event| event["tenant"] == tenant), "{came:?}");
        assert_eq!(left_out, 0);
        assert!(followed.text().contains("text/event-stream"));
    }
    // Others see them on the page, which needs no script.
    let mut page = served.signed_in("sue", Role::Viewer, &of_acme).await;
    let page = page.get("/events/live").await;
    assert!(page.shows("PieceCut") && page.shows("acme") && !page.shows("bolt"), "{page:?}");

    // Nobody looks at more than a few at once.
    let mut more = Vec::new();
    while more.len() < 3 {
        more.push(ann.follow(STREAM, &[]).await);
    }
    eventually(SOON, async || {
        let told: Vec<Option<u16>> = more.iter_mut().map(Followed::status).collect();
        let busy = told.iter().filter(|status| **status == Some(429)).count();
        // A name has four, and two are there.
        if busy == 1 && !told.contains(&None) { Ok(()) } else { Err(told) }
    })
    .await;
    assert_eq!(ann.clone().get(&format!("{STREAM}?event=Nothing")).await.status, 400);

    ann.post("/sign-out", &[]).await;
    let ended = |followed: &mut Followed, why: &str| {
        let text = followed.text();
        if followed.is_over() && text.contains(why) { Ok(()) } else { Err(text) }
    };
    let of_bolt = std::cell::RefCell::new(of_bolt);
    let by_sign_out = "nobody is signed in here any more";
    eventually(SOON, async || ended(&mut of_bolt.borrow_mut(), by_sign_out)).await;
    assert!(!in_scope.is_over());
    served.stop().await;
    let in_scope = std::cell::RefCell::new(in_scope);
    eventually(SOON, async || ended(&mut in_scope.borrow_mut(), "the process ends")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_slow_is_told_how_many_were_left_out() {
    const MANY: usize = 30_000;
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    let token = served.token("ann", Role::Viewer, &ALL).await;
    let path = "/api/v1/events/live/stream";
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", &*bearer)];
    let visitor = served.visitor();
    let (mut quick, slow) =
        (visitor.follow(path, &headers).await, visitor.follow(path, &headers).await);
    begins(&workshop, &mut quick).await;
    // The slow one has read nothing of it.
    workshop.publish(MANY, None).await;
    workshop.publish(1, Some(Flaw(2))).await;
    let last = |text: &str| {
        let (came, left_out) = told(text);
        let is_last = |event: &Value| event["payload"]["flaw"] == 2;
        if came.iter().any(is_last) || left_out > 0 { Ok(()) } else { Err(came.len()) }
    };
    let quick = std::cell::RefCell::new(quick);
    eventually(SOON, async || last(&quick.borrow_mut().text())).await;
    let slow = std::cell::RefCell::new(slow);
    let (came, left_out) = eventually(SOON, async || {
        let (came, left_out) = told(&slow.borrow_mut().text());
        let number = |event: &Value| event["payload"]["number"].as_u64().unwrap_or_default();
        let first = came.first().map(number).unwrap_or_default();
        let all = workshop.published() - first;
        let told_of = came.len() as u64 + left_out;
        if told_of == all { Ok((came.len(), left_out)) } else { Err((told_of, all)) }
    })
    .await;
    assert!(left_out > 0, "{came} came, and nothing was left out");
    served.stop().await;
}
