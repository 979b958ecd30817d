//! Dead letters go back to the group that could not handle them, take effect once, and tell what became of them.

use std::collections::BTreeMap;
use std::time::Duration;

use event_bus::audit::{Action, Deed};
use event_bus::dead_letters::{Filter, Found, Plan, State, failures};
use event_bus::headers;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::everything_in;
use serde_json::{Value, json};

use crate::both::on_both_databases;
use crate::workshop::{CONSUMERS, Flaw, Workshop};

const SOON: Duration = Duration::from_secs(90);

on_both_databases!(
    a_replay_that_dies_again_is_another_dead_letter_with_its_lineage,
    a_parked_key_comes_back_in_its_order_and_is_free_then,
    a_replay_of_what_is_no_event_dies_again_and_no_other_group_minds,
);

fn of_state(state: &str) -> Filter {
    Filter { states: vec![state.to_owned()], ..Filter::default() }
}

/// Five causes in four groups for three tenants: one failure each. One is mended and replayed, fifty times at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_resolves_its_dead_letters_alone_and_once_however_often_it_is_asked_for() {
    const OF_EACH: usize = 200;
    let databases = Databases::sqlite();
    let workshop = Workshop::open(2, "").await;
    let services = workshop.start(&databases).await;
    for flaw in 0..5 {
        workshop.publish(OF_EACH, Some(Flaw(flaw))).await;
    }
    eventually(SOON, async || {
        equal(workshop.letters().await.matching(&of_state("open")).count(), 5 * OF_EACH)
    })
    .await;
    let letters = workshop.letters().await;
    let all = Filter::default();
    let groups = failures(letters.matching(&all));
    assert_eq!(groups.len(), 5, "{groups:#?}");
    assert!(groups.iter().all(|group| group.letters == OF_EACH as u64 && group.tenants.len() == 3));
    assert_eq!(
        letters
            .matching(&all)
            .map(|found| &found.letter.group)
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        4
    );

    let mended = Flaw(2);
    workshop.mend(mended);
    let before = workshop.calls();
    let fingerprint = groups.iter().find(|group| group.message.contains(&mended.text()));
    let fingerprint = fingerprint.expect("it is among them").fingerprint.clone();
    let filter = Filter { fingerprints: vec![fingerprint], ..Filter::default() };
    let plan = Plan::replay(&workshop.catalogue, letters.matching(&filter));
    assert_eq!(plan.letters.len(), OF_EACH);
    let replays = (0..50).map(|_| workshop.carry_out(&plan));
    for replayed in futures_util::future::join_all(replays).await {
        assert_eq!(replayed, OF_EACH as u64);
    }
    eventually(SOON, async || {
        equal(workshop.letters().await.matching(&of_state("resolved")).count(), OF_EACH)
    })
    .await;
    workshop.is_through().await;
    services.stop().await;
    let letters = workshop.letters().await;
    let resolved: Vec<&Found> = letters.matching(&filter).collect();
    assert!(resolved.iter().all(|found| matches!(found.state, State::Resolved { .. })));
    assert_eq!(letters.matching(&of_state("open")).count(), 4 * OF_EACH);
    let mut calls = before;
    *calls.get_mut(mended.service()).expect("it was called") += OF_EACH;
    assert_eq!(workshop.calls(), calls, "a handler ran for nothing");
    for service in CONSUMERS {
        let mine =
            (0..5).filter(|flaw| Flaw(*flaw).service() == service && *flaw != mended.0).count();
        let effects = databases.number(service, "SELECT count(*) FROM works").await;
        let kinds = databases.number(service, "SELECT count(DISTINCT event_id) FROM works").await;
        assert_eq!(usize::try_from(effects), Ok((5 - mine) * OF_EACH), "{service}");
        assert_eq!(kinds, effects, "{service}");
    }
    databases.drop_all().await;
}

