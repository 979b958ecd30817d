//! `event-bus up`: the whole system in one process, from nothing to its end and on again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use event_bus::kafka::Record;
use event_bus::kafka::admin::{Admin, Position};
use event_bus::kafka::reader::{Reader, Until};
use event_bus::names::TopicName;
use event_bus::{Catalogue, KafkaConfig, headers};
use event_bus_ops::Snapshot;
use event_bus_tests::collector::Collector;
use event_bus_tests::eventually::eventually;
use event_bus_tests::process::{Ended, Process, get};
use event_bus_tests::servers;
use serde_json::Value;
use tempfile::TempDir;

/// How long what is to happen may take, beside many other tests.
const SOON: Duration = Duration::from_secs(90);
/// The organisations that the traffic registers.
const ORGANISATIONS: u64 = 9;

const FREE: &str = "127.0.0.1:0";

/// A system that runs.
struct Up {
    process: Process,
    kafka: String,
    http: String,
    catalogue: Arc<Catalogue>,
}

impl Up {
    /// Starts it and waits until it is ready.
    async fn start(data: &TempDir, options: &[&str]) -> Self {
        Self::start_with(data, blindstrader::catalogue(), options).await
    }

    async fn start_with(data: &TempDir, catalogue: Catalogue, options: &[&str]) -> Self {
        let mut process = Process::start(&[&arguments(data, FREE)[..], options].concat());
        let line = process.line().await;
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        let text = |name: &str| ready[name].as_str().expect("the line has it").to_owned();
        assert!(ready["ready_in_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{line}");
        Self { kafka: text("kafka"), http: text("http"), catalogue: Arc::new(catalogue), process }
    }

    fn kafka(&self) -> KafkaConfig {
        KafkaConfig::plain(&*self.kafka)
    }

    async fn snapshot(&self) -> Result<Snapshot, String> {
        let admin = Admin::connect(&self.kafka()).map_err(|error| error.to_string())?;
        Snapshot::take(&admin, &self.catalogue, None).await.map_err(|error| error.to_string())
    }

    /// Waits until there are so many of an event, and gives what is there then.
    async fn has(&self, event: &str, wanted: u64) -> Snapshot {
        eventually(SOON, async || {
            let snapshot = self.snapshot().await?;
            let found = snapshot.events_of(event);
            if found >= wanted { Ok(snapshot) } else { Err(format!("{found} of {wanted}")) }
        })
        .await
    }

    /// Everything in some topics.
    async fn read(&self, topics: &[TopicName]) -> Vec<Record> {
        let mut reader = Reader::start(&self.kafka(), topics, Position::Start, Until::CaughtUp)
            .await
            .expect("the topics can be read");
        let mut all = Vec::new();
        while let Some(records) = reader.next().await.expect("reading goes on") {
            all.extend(records);
        }
        all
    }

    /// Ctrl-C, and its clean end.
    async fn interrupt(self) {
        self.process.signal_group("INT").await;
        let Ended { status, stderr, .. } = self.process.ended().await;
        assert_eq!(status.code(), Some(0), "{stderr}");
    }
}

fn arguments<'a>(data: &'a TempDir, http: &'a str) -> [&'a str; 7] {
    let data = data.path().to_str().expect("the path is text");
    ["up", "--output", "json", "--http", http, "--data", data]
}

