//! Who they are, proved once more at the provider before many dead letters are replayed or a group is reset.

use event_bus_ops::panel::COOKIE;
use event_bus_tests::databases::Databases;
use event_bus_tests::openid::Fault;
use jiff::Timestamp;

use super::door::{Door, back_from, claims};
use crate::panel::visitor::{Answer, Visitor};
use crate::workshop::Flaw;

const PLAN: &str = "/events/dead-letters/replay?state=open";
const HOUR: i64 = 60 * 60;

/// Ann, an operator who gave her password an hour ago, before a replay of three.
async fn ann_before_a_replay(databases: &Databases) -> (Door, Visitor, Answer) {
    let door = Door::open(databases).await;
    door.workshop.bury(3, Flaw(0)).await;
    let long_ago = Timestamp::now().as_second() - HOUR;
    door.identities.has_signed_in(claims("00u1", "ann", &["platform-ops"]), long_ago);
    let mut ann = door.signed_in().await;
    door.shows(&mut ann, PLAN, "3 dead letters").await;
    let plan = ann.get(PLAN).await;
    (door, ann, plan)
}

async fn replays(visitor: &mut Visitor, plan: &Answer) -> Answer {
    let names = ["query", "id", "planned", "canary", "max-dead"];
    let fields = names.map(|name| (name, plan.field(name)));
    let fields = fields.iter().map(|(name, value)| (*name, value.as_str()));
    let fields: Vec<(&str, &str)> = fields.chain([("reason", "a try"), ("password", "")]).collect();
    visitor.post("/events/dead-letters/replay", &fields).await
}

fn link(plan: &Answer) -> String {
    plan.between("class=\"button\" href=\"/sign-in/oidc", "\"").replace("&#38;", "&")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_replay_takes_the_password_once_more_at_the_provider_and_goes_on_where_it_was() {
    let databases = Databases::sqlite();
    let (door, mut ann, plan) = ann_before_a_replay(&databases).await;
    assert!(!plan.shows("type=\"password\""), "{plan:?}");
    let refused = replays(&mut ann, &plan).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.shows("Prove at your provider first who you are"), "{refused:?}");

    let before = ann.cookies[COOKIE].clone();
    let begun = ann.get(&format!("/sign-in/oidc{}", link(&plan))).await;
    let came = back_from(&door, &begun, &mut ann).await;
    assert_eq!((came.status, came.header("location")), (303, PLAN), "{came:?}");
    let asked = door.identities.authorized().pop().expect("it was asked");
    assert_eq!((&*asked["prompt"], &*asked["max_age"]), ("login", "0"));
    assert_ne!(ann.cookies[COOKIE], before);
    let mut kept = ann.clone();
    kept.cookies.insert(COOKIE.to_owned(), before);
    assert_eq!(kept.get("/account").await.status, 303, "the session before goes on");

    let plan = ann.get(PLAN).await;
    assert!(!plan.shows("Prove who you are"), "{plan:?}");
    let asked = replays(&mut ann, &plan).await;
    assert_eq!(asked.status, 303, "{asked:?}");
    assert!(asked.header("location").starts_with("/events/replays/"), "{asked:?}");
    let group = door.workshop.group("packing");
    let reset = ann.get(&format!("/events/groups/{group}/reset?to=earliest")).await;
    assert!(!reset.shows("Prove who you are") && !reset.shows("password"), "{reset:?}");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_takes_it_too() {
    let databases = Databases::sqlite();
    let (door, mut ann, _) = ann_before_a_replay(&databases).await;
    door.workshop.publish_junk(2).await;
    let group = door.workshop.group("packing");
    let path = format!("/events/groups/{group}/reset?to=latest&value=&partitions=");
    let page = ann.get(&path).await;
    assert!(!page.shows("Reset it") && !page.shows("type=\"password\""), "{page:?}");
    let shown = page.field("shown");
    let fields = [("to", "latest"), ("partitions", ""), ("shown", &shown), ("reason", "a try")];
    let form = format!("/events/groups/{group}/reset");
    let refused = ann.post(&form, &fields).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.shows("Prove at your provider first who you are"), "{refused:?}");
    let begun = ann.get(&format!("/sign-in/oidc{}", link(&page))).await;
    let came = back_from(&door, &begun, &mut ann).await;
    assert_eq!((came.status, came.header("location")), (303, &*path), "{came:?}");
    assert!(ann.get(&path).await.shows("Reset it"));
    let done = ann.post(&form, &fields).await;
    assert!(done.status == 200 && done.shows("goes on from elsewhere"), "{done:?}");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_does_not_ask_for_the_password_proves_nothing() {
    let databases = Databases::sqlite();
    let (door, mut ann, plan) = ann_before_a_replay(&databases).await;
    for (fault, told) in
        [(Fault::NeverAsks, "seconds ago"), (Fault::NoAuthTime, "it does not tell when")]
    {
        door.identities.set(Some(fault));
        let begun = ann.get(&format!("/sign-in/oidc{}", link(&plan))).await;
        let refused = back_from(&door, &begun, &mut ann).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        assert!(refused.shows("did not ask for your password just now"), "{refused:?}");
        assert!(refused.shows(told), "{refused:?}");
    }
    // To be signed in is no proof either, also where the provider doesn't tell since when.
    assert_eq!(door.comes(&mut ann).await.status, 303);
    let plan = ann.get(PLAN).await;
    assert!(plan.shows("Prove who you are"), "{plan:?}");
    assert_eq!(replays(&mut ann, &plan).await.status, 422);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_ones_password_proves_nothing() {
    let databases = Databases::sqlite();
    let (door, mut ann, plan) = ann_before_a_replay(&databases).await;
    door.identities.signs_in(claims("00u2", "bob", &["platform-ops"]));
    let begun = ann.get(&format!("/sign-in/oidc{}", link(&plan))).await;
    let refused = back_from(&door, &begun, &mut ann).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.shows("oidc:bob~") && refused.shows("sign out first"), "{refused:?}");
    let account = ann.get("/account").await;
    assert!(account.shows("oidc:ann~"), "{account:?}");
    door.close().await;
}
