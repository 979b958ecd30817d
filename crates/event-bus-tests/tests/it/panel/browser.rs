//! The panel in a browser: from the first sign-in to a failure that is resolved.

use std::time::Duration;

use event_bus::dead_letters::Scope;
use event_bus::store::ops::Role;
use event_bus_tests::chromium::Chromium;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::committed;
use jiff::Timestamp;

use super::served::{PASSWORD, Served};
use crate::workshop::{CONSUMERS, Flaw, Workshop};

const SOON: Duration = Duration::from_secs(90);
const LETTERS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sets_the_panel_up_replays_a_failure_and_watches_it_resolve() {
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(2, "").await);
    let services = workshop.start(&databases).await;
    let served = Served::start(&workshop, &databases).await;
    let flaw = Flaw(1);
    workshop.publish(LETTERS, Some(flaw)).await;
    let count = async || served.store.count(&Default::default()).await.expect("it answers");
    eventually(SOON, async || equal(count().await, Some(LETTERS as u64))).await;

    let token = served.store.invite_first(Timestamp::now()).await.expect("it answers");
    let (browser, url) = (Chromium::start().await, format!("http://{}", served.address));
    browser.open(&format!("{url}/welcome?token={}", token.expect("nobody is there"))).await;
    browser.type_into("input[name=name]", "ann").await;
    for field in ["password", "again"] {
        browser.type_into(&format!("input[name={field}]"), PASSWORD).await;
    }
    browser.click("main button").await;

    // The failure, one of its dead letters, and what happened to that, which a script loads.
    browser.shows("main .sum", "12 open of 12 dead letters, in 1 failures").await;
    browser.click("tbody th a").await;
    browser.shows("h1", "Dead letters").await;
    browser.click("tbody th a").await;
    browser.shows("h1", "PieceCut").await;
    browser.shows("main .error", "is cracked").await;
    browser.shows("main pre.value", "\"flaw\": 1").await;
    browser.shows("#history", "drilling").await;
    browser.shows("#history .timeline", "cutting published it").await;

    // A box chooses all.
    browser.click(".crumbs a").await;
    browser.click("tbody th a").await;
    browser.click("input[data-all]").await;
    let chosen = "return document.querySelectorAll('input[name=id]:checked').length";
    assert_eq!(browser.run(chosen).await, LETTERS);

    workshop.mend(flaw);
    browser.open(&format!("{url}/events/dead-letters")).await;
    browser.click("tbody .acts a").await;
    browser.shows("main .sum", "12 dead letters would go back").await;
    browser.type_into("input[name=reason]", "drill 2 is out").await;
    browser.click("main form button").await;
    browser.shows("h1", "Replay").await;
    // The page asks by itself how far it is.
    browser.shows("#progress", "finished").await;
    browser.shows("#progress", "12 took effect").await;
    eventually(SOON, async || {
        let of_state = event_bus::dead_letters::Filter {
            states: vec!["resolved".to_owned()],
            ..Default::default()
        };
        equal(served.store.count(&of_state).await.expect("it answers"), Some(LETTERS as u64))
    })
    .await;
    browser.open(&format!("{url}/events/dead-letters")).await;
    browser.shows("main .sum", "0 open of 12").await;

    // Nothing that the policy forbids was tried.
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.click(".who button").await;
    browser.shows("h1", "Sign in").await;
    browser.quit().await;
    served.stop().await;
    services.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_a_lag_cross_its_threshold_and_has_the_group_go_on_behind_it() {
    const EVENTS: usize = 1_001;
    let (databases, workshop) = (Databases::sqlite(), Workshop::open(2, "").await);
    let served = Served::start(&workshop, &databases).await;
    served.user("ann", Role::Operator, &Scope::default()).await;
    let (browser, url) = (Chromium::start().await, format!("http://{}", served.address));
    browser.open(&format!("{url}/events/groups")).await;
    browser.type_into("input[name=name]", "ann").await;
    browser.type_into("input[name=password]", PASSWORD).await;
    browser.click("main button").await;
    browser.shows("h1", "Consumer groups").await;
    let group = workshop.group("packing");
    browser.click(&format!("tbody a[href$='{group}']")).await;
    browser.shows("#lag .level", "well").await;
    let lines = "return document.querySelectorAll('#lag line.warning').length";
    assert_eq!(browser.run(lines).await, 0);

    // Nobody handles them, and the page tells by itself.
    workshop.publish_junk(EVENTS).await;
    browser.shows("#lag .level", "warning: above 1 000").await;
    browser.shows("#lag figcaption", "1 001 behind now, which is warning above 1 000").await;
    assert_eq!(browser.run(lines).await, 1);

    // The map has it too, and its links are reached without a mouse.
    browser.open(&format!("{url}/events/catalogue")).await;
    let edges = "return document.querySelectorAll('.map path.warning').length";
    assert_eq!(browser.run(edges).await, CONSUMERS.len());
    let focused = "document.querySelector('.map a').focus(); return document.activeElement.getAttribute('href')";
    assert_eq!(browser.run(focused).await, "/events/catalogue/PieceCut");
    browser.click(".map a[href$='PieceCut']").await;
    browser.shows("h1", "PieceCut").await;
    browser.shows("pre.value", "\"piece\": \"plank\"").await;
    browser.click(&format!("tbody a[href$='{group}']")).await;

    browser.click(".acts a").await;
    browser.click("option[value=latest]").await;
    browser.click("form.filters button").await;
    browser.shows("main .sum", "0 events would come again, 1 001 would be passed over").await;
    browser.type_into("input[name=reason]", "they are no events").await;
    browser.click("form.narrow button").await;
    browser.shows("main .good", "goes on from elsewhere").await;
    assert_eq!(committed(&group).await.values().sum::<i64>(), 1_001);
    browser.click("main a.button").await;
    browser.shows("#lag .level", "well").await;
    browser.shows("#lag figcaption", "0 behind now; at most 1 001").await;

    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.quit().await;
    served.stop().await;
}
