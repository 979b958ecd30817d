//! `event-bus up`: the whole system in one process, for a look around.

mod cluster;
mod data;
mod notes;
mod operations;
mod services;
mod traffic;
mod view;

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use event_bus::Catalogue;
use event_bus::kafka::admin::Admin;
use event_bus::metrics::Metrics;
use event_bus::publisher::Publisher;
use event_bus::store::ops::OpsStore;
use tokio::sync::watch;

use crate::address::address;
use crate::exit::Exit;
use crate::global::Global;
use crate::ops::{self, Lag, Ops, Two};
use crate::otlp::{Otlp, Traces};
use crate::settings::Settings;
use crate::{logging, stop, telling};
use cluster::Cluster;
use data::{DataDir, Databases};
use notes::Notes;
use operations::Operations;
use services::{Ended, Services};
use traffic::Traffic;
use view::{Facts, Look, View};

/// The log where there is a screen.
const LOG_FILE: &str = "up.log";
/// The name of the ops store among the databases of the services.
const OPS_STORE: &str = "ops";
/// How often it is asked whether all groups have their members.
const JOIN_POLL: Duration = Duration::from_millis(20);
/// How long groups may take to form, after which they go on forming beside what is shown.
const JOIN: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Args {
    /// Where everything is kept; the next start goes on with it
    #[arg(long, value_name = "DIR", default_value = "event-bus-data")]
    data: PathBuf,
    /// Where the panel, /readyz, /livez and /metrics answer; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    http: SocketAddr,
    /// Orders placed per second; 0 leaves the bus to you
    #[arg(long, value_name = "N", default_value = "5", value_parser = rate)]
    rate: f64,
    /// Have events fail too: some at once, some after all their retries
    #[arg(long)]
    seed_failures: bool,
    #[command(flatten)]
    two: Two,
    #[command(flatten)]
    lag: Lag,
    #[command(flatten)]
    otlp: Otlp,
}

impl Args {
    /// Log lines go to stderr, or where that would tear the screen into a file and in short on the screen.
    pub fn start_logging(&self, global: &Global) -> anyhow::Result<()> {
        if Look::of(global.output) != Look::Screen {
            return logging::start(global.log.as_deref(), "warn");
        }
        let path = self.data.join(LOG_FILE);
        let file = std::fs::create_dir_all(&self.data)
            .and_then(|()| File::options().create(true).append(true).open(&path))
            .with_context(|| format!("the log {} can't be written", path.display()))?;
        logging::start_in_file(global.log.as_deref(), "info", file, notes().clone())
    }

    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let started = Instant::now();
        let (global, listen) = global.without_listen();
        let settings = Settings::of(&global)?;
        let catalogue = settings.catalogue()?;
        // Before anything is opened, so that a signal meanwhile is not lost.
        let requested = stop::requested(false)?;
        let data = DataDir::open(&self.data)?;
        let listener = telling::listen(self.http).await?;
        let http = listener.local_addr()?;
        let cluster = Cluster::start(&settings, listen, &data).await?;
        let databases = data.databases(settings.bootstrap_given(), catalogue.namespace())?;
        let store = OpsStore::open(&databases.of(OPS_STORE)).await?;
        let ops = Ops::on(store, &catalogue, &cluster.kafka, &self.two, &self.lag)?;
        let facts = Facts {
            set_up: ops::set_up_link(&ops.store, &ops::at(http)?).await?,
            started,
            kafka: cluster.kafka.bootstrap().to_owned(),
            is_embedded: cluster.is_embedded(),
            http,
            data: data.path().to_owned(),
        };
        let look = Look::of(global.output);
        let (admin, metrics) = (ops.admin.clone(), Metrics::default());
        let operations = Operations::start(metrics.clone(), listener, ops);
        let watch = operations.watch.clone();
        let view = View::new(look, facts, watch, notes().clone(), global.output());
        let traces = self.otlp.start();
        let mut up = Up { catalogue, cluster, admin, operations, metrics, traces, view };
        let ended = up.run(&self, &databases, &requested).await;
        up.traces.stop().await;
        up.operations.stop().await;
        up.cluster.stop().await;
        ended
    }
}

/// The last warnings, from the start of logging on.
fn notes() -> &'static Notes {
    static NOTES: OnceLock<Notes> = OnceLock::new();
    NOTES.get_or_init(Notes::default)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 =
        text.parse().map_err(|_| "want orders per second, such as 5 or 0.5".to_owned())?;
    if rate.is_finite() && rate >= 0.0 { Ok(rate) } else { Err("want 0 or more".to_owned()) }
}