async fn a_replay_that_dies_again_is_another_dead_letter_with_its_lineage(databases: &Databases) {
    let workshop = Workshop::open(1, "").await;
    let services = workshop.start(databases).await;
    let flaw = Flaw(1);
    workshop.publish(1, Some(flaw)).await;
    let open = async || equal(workshop.letters().await.matching(&of_state("open")).count(), 1);
    eventually(SOON, open).await;
    let first = workshop.replay_all().await[0];
    eventually(SOON, async || equal(workshop.state_of(first).await.as_str(), "dead-again")).await;
    eventually(SOON, open).await;
    let letters = workshop.letters().await;
    let second = letters.matching(&of_state("open")).next().expect("it is open").clone();
    assert_eq!((second.letter.previous, second.letter.replays), (Some(first), 1));
    assert_eq!(letters.lineage(&second).count(), 2);
    // Nobody can replay the old one any more, nor one that is discarded.
    let all = Filter::default();
    assert_eq!(Plan::replay(&workshop.catalogue, letters.matching(&all)).letters.len(), 1);
    let id = second.letter.id;
    assert_eq!(workshop.carry_out(&Plan::discard([&second])).await, 1);
    assert_eq!(workshop.state_of(id).await, State::Discarded);
    assert!(workshop.replay_all().await.is_empty());
    let letters = workshop.letters().await;
    assert_eq!(workshop.carry_out(&Plan::restore(letters.matching(&all))).await, 1);
    workshop.mend(flaw);
    assert_eq!(workshop.replay_all().await, [id]);
    eventually(SOON, async || equal(workshop.state_of(id).await.as_str(), "resolved")).await;
    services.stop().await;
    assert_eq!(databases.number(flaw.service(), "SELECT count(*) FROM works").await, 1);
    // What went back is the original, and headers beside it.
    let records = everything_in(&[workshop.topic()]).await;
    assert_eq!(records.len(), 3);
    assert!(
        records
            .iter()
            .all(|record| record.value == records[0].value && record.key == records[0].key)
    );
    let kept =
        |number: usize| records[number].headers.iter().filter(|header| !header.is_added()).count();
    assert_eq!([kept(1), kept(2)], [records[0].headers.len(); 2]);
    assert_eq!(headers::last(&records[2].headers, headers::DLQ_REPLAYS), Some("2"));
}

