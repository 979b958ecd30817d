//! Failures over the last hours, and what operators write about them.

use std::time::Duration;

use event_bus::audit::{Action, Deed};
use event_bus::dead_letters::{Filter, Scope};
use event_bus::store::ops::{Note, Role};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::everything_in;
use jiff::{SignedDuration, Timestamp};

use super::served::{ALL, Served};
use crate::both::on_both_databases;
use crate::workshop::{Flaw, Workshop};

on_both_databases!(
    who_sees_a_failure_reads_and_writes_notes_about_it_and_nobody_else_does,
    a_failures_trend_counts_what_is_in_scope_whatever_became_of_it,
);

const SOON: Duration = Duration::from_secs(60);
const NOTES: &str = "/events/dead-letters/notes";

/// The fingerprint of the only failure, once it has so many dead letters.
async fn failure(served: &Served, letters: u64) -> String {
    let count = async || served.store.count(&Filter::default()).await.expect("it answers");
    eventually(SOON, async || equal(count().await, Some(letters))).await;
    let mut failures = served.store.failures(&Filter::default()).await.expect("it answers");
    assert_eq!(failures.len(), 1, "{failures:?}");
    failures.remove(0).fingerprint
}

async fn who_sees_a_failure_reads_and_writes_notes_about_it_and_nobody_else_does(
    databases: &Databases,
) {
    let workshop = Workshop::open(1, "").await;
    let served = Served::start(&workshop, databases).await;
    workshop.bury(3, Flaw(0)).await;
    let fingerprint = failure(&served, 3).await;
    let address = format!("{NOTES}?fingerprint={fingerprint}");
    let elsewhere = Scope::of(&["packing".to_owned()], &[]);
    let mut ann = served.signed_in("ann", Role::Operator, &ALL).await;
    let mut bob = served.signed_in("bob", Role::Operator, &ALL).await;
    let mut eve = served.signed_in("eve", Role::Operator, &elsewhere).await;
    let mut root = served.signed_in("root", Role::Admin, &ALL).await;
    let mut guest = served.signed_in("guest", Role::Viewer, &ALL).await;

    assert!(ann.get(&address).await.shows("Nobody has written anything"));
    let text = "ask <b>sawing</b>,\r\nit is blade 7";
    let note = [("fingerprint", &*fingerprint), ("text", text)];
    assert_eq!(ann.post(NOTES, &note).await.header("location"), address);
    for visitor in [&mut ann, &mut guest] {
        let page = visitor.get(&address).await;
        assert!(page.shows("ask &#60;b&#62;sawing&#60;/b&#62;,\nit is blade 7"), "{page:?}");
    }
    assert!(!guest.get(&address).await.shows("<textarea"));
    let groups = guest.get("/events/dead-letters").await;
    assert!(groups.shows("1 note:") && groups.shows("it is blade 7"), "{groups:?}");
    assert!(groups.shows("3 in the last 24 hours, at most 3 in an hour"), "{groups:?}");
    let shown = served.store.letters(&Filter::default(), None, 1).await.expect("it answers");
    let letter = guest.get(&format!("/events/dead-letters/{}", shown.letters[0].letter.id)).await;
    assert!(letter.shows("it is blade 7"), "{letter:?}");

    // Out of scope there is neither the failure nor a note about it.
    let [id] = &served.store.notes(&[&fingerprint]).await.expect("it answers")[&fingerprint][..]
    else {
        panic!()
    };
    let remove = format!("{NOTES}/{}/remove", id.id);
    assert_eq!(eve.get(&address).await.status, 404);
    assert_eq!(eve.post(NOTES, &note).await.status, 404);
    assert_eq!(eve.post(&remove, &[]).await.status, 404);
    assert_eq!(guest.post(NOTES, &note).await.status, 403);
    assert_eq!(guest.post(&remove, &[]).await.status, 403);
    assert_eq!(bob.post(&remove, &[]).await.status, 403);

    // It says something, within bounds.
    let long = "ü".repeat(Note::MAX_CHARACTERS + 1);
    for text in [" \r\n", &long] {
        let refused = bob.post(NOTES, &[("fingerprint", &fingerprint), ("text", text)]).await;
        assert_eq!(refused.status, 422, "{refused:?}");
    }
    let unknown = bob.post(NOTES, &[("fingerprint", "none"), ("text", "x")]).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    bob.get(&address).await;
    let fits = &long[.."ü".len() * Note::MAX_CHARACTERS];
    let written = bob.post(NOTES, &[("fingerprint", &fingerprint), ("text", fits)]).await;
    assert_eq!(written.status, 303, "{written:?}");

    // Who wrote it removes it, and so does an administrator.
    for visitor in [&mut bob, &mut root] {
        let page = visitor.get(&address).await;
        let id = page.between(&format!("{NOTES}/"), "/remove").to_owned();
        let removed = visitor.post(&format!("{NOTES}/{id}/remove"), &[]).await;
        assert_eq!(removed.status, 303, "{removed:?}");
        assert_eq!(visitor.post(&format!("{NOTES}/{id}/remove"), &[]).await.status, 404);
    }
    assert!(ann.get(&address).await.shows("Nobody has written anything"));
    let deeds = everything_in(&[workshop.catalogue.audit_topic()]).await;
    // The process tells of its chain there, too.
    let deeds = deeds.iter().filter_map(|record| {
        serde_json::from_slice::<Deed>(record.value.as_deref().unwrap_or_default()).ok()
    });
    let deeds = deeds.map(|deed| {
        assert_eq!(deed.failure.as_ref(), Some(&fingerprint));
        (deed.action, deed.by)
    });
    let of = |action, by: &str| (action, by.to_owned());
    let wanted = [
        of(Action::Note, "ann"),
        of(Action::Note, "bob"),
        of(Action::RemoveNote, "bob"),
        of(Action::RemoveNote, "root"),
    ];
    assert_eq!(deeds.collect::<Vec<_>>(), wanted);
    served.stop().await;
}

