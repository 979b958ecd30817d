//! Dead letters are found, understood, replayed, edited, discarded and exported, page by page.

use event_bus::store::ops::Role;
use event_bus_tests::databases::Databases;
use event_bus_tests::kafka::everything_in;

use super::served::{ALL, PASSWORD, Served};
use super::visitor::{Answer, Visitor};
use crate::workshop::{Flaw, Workshop};

const LIST: &str = "/events/dead-letters/list";

/// Sends the form of a plan as it is, with these fields besides.
async fn replays(visitor: &mut Visitor, plan: &Answer, fields: &[(&str, &str)]) -> Answer {
    let hidden =
        ["query", "id", "planned", "canary", "max-dead"].map(|name| (name, plan.field(name)));
    let hidden = hidden.iter().map(|(name, value)| (*name, value.as_str()));
    let all: Vec<(&str, &str)> = fields.iter().copied().chain(hidden).collect();
    visitor.post("/events/dead-letters/replay", &all).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_found_its_cause_mended_and_its_replay_watched_until_it_is_resolved() {
    const LETTERS: usize = 15;
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(2, "").await);
    let services = workshop.start(&databases).await;
    let served = Served::start(&workshop, &databases).await;
    let mut ann = served.signed_in("ann", Role::Operator, &ALL).await;
    assert!(ann.get("/events/dead-letters").await.shows("No dead letters."));
    let flaw = Flaw(1);
    workshop.publish(LETTERS, Some(flaw)).await;
    let groups = format!("<strong>{LETTERS}</strong> open of {LETTERS}");
    let groups = ann.once_it_shows("/events/dead-letters", &groups).await;
    assert!(groups.shows("is cracked") && groups.shows("new"), "{groups:?}");

    // From the failure to its list, and to one of them.
    let query = groups.between("/events/dead-letters/list?", "\"").replace("&amp;", "&");
    let list = ann.get(&format!("{LIST}?{query}")).await;
    assert_eq!(list.body.matches("name=\"id\"").count(), LETTERS);
    let first = ann.get(&format!("{LIST}?{query}&limit=10")).await;
    let next =
        first.between("rel=\"next\" href=\"", "\"").replace("&#38;", "&").replace("&amp;", "&");
    let second = ann.get(&next).await;
    assert_eq!(second.body.matches("name=\"id\"").count(), LETTERS - 10, "{second:?}");
    let letter = list.field("id");
    let page = ann.get(&format!("/events/dead-letters/{letter}")).await;
    for text in ["PieceCut", "&#34;number&#34;:", "dlq.id", "of drilling", "rejected"] {
        assert!(page.shows(text), "{text}: {page:?}");
    }
    let history = format!("/events/dead-letters/{letter}/history");
    let history = ann.once_it_shows(&history, "has settled it").await;
    assert!(history.shows("cutting published it"), "{history:?}");

    // More than one: a reason is needed, and the password where that is long ago.
    let plan = ann.get(&format!("/events/dead-letters/replay?{query}")).await;
    assert!(plan.shows("15 dead letters") && plan.shows("would go back"), "{plan:?}");
    let refused = replays(&mut ann, &plan, &[("reason", " ")]).await;
    assert!(refused.status == 422 && refused.shows("Say why"), "{refused:?}");
    workshop.mend(flaw);
    let asked = replays(&mut ann, &plan, &[("reason", "drill 2 is out")]).await;
    assert_eq!(asked.status, 303, "{asked:?}");
    let replay = asked.header("location").to_owned();
    let twice = replays(&mut ann, &plan, &[("reason", "drill 2 is out")]).await;
    assert_eq!(twice.header("location"), replay, "a form that is sent twice asks once");
    let progress = ann.once_it_shows(&format!("{replay}/progress"), "finished").await;
    assert!(progress.shows("<strong>15</strong> took effect"), "{progress:?}");
    assert!(!progress.shows("hx-get"), "it goes on asking: {progress:?}");
    ann.once_it_shows("/events/dead-letters", "<strong>0</strong> open of 15").await;
    let replays = ann.get("/events/replays").await;
    assert!(replays.shows("drill 2 is out") && replays.shows("ann"), "{replays:?}");
    served.stop().await;
    services.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_replay_asks_for_the_password_that_was_given_long_ago() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    workshop.bury(3, Flaw(0)).await;
    let ann = served.user("ann", Role::Operator, &ALL).await;
    let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(6);
    let session = served.store.open_session(&ann, long_ago).await.expect("the store answers");
    let mut ann = served.visitor();
    ann.cookies.insert(event_bus_ops::panel::COOKIE.to_owned(), session.clone());
    ann.once_it_shows("/events/dead-letters", "<strong>3</strong> open of 3").await;
    ann.get("/account").await;

    let one = ann.once_it_shows(LIST, "name=\"id\"").await.field("id");
    let plan = ann.get(&format!("/events/dead-letters/replay?id={one}")).await;
    assert!(plan.shows("1 dead letter<") && !plan.shows("name=\"password\""), "{plan:?}");
    let plan = ann.get("/events/dead-letters/replay?state=open").await;
    assert!(plan.shows("3 dead letters") && plan.shows("name=\"password\""), "{plan:?}");
    // Of the list's form no box was ticked.
    assert!(ann.get(LIST).await.shows("name=\"chosen\""));
    for (verb, none) in [("replay", "There is nothing to send"), ("discard", "0 dead letters")] {
        let answer = ann.get(&format!("/events/dead-letters/{verb}?chosen=")).await;
        assert!(answer.shows(none), "{answer:?}");
    }
    for password in ["", "not the password, no"] {
        let refused =
            replays(&mut ann, &plan, &[("reason", "a try"), ("password", password)]).await;
        assert_eq!(refused.status, 422, "{refused:?}");
    }
    assert!(served.store.replays(&ALL, 1).await.expect("the store answers").is_empty());
    let asked = replays(&mut ann, &plan, &[("reason", "a try"), ("password", PASSWORD)]).await;
    assert_eq!(asked.status, 303, "{asked:?}");
    // The session goes on under another id.
    assert_ne!(ann.cookies[event_bus_ops::panel::COOKIE], session);
    let now = jiff::Timestamp::now();
    assert_eq!(served.store.session(&session, now).await.expect("the store answers"), None);
    // Nobody handles it: it waits until it is cancelled, and what was not sent is open again.
    let replay = asked.header("location").to_owned();
    ann.get(&replay).await;
    assert_eq!(ann.post(&format!("{replay}/cancel"), &[]).await.status, 303);
    let cancelled = ann.once_it_shows(&replay, "cancelled").await;
    assert!(cancelled.shows("Cancelled by"), "{cancelled:?}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_discarded_with_a_reason_restored_and_edited_after_a_check() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    workshop.bury(2, Flaw(0)).await;
    let mut ann = served.signed_in("ann", Role::Operator, &ALL).await;
    ann.once_it_shows("/events/dead-letters", "<strong>2</strong> open of 2").await;
    let id = ann.get(LIST).await.field("id");
    let path = format!("/events/dead-letters/{id}");

    let form = ann.get(&format!("/events/dead-letters/discard?id={id}")).await;
    assert!(form.shows("1 dead letter<"), "{form:?}");
    let query = form.field("query");
    let refused =
        ann.post("/events/dead-letters/discard", &[("query", &query), ("reason", " ")]).await;
    assert!(refused.status == 422 && refused.shows("a reason is needed"), "{refused:?}");
    let fields = [("query", &*query), ("reason", "a test piece")];
    let done = ann.post("/events/dead-letters/discard", &fields).await;
    assert!(done.shows("1 dead letter discarded"), "{done:?}");
    let page = ann.once_it_shows(&path, "state discarded").await;
    assert!(page.shows("Restore…") && !page.shows("Replay…"), "{page:?}");
    let history = ann.get(&format!("{path}/history")).await;
    assert!(history.shows("ann discarded it: a test piece"), "{history:?}");
    let done = ann.post("/events/dead-letters/restore", &[("query", &query)]).await;
    assert!(done.shows("1 dead letter restored"), "{done:?}");
    ann.once_it_shows(&path, "state open").await;

    let form = ann.get(&format!("{path}/edit")).await;
    let text = form.between("required>\n", "</textarea>").replace("&#34;", "\"");
    let bent = text.replace("\"plank\"", "\"board\"");
    let another = text.replace("\"tenant_id\": \"", "\"tenant_id\": \"another-");
    let check = |value: String| [("value", value), ("reason", "a typo".to_owned())];
    let check = async |ann: &mut Visitor, value: &str| {
        let fields = check(value.to_owned());
        let fields = fields.iter().map(|(name, value)| (*name, value.as_str()));
        ann.post(&format!("{path}/edit/check"), &fields.collect::<Vec<_>>()).await
    };
    for (value, problem) in [
        (&*text, "nothing was changed"),
        ("{", "would be dead at once"),
        (&text.replace("\"number\": ", "\"number\": \"x\", \"n\": "), "would be dead at once"),
        (&another, "tenant_id was"),
    ] {
        let refused = check(&mut ann, value).await;
        assert!(refused.status == 422 && refused.shows(problem), "{problem}: {refused:?}");
    }
    // As a browser ends its lines.
    let checked = check(&mut ann, &bent.replace('\n', "\r\n")).await;
    assert!(checked.shows("<del>-     &#34;piece&#34;: &#34;plank&#34;,</del>"), "{checked:?}");
    assert!(checked.shows("<ins>+     &#34;piece&#34;: &#34;board&#34;,</ins>"), "{checked:?}");
    let fields = [("value", &*bent), ("reason", "a typo")];
    let sent = ann.post(&format!("{path}/edit"), &fields).await;
    assert!(sent.shows("went back to"), "{sent:?}");
    let records = everything_in(&[workshop.topic()]).await;
    let [record] = &records[..] else { panic!("{records:?}") };
    let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
    assert!(value.contains("\"piece\":\"board\"") && !value.contains('\n'), "{value}");
    served.stop().await;
}
