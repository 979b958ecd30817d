//! The audit of an ops store: one chain, whoever writes, and whatever is done to it is found.

use std::sync::Arc;

use event_bus::audit::chain::Entry;
use event_bus::audit::{Mirror, mirrored};
use event_bus::store::ops::OpsStore;
use event_bus_tests::databases::Databases;
use event_bus_tests::kafka::publisher;
use serde_json::{Value, json};

use crate::both::on_both_databases;
use crate::workshop::Workshop;

on_both_databases!(
    writers_of_several_processes_make_one_chain,
    what_is_done_to_the_audit_is_found_where_it_was_done,
);

fn entry(actor: &str, nth: usize) -> Entry {
    Entry {
        actor: actor.to_owned(),
        role: "operator".to_owned(),
        action: "discard".to_owned(),
        object: format!("letter {nth}"),
        reason: Some("a test".to_owned()),
        detail: json!({ "nth": nth }),
    }
}

/// What the program says of it, and whether it found nothing.
async fn verified(workshop: &Workshop, databases: &Databases, options: &[&str]) -> (bool, Value) {
    let url = databases.url("ops");
    let arguments = [&["audit", "verify", "--output", "json", "--store", &url], options].concat();
    let output = workshop.program(&arguments).await;
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code() == Some(0), told)
}

async fn writers_of_several_processes_make_one_chain(databases: &Databases) {
    const WRITERS: usize = 4;
    const EACH: usize = 25;
    let workshop = Workshop::open(1, "").await;
    let mut running = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let url = databases.url("ops");
        running.spawn(async move {
            let store = OpsStore::open(&url).await.expect("the ops store opens");
            for nth in 0..EACH {
                store.audit(&entry(&format!("writer {writer}"), nth)).await.expect("it is written");
            }
            store.close().await;
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("no writer fails");
    }
    let (is_whole, told) = verified(&workshop, databases, &[]).await;
    assert!(is_whole && told["rows"] == WRITERS * EACH, "{told}");
    // Two that send them send each row at least once, and verifying counts it once.
    let store = Arc::new(OpsStore::open(&databases.url("ops")).await.expect("the ops store opens"));
    let publisher = Arc::new(publisher(&workshop.catalogue));
    let [one, two] = [(); 2].map(|()| Mirror::new(Arc::clone(&store), Arc::clone(&publisher)));
    let (first, second) = tokio::join!(one.send(), two.send());
    first.and(second).expect("they are sent");
    let chain = store.audit_chain().await.expect("it answers").expect("there is one");
    let sent =
        mirrored(&workshop.admin(), &workshop.catalogue, chain).await.expect("Kafka answers");
    assert!(sent.links.len() >= WRITERS * EACH && sent.others.is_empty());
    let (is_whole, told) = verified(&workshop, databases, &["--chain", &chain.to_string()]).await;
    assert!(is_whole && told["rows"] == WRITERS * EACH, "{told}");
    let (is_whole, told) =
        verified(&workshop, databases, &["--chain", &uuid::Uuid::nil().to_string()]).await;
    assert!(!is_whole, "{told}");
    store.close().await;
}

async fn what_is_done_to_the_audit_is_found_where_it_was_done(databases: &Databases) {
    let workshop = Workshop::open(1, "").await;
    let store = Arc::new(OpsStore::open(&databases.url("ops")).await.expect("the ops store opens"));
    for nth in 1..=6 {
        store.audit(&entry("ann", nth)).await.expect("it is written");
    }
    let kept = "CREATE TABLE kept AS SELECT * FROM ops_audit";
    databases.execute("ops", kept).await;
    let whole = "DELETE FROM ops_audit; INSERT INTO ops_audit SELECT * FROM kept";
    let found = async |statements: &str, options: &[&str]| {
        databases.execute("ops", &format!("{whole}; {statements}")).await;
        let (is_whole, told) = verified(&workshop, databases, options).await;
        let flaw = told["flaw"].as_str().unwrap_or_default().to_owned();
        assert_eq!(is_whole, flaw.is_empty(), "{told}");
        flaw
    };
    let changed = "UPDATE ops_audit SET reason = 'another' WHERE seq = 3";
    let removed = "DELETE FROM ops_audit WHERE seq = 4";
    let swapped =
        "UPDATE ops_audit SET seq = -2 WHERE seq = 2; UPDATE ops_audit SET seq = 2 WHERE seq = 5;
        UPDATE ops_audit SET seq = 5 WHERE seq = -2";
    let cut_off = "DELETE FROM ops_audit WHERE seq > 4";
    // The rows by themselves.
    let alone = &["--store-only"][..];
    assert_eq!(found("", alone).await, "");
    assert_eq!(
        found(changed, alone).await,
        "row 3 was changed: what it says does not fit its hash"
    );
    assert_eq!(
        found(removed, alone).await,
        "row 4 is missing: the next one that is there is row 5"
    );
    assert_eq!(
        found(swapped, alone).await,
        "row 2 is what was written as row 5: the rows were reordered"
    );
    assert_eq!(found(cut_off, alone).await, "", "the rows alone do not tell it");
    // Beside the topic.
    databases.execute("ops", whole).await;
    let publisher = Arc::new(publisher(&workshop.catalogue));
    Mirror::new(Arc::clone(&store), publisher).send().await.expect("they are sent");
    databases.execute("ops", "DROP TABLE kept").await;
    databases.execute("ops", kept).await;
    assert_eq!((found("", &[]).await, found("", alone).await), (String::new(), String::new()));
    let told = "row 3 was changed: reason was Some(\"a test\") and is Some(\"another\")";
    assert_eq!(found(changed, &[]).await, told);
    assert_eq!(found(removed, &[]).await, "row 4 is missing: the next one that is there is row 5");
    assert_eq!(
        found(swapped, &[]).await,
        "row 2 is what was written as row 5: the rows were reordered"
    );
    let told = "row 5 is missing, and all behind it: the topic of audit has rows up to 6";
    assert_eq!(found(cut_off, &[]).await, told);
    // Who cuts it off and goes on writes other rows in the place of those that were sent.
    databases.execute("ops", &format!("{whole}; {cut_off}")).await;
    store.audit(&entry("bob", 5)).await.expect("it is written");
    let (is_whole, told) = verified(&workshop, databases, &[]).await;
    assert!(
        !is_whole
            && told["flaw"].as_str().is_some_and(|flaw| flaw.starts_with("row 5 was changed:")),
        "{told}"
    );
    store.close().await;
}
