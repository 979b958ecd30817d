//! Consumer groups: how far behind, who is in them, and a reset that is what was shown or is not done.

use std::time::Duration;

use event_bus::audit::{Action, Deed};
use event_bus::dead_letters::Scope;
use event_bus::names::GroupName;
use event_bus::store::ops::Role;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{committed, everything_in};
use serde_json::{Value, json};

use super::served::{ALL, PASSWORD, Served};
use super::visitor::{Answer, Visitor};
use crate::workshop::Workshop;

const SOON: Duration = Duration::from_secs(90);

fn page_of(group: &GroupName) -> String {
    format!("/events/groups/{group}")
}

/// Asks the API about groups.
async fn api(visitor: &mut Visitor, token: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let answer = visitor.api(token, &format!("/groups{path}"), body).await;
    (answer.status, answer.json())
}

/// Sends the form of a preview as it is, with these fields besides.
async fn resets(visitor: &mut Visitor, plan: &Answer, fields: &[(&str, &str)]) -> Answer {
    let action = plan.between("method=\"post\" action=\"/events/groups", "\"").to_owned();
    let hidden = ["to", "shown"].map(|name| (name, plan.field(name)));
    let hidden = hidden.iter().map(|(name, value)| (*name, value.as_str()));
    let all: Vec<(&str, &str)> = fields.iter().copied().chain(hidden).collect();
    visitor.post(&format!("/events/groups{action}"), &all).await
}