async fn a_parked_key_comes_back_in_its_order_and_is_free_then(databases: &Databases) {
    let workshop = Workshop::open(1, "behind-dead-letter = \"park\"").await;
    let services = workshop.start(databases).await;
    let flaw = Flaw(0);
    workshop.publish(1, Some(flaw)).await;
    workshop.publish(3, None).await;
    let open =
        async |count| equal(workshop.letters().await.matching(&of_state("open")).count(), count);
    eventually(SOON, async || open(4).await).await;
    // Not the first one's turn, and then the first one dies again in its place.
    let letters = workshop.letters().await;
    let all = Filter::default();
    let mut ids: Vec<_> =
        letters.matching(&all).map(|found| (found.letter.chain_seq, found.letter.id)).collect();
    ids.sort_unstable();
    let second = Filter { ids: vec![ids[1].1], ..Filter::default() };
    let plan = Plan::replay(&workshop.catalogue, letters.matching(&second));
    workshop.carry_out(&plan).await;
    workshop.is_through().await;
    eventually(SOON, async || open(4).await).await;
    assert!(Plan::discard(letters.matching(&all)).letters.is_empty());
    workshop.replay_all().await;
    eventually(SOON, async || equal(workshop.state_of(ids[0].1).await.as_str(), "dead-again"))
        .await;
    eventually(SOON, async || open(4).await).await;
    assert_eq!(databases.number(flaw.service(), "SELECT count(*) FROM works").await, 0);

    workshop.mend(flaw);
    assert_eq!(workshop.replay_all().await.len(), 4);
    workshop.publish(1, None).await;
    eventually(SOON, async || {
        equal(databases.number(flaw.service(), "SELECT count(*) FROM works").await, 5)
    })
    .await;
    services.stop().await;
    let rows =
        databases.rows(flaw.service(), "SELECT event_id, number FROM works ORDER BY place").await;
    assert_eq!(rows.into_iter().map(|(_, number)| number).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(databases.number(flaw.service(), "SELECT count(*) FROM parked_keys").await, 0);
}

async fn a_replay_of_what_is_no_event_dies_again_and_no_other_group_minds(databases: &Databases) {
    let workshop = Workshop::open(1, "").await;
    let services = workshop.start(databases).await;
    workshop.publish_junk(1).await;
    let count =
        async |count| equal(workshop.letters().await.matching(&Filter::default()).count(), count);
    eventually(SOON, async || count(CONSUMERS.len()).await).await;
    let letters = workshop.letters().await;
    let one = Filter { services: vec![CONSUMERS[3].to_owned()], ..Filter::default() };
    let plan = Plan::replay(&workshop.catalogue, letters.matching(&one));
    let doomed = plan.doomed(&workshop.admin(), &workshop.catalogue).await.expect("Kafka answers");
    assert_eq!(doomed.len(), 1);
    workshop.carry_out(&plan).await;
    eventually(SOON, async || count(CONSUMERS.len() + 1).await).await;
    workshop.is_through().await;
    services.stop().await;
    let letters = workshop.letters().await;
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    letters
        .matching(&Filter::default())
        .for_each(|found| *states.entry(found.state.as_str()).or_default() += 1);
    assert_eq!(states, [("dead-again", 1), ("open", CONSUMERS.len())].into());
}

/// What an operator does, by the program alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_finds_understands_and_replays_dead_letters() {
    let databases = Databases::sqlite();
    let workshop = Workshop::open(1, "").await;
    let services = workshop.start(&databases).await;
    let (bent, rusty) = (Flaw(0), Flaw(3));
    workshop.publish(120, Some(bent)).await;
    workshop.publish(2, Some(rusty)).await;
    eventually(SOON, async || {
        equal(workshop.letters().await.matching(&of_state("open")).count(), 122)
    })
    .await;

    let groups = workshop.json(&["dlq", "groups"]).await.remove(0);
    assert_eq!(groups.pointer("/0/letters"), Some(&json!(120)));
    assert_eq!(groups.pointer("/1/open"), Some(&json!(2)));
    assert_eq!(groups.pointer("/1/tenants"), Some(&json!(["acme", "bolt"])));
    let fingerprint =
        groups.pointer("/0/fingerprint").and_then(Value::as_str).expect("it is shown");
    let rusties = ["dlq", "list", "--service", rusty.service(), "--tenant", "bolt"];
    let rusties = workshop.json(&rusties).await;
    let id = rusties[0].pointer("/letter/id").and_then(Value::as_str).expect("it is shown");
    assert_eq!(rusties.len(), 1);
    let shown = workshop.json(&["dlq", "show", id]).await.remove(0);
    let value = shown.pointer("/value").and_then(Value::as_str).expect("it is shown");
    assert!(value.contains("\"flaw\":3") && value.contains("\"tenant_id\":\"bolt\""), "{value}");
    assert_eq!(shown.pointer("/state/is"), Some(&json!("open")));
    let said = workshop.program(&["dlq", "show", id]).await;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    for part in ["piece 121 is rusty", "packing", "dlq.reason = rejected"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }

    // What is not meant is not done.
    let refused = async |arguments: &[&str], why: &str| {
        let output = workshop.program(&[&["dlq"], arguments].concat()).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(why), "{output:?}");
    };
    refused(&["replay"], "which dead letters").await;
    refused(&["replay", "--fingerprint", fingerprint], "--yes").await;
    refused(&["discard", "--fingerprint", fingerprint], "--reason").await;
    let dry = ["dlq", "replay", "--fingerprint", fingerprint, "--dry-run"];
    let dry = workshop.json(&dry).await.remove(0);
    assert_eq!(dry.pointer("/would_replay"), Some(&json!(120)));
    assert_eq!(dry.pointer("/rows/0/version"), Some(&json!("1.0")));
    assert_eq!(dry.pointer("/unusable"), Some(&json!({})));
    assert_eq!(workshop.letters().await.matching(&of_state("open")).count(), 122);

    workshop.mend(bent);
    let replayed =
        ["dlq", "replay", "--fingerprint", fingerprint, "--yes", "--reason", "straightened"];
    assert_eq!(workshop.json(&replayed).await[0].pointer("/replayed"), Some(&json!(120)));
    eventually(SOON, async || {
        equal(workshop.letters().await.matching(&of_state("resolved")).count(), 120)
    })
    .await;
    let discarded = ["dlq", "discard", id, "--reason", "scrapped"];
    assert_eq!(workshop.json(&discarded).await[0].pointer("/discarded"), Some(&json!(1)));
    let left = workshop.json(&["dlq", "list", "--state", "discarded"]).await;
    assert_eq!(left[0].pointer("/letter/id").and_then(Value::as_str), Some(id));
    assert_eq!(
        workshop.json(&["dlq", "restore", id]).await[0].pointer("/restored"),
        Some(&json!(1))
    );
    assert_eq!(workshop.letters().await.matching(&of_state("open")).count(), 2);
    services.stop().await;

    let deeds = everything_in(&[workshop.catalogue.audit_topic()]).await;
    let deeds = deeds.iter().map(|record| {
        serde_json::from_slice::<Deed>(record.value.as_deref().expect("a value")).expect("a deed")
    });
    let deeds: Vec<_> =
        deeds.map(|deed| (deed.action, deed.by, deed.letters.len(), deed.reason)).collect();
    let by = || "tests".to_owned();
    let expected = [
        (Action::Replay, by(), 120, Some("straightened".to_owned())),
        (Action::Discard, by(), 1, Some("scrapped".to_owned())),
        (Action::Restore, by(), 1, None),
    ];
    assert_eq!(deeds, expected);
    databases.drop_all().await;
}
