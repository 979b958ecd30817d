//! `event-bus conform`, and the services that are held to the contract by it: ours, and the reference services of
//! `compat/services`, which know nothing of ours. `cargo xtask services` builds those and says where they are.

mod cloud_events;
mod language;
mod planted;
mod runtime;
mod trial;

use std::time::Duration;

use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::everything_in;
use event_bus_tests::process::Process;
use serde_json::json;

use language::{Database, Language};
use trial::{Trial, named, sample_of_an_order};

const SOON: Duration = Duration::from_secs(90);
/// Longer than all retries of an event, on a machine that does other things beside.
const WITHIN_SECONDS: &str = "90";
const ORDERS: usize = 40;

macro_rules! in_each_language {
    ($($name:ident: $language:expr;)*) => {
        mod its_own_vectors_hold {
            use super::Language;
            $(#[tokio::test] async fn $name() { super::language::holds_the_vectors($language).await; })*
        }
        mod a_consumer_passes_its_trial {
            use super::Language;
            $(#[tokio::test] async fn $name() { super::passes_its_trial($language).await; })*
        }
        mod what_it_publishes_is_faultless {
            use super::Language;
            $(#[tokio::test] async fn $name() { super::publishes_faultlessly($language).await; })*
        }
    };
}

in_each_language! {
    python: Language::Python;
    node: Language::Node;
    java: Language::Java;
    go: Language::Go;
}

async fn passes_its_trial(language: Language) {
    let trial = Trial::open().await;
    let database = Database::of(language, &trial, "payment").await;
    // The service can't take money in the currency for tests.
    let mut poison = sample_of_an_order();
    poison["currency"] = json!("XTS");
    let file = trial.path("poison.json");
    std::fs::write(&file, poison.to_string()).expect("the file can be written");
    let mut service = Process::spawn(language.service(&trial, &database, &["run"]));
    let mut options = vec!["--poison".to_owned(), file];
    options.extend(["--within".to_owned(), WITHIN_SECONDS.to_owned()]);
    options.extend(language.probe(&database, &mut service).await);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (code, told) = trial.tried(&options).await;
    assert_eq!(code, Some(0), "{told:#}\n{}", service.errors());
    assert!(named(&told, "not-tried").is_empty(), "{told:#}");
    service.signal("TERM").await;
    service.ended().await;
    database.drop().await;
}

async fn publishes_faultlessly(language: Language) {
    let trial = Trial::open().await;
    // One relay a database: the two of them share none.
    let payment = Database::of(language, &trial, "payment").await;
    let retailer = Database::of(language, &trial, "retailer").await;
    let service = Process::spawn(language.service(&trial, &payment, &["run"]));
    let placed =
        Process::spawn(language.service(&trial, &retailer, &["place", &ORDERS.to_string()]));
    let placed = placed.ended().await;
    assert!(placed.status.success(), "{}", placed.stderr);
    let captured = [trial.topic("payment.captured")];
    eventually(SOON, async || equal(everything_in(&captured).await.len(), ORDERS)).await;
    let (code, told) = trial.inspected(&[]).await;
    assert_eq!((code, &told["found"]), (Some(0), &json!([])), "{told:#}");
    assert_eq!(told["records"], json!(2 * ORDERS), "{told:#}");
    service.signal("TERM").await;
    service.ended().await;
    payment.drop().await;
    retailer.drop().await;
}