/// What runs between the start of the broker and its end.
struct Up {
    catalogue: Arc<Catalogue>,
    cluster: Cluster,
    admin: Admin,
    operations: Operations,
    metrics: Metrics,
    traces: Traces,
    view: View,
}

impl Up {
    /// Starts, runs, and stops in order: the traffic, then the services.
    async fn run(
        &mut self,
        args: &Args,
        databases: &Databases,
        requested: &watch::Receiver<bool>,
    ) -> anyhow::Result<Exit> {
        self.view.opened()?;
        let mut services = tokio::select! {
            started = self.start(databases) => started?,
            // Nothing is under way yet that would have to be finished.
            () = stop::of(requested.clone()) => return Ok(Exit::Done),
        };
        self.operations.index();
        let mut traffic = Traffic::new();
        let mut outcome = self.live(args, &mut services, &mut traffic, requested).await;
        let stopping = Instant::now();
        // Nobody may be reading any more, which is then the reason for the stop.
        drop(self.view.say("stopping: the traffic, then the services, then the broker"));
        traffic.stop().await;
        for ended in services.stop().await {
            tracing::error!(service = ended.service, error = ended.error, "did not end well");
            outcome = outcome.map(|_| Exit::Failed);
        }
        let seconds = stopping.elapsed().as_secs_f64();
        drop(
            self.view.say(&format!("stopped in {seconds:.1} s; the next start goes on from here")),
        );
        outcome
    }

    /// Topics, databases, services.
    async fn start(&self, databases: &Databases) -> anyhow::Result<Services> {
        let opening = async {
            let opened = Services::open(&self.catalogue, &self.cluster.kafka, databases).await;
            tracing::debug!("the databases are open");
            opened.map_err(anyhow::Error::from)
        };
        let topics = async {
            self.cluster.apply_topics(&self.admin, &self.catalogue).await?;
            tracing::debug!("the topics are there");
            Ok(())
        };
        let (services, ()) = tokio::try_join!(opening, topics)?;
        Ok(Services::start(services, &self.metrics, &self.traces))
    }

    /// Waits until all is there and looked at.
    async fn becomes_ready(&mut self) {
        all_joined(&self.admin, &self.catalogue).await;
        tracing::debug!("the services have joined their groups");
        self.operations.look(self.view.pause()).await;
        self.operations.watch.started();
    }

    /// Until a stop is requested, or nobody reads the view any more.
    async fn live(
        &mut self,
        args: &Args,
        services: &mut Services,
        traffic: &mut Traffic,
        requested: &watch::Receiver<bool>,
    ) -> anyhow::Result<Exit> {
        tokio::select! {
            () = self.becomes_ready() => {}
            Ended { service, error } = services.next_ended() => bail!("{service} ended: {error}"),
            () = stop::of(requested.clone()) => return Ok(Exit::Done),
        }
        self.view.ready()?;
        if args.rate > 0.0 {
            for outbox in services.outboxes() {
                traffic.begin(outbox.clone(), args.rate);
            }
        }
        if args.seed_failures {
            let publisher = Publisher::connect(Arc::clone(&self.catalogue), &self.cluster.kafka)?;
            let tracer = self.traces.tracer(self.catalogue.namespace(), "seed-failures");
            traffic.begin_failures(publisher.traced_by(tracer));
        }
        let mut exit = Exit::Done;
        loop {
            tokio::select! {
                shown = self.view.run() => shown?,
                Ended { service, error } = services.next_ended() => {
                    tracing::error!(service, error, "ended by itself: the others go on");
                    self.operations.watch.part_ended(format!("the service {service}"), error);
                    exit = Exit::Failed;
                }
                () = stop::of(requested.clone()) => return Ok(exit),
            }
        }
    }
}

/// Waits until every group of the catalogue has its members: only then do events get handled. A cluster that does not
/// get there in time is shown as it is.
async fn all_joined(admin: &Admin, catalogue: &Catalogue) {
    let deadline = Instant::now() + JOIN;
    while Instant::now() < deadline {
        let groups = admin.groups().await.unwrap_or_default();
        let is_stable = |name: &str| {
            groups.iter().any(|group| {
                group.name == name && group.state == "Stable" && !group.members.is_empty()
            })
        };
        if catalogue.subscriptions().all(|found| is_stable(found.consumer.group.as_str())) {
            return;
        }
        tokio::time::sleep(JOIN_POLL).await;
    }
    tracing::warn!("not every service has joined its consumer groups yet");
}
