//! Billing as a process of its own, which may be killed.

use std::process::Stdio;
use std::sync::Arc;

use event_bus::names::Namespace;
use event_bus::{Catalogue, Service};
use event_bus_tests::databases::Databases;
use event_bus_tests::servers;
use event_bus_tests::shop::{self, BILLING_TABLES, Billing, OrderPlaced};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// What tells [`billing_until_sigterm`] what to run.
const NAMESPACE: &str = "EVENT_BUS_TEST_NAMESPACE";
const SETTINGS: &str = "EVENT_BUS_TEST_SETTINGS";
const STORE: &str = "EVENT_BUS_TEST_STORE";

/// Not a test: the process that tests start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests start it as a process"]
async fn billing_until_sigterm() {
    let variable = |name| std::env::var(name).expect("the test that starts it sets it");
    let mut sigterm = signal(SignalKind::terminate()).expect("the signal can be listened to");
    let namespace = Namespace::new(&variable(NAMESPACE)).expect("it is one");
    // How many partitions there are is asked of Kafka.
    let catalogue = shop::catalogue(1, &variable(SETTINGS));
    let catalogue = Arc::unwrap_or_clone(catalogue).with_namespace(namespace);
    let (kafka, url) = (servers::kafka(), variable(STORE));
    let opened = Service::open("billing", Arc::new(catalogue), kafka, &url, BILLING_TABLES);
    let service = opened.await.expect("billing's database opens");
    let running = service.on::<OrderPlaced>(Billing::default()).run(async {
        sigterm.recv().await;
    });
    running.await.expect("it ends well");
}

/// Starts the process. It is killed when the handle is dropped.
pub fn start_billing(catalogue: &Catalogue, databases: &Databases, settings: &str) -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(["--ignored", "--exact", "billing_process::billing_until_sigterm"]);
    command.env(NAMESPACE, catalogue.namespace().as_str());
    command.env(SETTINGS, settings).env(STORE, databases.url("billing"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("this program can be started")
}
