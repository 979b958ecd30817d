//! A trial of a payment service's consumer by `event-bus conform`, on Blindstrader's topics under a namespace of their own.

use event_bus::Catalogue;
use event_bus::names::{Namespace, TopicName};
use event_bus_tests::servers;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// The topics, and a folder for a database.
#[derive(Debug)]
pub struct Trial {
    namespace: Namespace,
    folder: TempDir,
}

impl Trial {
    /// With topics that are empty.
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let trial = Self { namespace: servers::namespace(), folder };
        let applied = trial.program(&["topics", "apply", "--replication", "1"]).output().await;
        let applied = applied.expect("the program runs");
        assert!(applied.status.success(), "{applied:?}");
        trial
    }

    /// The namespace, which no other test has.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The `event-bus` program, on these topics.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut program = Command::new(servers::program());
        program.args(arguments).args(["--bootstrap", &servers::bootstrap()]);
        program.args(["--namespace", self.namespace.as_str()]).kill_on_drop(true);
        // A file of this name in the directory of a test is not meant for it.
        program.current_dir(self.folder.path());
        program
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The shipped catalogue, under the namespace.
    pub fn catalogue(&self) -> Catalogue {
        blindstrader::catalogue().with_namespace(self.namespace.clone())
    }

    /// A topic of the catalogue.
    pub fn topic(&self, short: &str) -> TopicName {
        format!("{}.{short}", self.namespace).parse().expect("it is the name of a topic")
    }

    /// What a trial of the payment service's consumer of orders says: the exit code, and the checks, or what went wrong.
    pub async fn tried(&self, options: &[&str]) -> (Option<i32>, Value) {
        let consumer = ["conform", "consumer", "--service", "payment", "--event", "OrderPlaced"];
        let mut program = self.program(&consumer);
        program.args(["--output", "json"]).args(options);
        let output = program.output().await.expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| json!(said));
        (output.status.code(), told)
    }

    /// What `event-bus conform topics` says of all topics: the exit code, and its document.
    pub async fn inspected(&self, options: &[&str]) -> (Option<i32>, Value) {
        let mut program = self.program(&["conform", "topics", "--output", "json"]);
        let output = program.args(options).output().await.expect("the program runs");
        let told = serde_json::from_slice(&output.stdout);
        (output.status.code(), told.unwrap_or_else(|_| panic!("{output:?}")))
    }
}

/// The names of the checks that went so: `passed`, `failed` or `not-tried`.
pub fn named<'t>(told: &'t Value, verdict: &str) -> Vec<&'t str> {
    let checks = told["checks"].as_array().unwrap_or_else(|| panic!("no checks: {told}"));
    let of = checks.iter().filter(|check| check["verdict"]["verdict"] == verdict);
    of.map(|check| check["name"].as_str().expect("it has a name")).collect()
}

/// The payload of an order, as the shipped catalogue has it for a sample.
pub fn sample_of_an_order() -> Value {
    let catalogue = blindstrader::catalogue();
    let event = catalogue.event("OrderPlaced").expect("the catalogue has it");
    let sample = event.versions[0].sample.as_deref().expect("it has a sample");
    let mut envelope: Value = serde_json::from_str(sample).expect("it is JSON");
    envelope["payload"].take()
}
