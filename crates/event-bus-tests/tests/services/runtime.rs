//! A trial of our own runtime, and of consumers that do not do what they are to.

use event_bus_tests::process::Process;
use event_bus_tests::servers;
use tokio::process::Command;

use crate::trial::{Trial, named};

#[tokio::test]
async fn our_own_runtime_passes_and_a_trial_writes_to_empty_topics_only() {
    let trial = Trial::open().await;
    let store = format!("sqlite://{}", trial.path("payment.db"));
    let probe = ["--probe-sql", &store, "--within", "60"];
    let service = trial.program(&["service", "run", "payment", "--store", &store]);
    let service = Process::spawn(service);
    let (code, told) = trial.tried(&probe).await;
    assert_eq!(code, Some(0), "{told:#}\n{}", service.errors());
    assert_eq!(named(&told, "not-tried"), ["isolation"], "{told:#}");
    assert!(named(&told, "passed").len() > 20, "{told:#}");

    let (code, refused) = trial.tried(&probe).await;
    let said = refused.as_str().expect("it is told on stderr");
    assert!(code == Some(1) && said.contains("--used-topics"), "{said}");
    // Where everything counts as an effect, dead letters have one too.
    let wrong = ["--used-topics", "--probe-query", "SELECT 1 WHERE $1 <> ''"];
    let (code, told) = trial.tried(&[&probe[..], &wrong].concat()).await;
    assert_eq!(code, Some(3), "{told:#}");
    assert!(named(&told, "failed").contains(&"schema-invalid"), "{told:#}");
    service.signal("TERM").await;
    assert!(service.ended().await.status.success());
}

#[tokio::test]
async fn a_consumer_that_only_commits_fails_and_one_that_is_not_there_is_missed() {
    let trial = Trial::open().await;
    // Any database that has no effects in it.
    let probe = ["--probe-sql", "sqlite::memory:", "--probe-query", "SELECT 0 WHERE $1 <> ''"];
    let (code, missing) = trial.tried(&[&probe[..], &["--within", "1"]].concat()).await;
    let said = missing.as_str().expect("it is told on stderr");
    let group = format!("{}-payment-order-placed", trial.namespace());
    assert!(code == Some(1) && said.contains(&group), "{said}");

    let mut kcat = Command::new(servers::kcat());
    kcat.args(["-b", &servers::bootstrap(), "-q", "-X", "auto.commit.interval.ms=100"]);
    // Nobody reads what it prints, so that is little.
    kcat.args(["-f", "%o\n", "-G", &group, trial.topic("order.placed").as_str()]);
    let _kcat = Process::spawn(kcat);
    let (code, told) = trial.tried(&[&probe[..], &["--within", "10"]].concat()).await;
    assert_eq!(code, Some(3), "{told:#}");
    let failed = named(&told, "failed");
    for name in ["good", "not-json", "schema-invalid", "too-large", "no-event-id"] {
        assert!(failed.contains(&name), "{name}: {told:#}");
    }
    assert!(named(&told, "passed").contains(&"commits"), "{told:#}");
}
