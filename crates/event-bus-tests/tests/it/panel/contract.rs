//! Topics and the catalogue: what there is, how much of it, and whether it is as it is written down.

use std::time::Duration;

use event_bus::dead_letters::Scope;
use event_bus::kafka::admin::Admin;
use event_bus::store::ops::Role;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::eventually;
use serde_json::{Value, json};

use super::served::{ALL, Served};
use super::visitor::Visitor;
use crate::workshop::{CONSUMERS, Workshop};

const SOON: Duration = Duration::from_secs(90);

/// Asks the API until what it tells is as wanted.
async fn tells(
    visitor: &mut Visitor,
    token: &str,
    path: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    eventually(SOON, async || {
        let answer = visitor.clone().api(token, path, None).await;
        let told = serde_json::from_str(&answer.body).map_err(|_| answer.body.clone())?;
        if wanted(&told) { Ok(told) } else { Err(answer.body) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_counted_and_compared_with_the_catalogue() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(2, "").await);
    let served = Served::start(&workshop, &databases).await;
    let mut ann = served.signed_in("ann", Role::Viewer, &ALL).await;
    let token = served.token("ann", Role::Viewer, &ALL).await;
    let before = jiff::Timestamp::now();
    workshop.publish_junk(7).await;
    let told = tells(&mut ann, &token, "/topics", |told| {
        let row = &told["topics"][0];
        row["ever"] == 7 && !row["newest"].is_null()
    })
    .await;
    let row = &told["topics"][0];
    assert_eq!((&row["topic"], &row["kept"]), (&json!(workshop.topic()), &json!(7)), "{told}");
    assert_eq!((&row["partitions"], &row["differences"]), (&json!(2), &json!([])), "{told}");
    assert_eq!(row["groups"].as_array().map(Vec::len), Some(CONSUMERS.len()), "{told}");
    let time = |name: &str| -> jiff::Timestamp {
        row[name].as_str().and_then(|time| time.parse().ok()).unwrap_or_else(|| panic!("{told}"))
    };
    let (oldest, newest) = (time("oldest"), time("newest"));
    assert!(oldest <= newest && (newest - before).get_seconds().abs() < 600, "{told}");
    let letters = &told["topics"][1];
    assert_eq!(letters["dead_letters_of"], json!(workshop.topic()), "{told}");
    assert_eq!((&letters["ever"], &letters["oldest"]), (&json!(0), &Value::Null), "{told}");

    let page = ann.get("/events/topics").await;
    assert!(
        page.shows(workshop.topic().as_str()) && page.shows("as the catalogue says"),
        "{page:?}"
    );
    assert!(page.shows(&format!("/events/groups/{}", workshop.group("packing"))), "{page:?}");

    let admin = Admin::connect(&workshop.kafka).expect("one can be made");
    let extended = admin.extend_topics(&[(workshop.topic(), 3)]).await.expect("Kafka answers");
    assert!(extended.iter().all(|(_, done)| done.is_ok()), "{extended:?}");
    let told =
        tells(&mut ann, &token, "/topics", |told| told["topics"][0]["partitions"] == 3).await;
    let differences = told["topics"][0]["differences"].to_string();
    assert!(differences.contains("has 3 partitions instead of 2"), "{told}");
    let page = ann.get("/events/topics").await;
    assert!(page.shows("has 3 partitions instead of 2") && page.shows("topics plan"), "{page:?}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_is_everybodys_and_how_a_group_is_that_of_its_service() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(1, "").await);
    let served = Served::start(&workshop, &databases).await;
    workshop.publish_junk(5).await;
    let scope = Scope::of(&["packing".to_owned()], &[]);
    let mut ann = served.signed_in("ann", Role::Viewer, &scope).await;
    let token = served.token("ann", Role::Viewer, &scope).await;
    let of = |told: &Value, service: &str| -> Value {
        let consumers = told["consumers"].as_array().expect("it has consumers");
        let found = consumers.iter().find(|consumer| consumer["service"] == service);
        found.unwrap_or_else(|| panic!("{told}")).clone()
    };
    let path = "/catalogue/PieceCut";
    let told = tells(&mut ann, &token, path, |told| of(told, "packing")["lag"] == 5).await;
    let other = of(&told, "sawing");
    assert_eq!((&other["in_scope"], other.get("lag")), (&json!(false), None), "{told}");
    assert_eq!(told["contracts"][0]["schema"]["required"][0], "piece", "{told}");
    let all = tells(&mut ann, &token, "/catalogue", Value::is_array).await;
    assert_eq!((&all[0]["event"], &all[0]["versions"]), (&json!("PieceCut"), &json!(["1.0"])));

    let page = ann.get("/events/catalogue").await;
    let (own, other) = (workshop.group("packing"), workshop.group("sawing"));
    assert!(page.shows("<svg") && !page.shows("style="), "{page:?}");
    assert!(page.shows(&format!("/events/groups/{own}")), "{page:?}");
    assert!(!page.shows(&format!("/events/groups/{other}")), "{page:?}");
    let page = ann.get("/events/catalogue/PieceCut").await;
    for text in ["A piece was cut.", "cutting", "sawing", "plank", "&#34;required&#34;: ["] {
        assert!(page.shows(text), "{text}: {page:?}");
    }
    assert_eq!(ann.get("/events/catalogue/Nothing").await.status, 404);
    let topics = ann.get("/events/topics").await;
    assert!(topics.shows(own.as_str()) && !topics.shows(other.as_str()), "{topics:?}");
    served.stop().await;
}