async fn a_failures_trend_counts_what_is_in_scope_whatever_became_of_it(databases: &Databases) {
    let workshop = Workshop::open(1, "").await;
    let served = Served::start(&workshop, databases).await;
    let before = Timestamp::now();
    workshop.bury(5, Flaw(0)).await;
    let fingerprint = failure(&served, 5).await;
    let trend = async |scope: &Scope, now| {
        let trends = served.store.trends(scope, &[&fingerprint, "none"], now).await;
        let trends = trends.expect("the store answers");
        assert!(trends.keys().all(|failure| *failure == fingerprint), "{trends:?}");
        trends.get(&fingerprint).map(|hours| hours.iter().sum::<u64>())
    };
    let [acme, cogs] =
        [["acme"], ["cogs"]].map(|tenant| Scope::of(&[], &tenant.map(str::to_owned)));
    let packing = Scope::of(&["packing".to_owned()], &[]);
    let (now, hour) = (Timestamp::now(), SignedDuration::from_hours(1));
    assert_eq!(trend(&ALL, now).await, Some(5));
    assert_eq!(trend(&acme, now).await, Some(2));
    assert_eq!(trend(&cogs, now).await, Some(1));
    assert_eq!(trend(&packing, now).await, None);
    assert_eq!(trend(&ALL, now + hour * 22).await, Some(5));
    assert_eq!(trend(&ALL, now + hour * 25).await, None);
    assert_eq!(trend(&ALL, before - hour).await, None);

    // What became of it since does not change when it died.
    let mut ann = served.signed_in("ann", Role::Operator, &ALL).await;
    ann.get("/events/dead-letters/discard").await;
    ann.post("/events/dead-letters/discard", &[("query", "tenant=acme"), ("reason", "x")]).await;
    let open = Filter { states: vec!["open".to_owned()], ..Filter::default() };
    let count = async || served.store.count(&open).await.expect("it answers");
    eventually(SOON, async || equal(count().await, Some(3))).await;
    assert_eq!(trend(&ALL, now).await, Some(5));

    // The index is read again.
    served.store.forget_index().await.expect("the store answers");
    assert_eq!(trend(&ALL, now).await, None);
    served.stop().await;
}