/// A broker by itself, and where it is.
async fn broker(options: &[&str]) -> (Process, String) {
    let mut broker = Process::start(&[&["broker"], options].concat());
    let line = broker.line().await;
    let address = line.strip_prefix("Kafka protocol on ").expect("it tells where it is");
    (broker, address.to_owned())
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_from_placed_to_dispatched_and_the_next_start_goes_on() {
    let data = temporary();
    let up = Up::start(&data, &["--kafka", FREE]).await;
    let (code, body) = get(&up.http, "/readyz").await.expect("HTTP answers");
    assert_eq!(code, 200, "{body}");
    assert_eq!(body, r#"{"status":"ready","problems":[]}"#);
    assert_eq!(get(&up.http, "/livez").await.expect("HTTP answers").0, 200);
    let first = up.has("OrderDispatched", 5).await;
    assert_eq!(first.events_of("OrganisationCreated"), ORGANISATIONS);
    up.interrupt().await;

    let up = Up::start(&data, &["--kafka", FREE]).await;
    up.has("OrderDispatched", first.events_of("OrderDispatched") + 5).await;
    // Those may have been placed before.
    let again = up.has("OrderPlaced", first.events_of("OrderPlaced") + 1).await;
    assert_eq!(again.events_of("OrganisationCreated"), ORGANISATIONS);
    assert_eq!(again.dead_letters(), 0);
    // No order is dispatched twice, over both runs.
    let topic = up.catalogue.event("OrderDispatched").expect("it is Blindstrader's").topic.clone();
    let records = up.read(&[topic]).await;
    let keys: BTreeSet<_> = records.iter().map(|record| record.key.clone()).collect();
    assert_eq!(keys.len(), records.len());
    up.interrupt().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_on_request_are_dead_letters_some_at_once_and_some_after_their_retries() {
    let data = temporary();
    let up = Up::start(&data, &["--kafka", FREE, "--rate", "0", "--seed-failures"]).await;
    let topics: Vec<TopicName> =
        up.catalogue.events().map(|event| event.dead_letter_topic.clone()).collect();
    let wanted =
        ["malformed", "rejected", "retries-exhausted", "schema-invalid", "unsupported-version"];
    let attempts = eventually(SOON, async || {
        let mut attempts = BTreeMap::new();
        for record in up.read(&topics).await {
            let header = |name| headers::last(&record.headers, name).map(str::to_owned);
            let reason = header(headers::DLQ_REASON).ok_or("no reason")?;
            attempts.insert(reason, header(headers::DLQ_ERRORS_DELIVERY_COUNT));
        }
        let seen: Vec<&str> = attempts.keys().map(String::as_str).collect();
        if seen == wanted { Ok(attempts) } else { Err(format!("{seen:?}")) }
    })
    .await;
    assert_eq!(attempts["retries-exhausted"].as_deref(), Some("4"));
    // Failures are handled, so they are no reason not to be ready.
    assert_eq!(get(&up.http, "/readyz").await.expect("HTTP answers").0, 200);
    assert_eq!(up.snapshot().await.expect("Kafka answers").events_of("OrganisationCreated"), 0);
    up.interrupt().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_one_trace_through_all_its_services() {
    let data = temporary();
    let collector = Collector::start().await;
    let up = Up::start(&data, &["--kafka", FREE, "--otlp", collector.endpoint()]).await;
    let wanted = ["blindstrader-payment", "blindstrader-retailer", "blindstrader-supply-chain"];
    eventually(SOON, async || {
        let mut traces: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for span in collector.spans() {
            traces.entry(span.trace_id).or_default().insert(span.service);
        }
        let is_whole =
            |services: &BTreeSet<String>| wanted.iter().all(|service| services.contains(*service));
        if traces.values().any(is_whole) { Ok(()) } else { Err(traces) }
    })
    .await;
    up.interrupt().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_is_told_with_the_cure() {
    let data = temporary();
    let up = Up::start(&data, &["--kafka", FREE, "--rate", "0"]).await;
    let failed = async |data: &TempDir, http: &str, options: &[&str]| {
        let ended = Process::start(&[&arguments(data, http)[..], options].concat()).ended().await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{}", ended.stdout);
        ended.stderr
    };
    let said = failed(&data, FREE, &["--kafka", FREE]).await;
    assert!(said.contains("another `event-bus up` runs on") && said.contains("--data"), "{said}");
    let other = temporary();
    let said = failed(&other, FREE, &["--kafka", &up.kafka]).await;
    assert!(said.contains(&up.kafka) && said.contains("--bootstrap"), "{said}");
    let said = failed(&other, &up.http, &["--kafka", FREE]).await;
    assert!(said.contains(&up.http) && said.contains("another address with --http"), "{said}");
    up.interrupt().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_named_is_used_and_no_broker_started() {
    let data = temporary();
    let namespace = servers::namespace();
    let catalogue = blindstrader::catalogue().with_namespace(namespace.clone());
    let bootstrap = servers::bootstrap();
    let options = ["--bootstrap", &bootstrap, "--namespace", namespace.as_ref()];
    let up = Up::start_with(&data, catalogue, &options).await;
    assert_eq!(up.kafka, bootstrap);
    assert!(!data.path().join("broker").exists());
    up.has("OrderDispatched", 3).await;
    up.interrupt().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_goes_with_the_broker_and_comes_back_with_it() {
    let (records, data) = (temporary(), temporary());
    let dir = records.path().to_str().expect("the path is text");
    let (broker, address) = broker(&["--data", dir, "--listen", FREE]).await;
    let up = Up::start(&data, &["--bootstrap", &address, "--rate", "0"]).await;
    let ready = async |wanted: u16, what: &str| {
        eventually(SOON, async || match get(&up.http, "/readyz").await? {
            (code, body) if code == wanted && body.contains(what) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    };
    ready(200, "ready").await;
    broker.signal("TERM").await;
    assert_eq!(broker.ended().await.status.code(), Some(0));
    ready(503, "kafka-unreachable").await;
    assert_eq!(get(&up.http, "/livez").await.expect("HTTP answers").0, 200);
    let (broker, _) = self::broker(&["--data", dir, "--listen", &address]).await;
    ready(200, "ready").await;
    up.interrupt().await;
    broker.signal("TERM").await;
    assert_eq!(broker.ended().await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_of_the_whole_process_group_lets_all_services_finish() {
    let (broker, kafka) = broker(&["--memory", "--listen", FREE]).await;
    let data = temporary();
    let applied = Process::start(&["--bootstrap", &kafka, "topics", "apply", "--replication", "1"]);
    assert!(applied.ended().await.status.success());
    let store = format!("sqlite://{}/{{service}}.db", data.path().display());
    let services =
        Process::start(&["--bootstrap", &kafka, "service", "run", "--all", "--store", &store]);
    let count = |text: &str, what: &str| text.lines().filter(|line| line.contains(what)).count();
    eventually(SOON, async || match count(&services.errors(), ": running service=") {
        8 => Ok(()),
        running => Err(format!("{running} run: {}", services.errors())),
    })
    .await;
    services.signal_group("INT").await;
    let Ended { status, stderr, .. } = services.ended().await;
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert_eq!(count(&stderr, ": stopping service="), 8, "{stderr}");
    assert_eq!(count(&stderr, "second signal"), 0, "{stderr}");
    broker.signal("TERM").await;
    assert_eq!(broker.ended().await.status.code(), Some(0));
}