/// The last one on the topic of audit, where the process tells of its chain too.
async fn last_deed(workshop: &Workshop) -> Option<Deed> {
    let records = everything_in(&[workshop.catalogue.audit_topic()]).await;
    let mut values = records.iter().rev().filter_map(|record| record.value.as_deref());
    values.find_map(|value| serde_json::from_slice(value).ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_shows_its_lag_by_partition_and_over_time_and_who_is_in_it() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(2, "").await);
    let served = Served::start(&workshop, &databases).await;
    let mut ann = served.signed_in("ann", Role::Viewer, &ALL).await;
    let group = workshop.group("packing");
    let page = ann.once_it_shows(&page_of(&group), "0 behind now").await;
    assert!(page.shows("Nobody is in it") && page.shows("absent"), "{page:?}");
    assert!(!page.shows("Reset offsets"), "{page:?}");

    workshop.publish_junk(1_001).await;
    let page = ann.once_it_shows(&page_of(&group), "warning: above 1\u{202f}000").await;
    assert!(page.shows("class=\"warning\"") && page.shows("<polyline"), "{page:?}");
    assert!(!page.shows("class=\"critical\"") && !page.shows("style="), "{page:?}");
    let part = ann.get(&format!("{}/lag?turn=7", page_of(&group))).await;
    assert!(part.shows("turn=8") && part.shows("which is warning above"), "{part:?}");
    let last = ann.get(&format!("{}/lag?turn=360", page_of(&group))).await;
    assert!(!last.shows("hx-get") && last.shows("look again"), "{last:?}");
    let list = ann.get("/events/groups").await;
    assert_eq!(list.body.matches("class=\"level warning\"").count(), 4, "{list:?}");

    let token = served.token("ann", Role::Viewer, &ALL).await;
    let (_, groups) = api(&mut ann, &token, "", None).await;
    assert_eq!(groups.as_array().map(Vec::len), Some(4), "{groups}");
    let (_, told) = api(&mut ann, &token, &format!("/{group}"), None).await;
    assert_eq!((&told["lag"], &told["level"]), (&json!(1_001), &json!("warning")), "{told}");
    let sum = |name: &str| -> i64 {
        let partitions = told["partitions"].as_array().expect("there are two");
        partitions.iter().map(|partition| partition[name].as_i64().unwrap_or(0)).sum()
    };
    assert_eq!((sum("log_start"), sum("log_end"), sum("lag")), (0, 1_001, 1_001), "{told}");
    let over_time = told["lag_over_time"].as_array().expect("it was seen");
    assert_eq!(over_time.last().map(|last| &last["lag"]), Some(&json!(1_001)), "{told}");

    let services = workshop.start(&databases).await;
    let page = ann.once_it_shows(&page_of(&group), "Stable").await;
    let page =
        if page.shows("0–1") { page } else { ann.once_it_shows(&page_of(&group), "0–1").await };
    assert!(page.shows("Who is in it"), "{page:?}");
    ann.once_it_shows(&page_of(&group), "0 behind now; at most 1\u{202f}001").await;
    services.stop().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_shown_its_own_groups_and_whoever_acts_for_a_tenant_resets_none() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    workshop.publish_junk(5).await;
    let (own, other) = (workshop.group("packing"), workshop.group("sawing"));
    let scope = Scope::of(&["packing".to_owned()], &[]);
    let mut ann = served.signed_in("ann", Role::Operator, &scope).await;
    let list = ann.get("/events/groups").await;
    assert!(list.shows(own.as_str()) && !list.shows("sawing"), "{list:?}");
    for part in ["", "/lag", "/reset"] {
        let (own, other) = (page_of(&own), page_of(&other));
        assert_eq!(ann.get(&format!("{own}{part}")).await.status, 200, "{part}");
        assert_eq!(ann.get(&format!("{other}{part}")).await.status, 404, "{part}");
    }
    let fields = [("to", "earliest"), ("shown", "0::0"), ("reason", "mine now")];
    assert_eq!(ann.post(&format!("{}/reset", page_of(&other)), &fields).await.status, 404);
    let token = served.token("ann", Role::Operator, &scope).await;
    let (_, groups) = api(&mut ann, &token, "", None).await;
    assert_eq!(groups.as_array().map(Vec::len), Some(1), "{groups}");
    for path in ["", "/reset?to=earliest"] {
        let (status, told) = api(&mut ann, &token, &format!("/{other}{path}"), None).await;
        assert_eq!(status, 404, "{told}");
    }

    let scope = Scope::of(&[], &["acme".to_owned()]);
    let mut bob = served.signed_in("bob", Role::Operator, &scope).await;
    let list = bob.get("/events/groups").await;
    assert!(list.shows(own.as_str()) && list.shows(other.as_str()), "{list:?}");
    assert!(!bob.get(&page_of(&own)).await.shows("Reset offsets"));
    let refused = bob.get(&format!("{}/reset", page_of(&own))).await;
    assert!(refused.status == 403 && refused.shows("the events of all"), "{refused:?}");
    let refused = bob.post(&format!("{}/reset", page_of(&own)), &fields).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(last_deed(&workshop).await, None);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_is_what_its_preview_showed_or_is_not_done() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(2, "").await);
    let served = Served::start(&workshop, &databases).await;
    let mut ann = served.signed_in("ann", Role::Operator, &ALL).await;
    workshop.publish_junk(40).await;
    let group = workshop.group("packing");
    let form = format!("{}/reset", page_of(&group));

    let empty = ann.get(&form).await;
    assert!(empty.status == 200 && !empty.shows("method=\"post\" action=\"/events/groups"));
    for (query, why) in [
        ("to=time&value=soon", "Say a time"),
        ("to=offset&value=-1", "Say an offset"),
        ("to=earliest&partitions=7", "no partition 7"),
        ("to=shift&value=-1", "nothing to reset"),
    ] {
        let refused = ann.get(&format!("{form}?{query}")).await;
        assert!(refused.shows(why) && !refused.shows("Reset it"), "{refused:?}");
    }
    let plan = ann.get(&format!("{form}?to=latest")).await;
    assert!(plan.shows("<strong>40</strong> would be passed over"), "{plan:?}");
    // What comes between is not passed over: what was shown is done.
    workshop.publish_junk(10).await;
    let refused = resets(&mut ann, &plan, &[("reason", " ")]).await;
    assert!(refused.status == 422 && refused.shows("Say why"), "{refused:?}");
    let done = resets(&mut ann, &plan, &[("reason", "poison")]).await;
    assert!(done.status == 200 && done.shows("goes on from elsewhere"), "{done:?}");
    assert_eq!(committed(&group).await.values().sum::<i64>(), 40);
    let deed = last_deed(&workshop).await.expect("it is audited");
    assert_eq!((deed.action, &*deed.by), (Action::Reset, "ann"));
    assert_eq!((deed.reason.as_deref(), deed.moves.len()), (Some("poison"), 2));
    let shown: Vec<String> =
        deed.moves.iter().map(|step| format!("{}::{}", step.partition, step.to)).collect();
    assert_eq!(shown.join(" "), plan.field("shown"));

    // Somebody else was there between the preview and the deed.
    let plan = ann.get(&format!("{form}?to=shift&value=-5&partitions=1")).await;
    assert!(plan.shows("<strong>5</strong> events would come again"), "{plan:?}");
    workshop.json(&["groups", "reset", group.as_str(), "--to", "3", "--partition", "1"]).await;
    let before = committed(&group).await;
    let fields = [("reason", "again"), ("partitions", "1")];
    let refused = resets(&mut ann, &plan, &fields).await;
    assert!(refused.status == 422 && refused.shows("not as it was shown"), "{refused:?}");
    assert_eq!(committed(&group).await, before);
    // And the page shows what would be done now.
    let done = resets(&mut ann, &refused, &fields).await;
    assert!(done.status == 200, "{done:?}");
    assert_eq!(committed(&group).await[&1], 0);

    let token = served.token("api", Role::Operator, &ALL).await;
    let path = format!("/{group}/reset");
    let (_, plan) = api(&mut ann, &token, &format!("{path}?to=7&partition=1"), None).await;
    assert_eq!((&plan["again"], &plan["skipped"]), (&json!(0), &json!(7)), "{plan}");
    let ask =
        |shown: &Value| json!({ "to": "7", "partitions": [1], "shown": shown, "reason": "on" });
    for shown in [
        json!([]),
        json!([{ "group": group, "topic": workshop.topic(), "partition": 1, "from": 1, "to": 7 }]),
    ] {
        let (status, told) = api(&mut ann, &token, &path, Some(&ask(&shown))).await;
        assert_eq!(status, 409, "{told}");
    }
    let (status, told) = api(&mut ann, &token, &path, Some(&ask(&plan["moves"]))).await;
    assert_eq!((status, &told["moves"][0]["to"]), (200, &json!(7)), "{told}");
    assert_eq!(committed(&group).await[&1], 7);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_with_members_is_reset_only_while_its_service_leaves_it() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    let mut ann = served.signed_in("ann", Role::Operator, &ALL).await;
    workshop.publish(20, None).await;
    let services = workshop.start(&databases).await;
    workshop.is_through().await;
    let group = workshop.group("packing");
    let calls = workshop.calls();
    let plan = ann.get(&format!("{}/reset?to=earliest", page_of(&group))).await;
    assert!(plan.shows("20</strong> events would come again"), "{plan:?}");
    assert!(plan.shows("name=\"coordinate\""), "{plan:?}");
    let fields = [("reason", "a test"), ("password", PASSWORD)];
    let refused = resets(&mut ann, &plan, &fields).await;
    assert!(refused.status == 422 && refused.shows("stop its service"), "{refused:?}");
    assert_eq!(last_deed(&workshop).await, None);
    let fields = [("reason", "a test"), ("coordinate", "yes")];
    let done = resets(&mut ann, &plan, &fields).await;
    assert!(done.status == 200 && done.shows("goes on from elsewhere"), "{done:?}");
    let deed = last_deed(&workshop).await.expect("it is audited");
    assert_eq!((deed.moves[0].from, deed.moves[0].to), (Some(20), 0));
    workshop.is_through().await;
    eventually(SOON, async || equal(committed(&group).await[&0], 20)).await;
    services.stop().await;
    assert_eq!(workshop.calls(), calls, "a handler ran again");
    served.stop().await;
}
