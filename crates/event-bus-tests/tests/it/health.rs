//! What a service tells of itself: ready while what is there to do gets done, and its metrics.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_bus::kafka::admin::Admin;
use event_bus::{Catalogue, Service};
use event_bus_ops::Watch;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::eventually;
use event_bus_tests::kafka::create_topics;
use event_bus_tests::process::{Process, get};
use event_bus_tests::servers;
use event_bus_tests::shop::{self, BILLING_TABLES, Billing, Fate, OrderPlaced, Running, order};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(60);
/// After what time without progress billing counts as stalled here.
const STALLED_AFTER: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);

/// Billing, which is watched.
struct Watched {
    watch: Watch,
    _looking: JoinSet<()>,
}

impl Watched {
    async fn start(catalogue: &Arc<Catalogue>, databases: &Databases) -> (Self, Running) {
        let (watched, service) = Self::open(catalogue, databases).await;
        (watched, Running::start(service.on::<OrderPlaced>(Billing::default())))
    }

    /// It does not run yet.
    async fn open(catalogue: &Arc<Catalogue>, databases: &Databases) -> (Self, Service) {
        let (url, kafka) = (databases.url("billing"), servers::kafka());
        let opened = Service::open("billing", Arc::clone(catalogue), kafka, &url, BILLING_TABLES);
        let service = opened.await.expect("billing's database opens");
        let outbox = service.outbox().clone();
        let name = outbox.service().clone();
        let watch = Watch::of_service(Arc::clone(catalogue), name, STALLED_AFTER);
        watch.started();
        let mut looking = JoinSet::new();
        let admin = Admin::connect(&servers::kafka()).expect("an admin client can be made");
        let (for_kafka, for_store) = (watch.clone(), watch.clone());
        looking.spawn(async move { for_kafka.run(admin, PAUSE, std::future::pending()).await });
        looking.spawn(async move {
            for_store.look_at_store(outbox.store(), PAUSE, std::future::pending()).await;
        });
        (Self { watch, _looking: looking }, service)
    }

    /// Waits until exactly these kinds of problems are there.
    async fn tells(&self, wanted: &[&str]) {
        eventually(SOON, async || {
            let problems = self.watch.health(Instant::now()).problems;
            let kind =
                |problem| serde_json::to_value(problem).ok()?["kind"].as_str().map(str::to_owned);
            let kinds: BTreeSet<String> = problems.iter().filter_map(kind).collect();
            let wanted = wanted.iter().map(|kind| (*kind).to_owned()).collect();
            if kinds == wanted { Ok(()) } else { Err(format!("{problems:?}")) }
        })
        .await;
    }
}

async fn shop_with(settings: &str) -> Arc<Catalogue> {
    let catalogue = shop::catalogue(1, settings);
    create_topics(&catalogue).await;
    catalogue
}

/// A service whose only event meets this fate stalls; `settings` keep the event from being given up.
async fn is_seen(fate: Fate, settings: &str) {
    let (catalogue, databases) = (shop_with(settings).await, Databases::sqlite());
    let (billing, _running) = Watched::start(&catalogue, &databases).await;
    billing.tells(&[]).await;
    shop::publish(&catalogue, &[order("o-1", 0, fate)]).await;
    billing.tells(&["stalled"]).await;
    databases.drop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_never_returns_is_seen() {
    is_seen(Fate::Hang, "handler-timeout = \"120s\"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_handler_panics_again_and_again_is_seen() {
    is_seen(Fate::Panic, "retry = [\"120s\"]").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_nobody_consumes_is_seen_and_an_idle_one_never() {
    let (catalogue, databases) = (shop_with("").await, Databases::sqlite());
    let (billing, _service) = Watched::open(&catalogue, &databases).await;
    billing.tells(&[]).await;
    let idle_until = Instant::now() + 2 * STALLED_AFTER;
    let mut looks = tokio::time::interval(PAUSE);
    while Instant::now() < idle_until {
        looks.tick().await;
        let problems = billing.watch.health(Instant::now()).problems;
        assert!(problems.is_empty(), "{problems:?}");
    }
    shop::publish(&catalogue, &[order("o-1", 0, Fate::Ok)]).await;
    billing.tells(&["stalled"]).await;
    databases.drop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_database_is_seen_and_its_return_too() {
    let (catalogue, databases) = (shop_with("").await, Databases::postgres().await);
    let (billing, running) = Watched::start(&catalogue, &databases).await;
    billing.tells(&[]).await;
    let mut freezing = PgConnection::connect(&databases.url("billing")).await.expect("it answers");
    let mut frozen = freezing.begin().await.expect("a transaction begins");
    sqlx::raw_sql("LOCK TABLE processed_events, outbox IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *frozen)
        .await
        .expect("the tables can be locked");
    shop::publish(&catalogue, &[order("o-1", 0, Fate::Ok)]).await;
    billing.tells(&["database-unreachable", "stalled"]).await;
    frozen.rollback().await.expect("the locks can be given back");
    billing.tells(&[]).await;
    running.stop().await;
    databases.drop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_the_program_tells_its_health_and_metrics() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = format!("sqlite://{}/{{service}}.db", folder.path().display());
    let (namespace, kafka) = (servers::namespace(), servers::bootstrap());
    create_topics(&blindstrader::catalogue().with_namespace(namespace.clone())).await;
    let global = ["--bootstrap", &kafka, "--namespace", namespace.as_ref()];
    let run = ["service", "run", "payment", "--store", &store, "--http", "127.0.0.1:0"];
    let service = Process::start(&[&global[..], &["--log", "info"], &run].concat());
    let http = eventually(SOON, async || {
        let errors = service.errors();
        let (_, behind) = errors.split_once("http=").ok_or_else(|| errors.clone())?;
        behind.split_whitespace().next().map(str::to_owned).ok_or(errors)
    })
    .await;
    eventually(SOON, async || match get(&http, "/readyz").await? {
        (200, _) => Ok(()),
        (_, body) => Err(body),
    })
    .await;
    assert_eq!(get(&http, "/livez").await.expect("HTTP answers").0, 200);
    let (code, metrics) = get(&http, "/metrics").await.expect("HTTP answers");
    assert_eq!(code, 200);
    let group = format!("{namespace}-payment-order-placed");
    let line = format!(
        "event_bus_handled_events_total{{consumergroup=\"{group}\",topic=\"{namespace}.order.placed\"}} 0"
    );
    assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
    service.signal("TERM").await;
    let ended = service.ended().await;
    assert!(ended.status.success(), "{}", ended.stderr);
}
