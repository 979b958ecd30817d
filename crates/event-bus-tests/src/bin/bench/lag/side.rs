//! An exporter, as a process of its own.

use std::fmt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use event_bus_tests::eventually::eventually;
use event_bus_tests::process::get;
use event_bus_tests::servers::free_port;
use tempfile::TempDir;

use super::cluster::{Cluster, PREFIX};
use crate::broker::memory::{Watch, mebibytes};
use crate::publish::turn::cpu_time_of;

/// How long the first collection may take.
const BEGINS_WITHIN: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `event-bus ops serve`
    Ours,
    /// klag-exporter
    Klag,
}

/// How the sides are started.
pub struct Setting {
    pub bootstrap: String,
    pub program: String,
    pub peer: String,
    /// From one collection to the next.
    pub every: Duration,
}

/// What a side took.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Of the processors, from one collection to the next, its scrape included.
    pub cpu: Duration,
    /// A collection, as the side itself tells it; the median.
    pub took: Duration,
    /// A scrape; the median.
    pub scraped: Duration,
    /// The most memory that it had.
    pub peak_bytes: u64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, took, scraped, peak_bytes } = self;
        let (cpu, took, scraped) = (cpu.as_secs_f64(), took.as_secs_f64(), scraped.as_secs_f64());
        write!(
            f,
            "processor {:.1} ms, collection {:.1} ms, scrape {:.1} ms, {} MiB",
            cpu * 1e3,
            took * 1e3,
            scraped * 1e3,
            mebibytes(*peak_bytes)
        )
    }
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "event-bus ops",
            Self::Klag => "klag-exporter",
        }
    }

    /// The lag of a partition, and the label of its group.
    fn lag(self) -> (&'static str, &'static str) {
        match self {
            Self::Ours => ("kafka_consumergroup_lag", "consumergroup"),
            Self::Klag => ("kafka_consumergroup_group_lag", "group"),
        }
    }

    /// How long a collection took, in seconds.
    fn took(self) -> &'static str {
        match self {
            Self::Ours => "event_bus_lag_collection_seconds",
            Self::Klag => "kafka_lag_exporter_scrape_duration_seconds",
        }
    }
}

impl Setting {
    /// Starts a side, looks at so many of its collections, and ends it.
    ///
    /// # Panics
    /// When it tells a wrong lag.
    pub async fn measure(&self, side: Side, cluster: &Cluster, collections: usize) -> Measured {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let address = format!("127.0.0.1:{}", free_port());
        let mut child = self.start(side, &address, &folder);
        let (pid, memory) = (child.id(), Watch::start(child.id()));
        let (metric, label) = side.lag();
        let scrape = async || {
            let text = get(&address, "/metrics").await?.1;
            cluster.check(&text, metric, label).map(|()| text)
        };
        eventually(BEGINS_WITHIN, scrape).await;
        // What is done once, after the first collections, is not a collection's.
        let mut ticks = tokio::time::interval(self.every);
        for _ in 0..3 {
            ticks.tick().await;
        }
        let cpu = || cpu_time_of(&pid.to_string()).expect("it runs");
        let (before, began) = (cpu(), Instant::now());
        let (mut took, mut scraped) = (Vec::new(), Vec::new());
        for _ in 0..collections {
            ticks.tick().await;
            let started = Instant::now();
            let text = scrape().await.unwrap_or_else(|wrong| panic!("{}: {wrong}", side.name()));
            scraped.push(started.elapsed());
            let line = text.lines().find(|line| line.starts_with(side.took()));
            let seconds = line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok());
            took.push(Duration::from_secs_f64(seconds.expect("it tells how long it took")));
        }
        ticks.tick().await;
        let cycles = began.elapsed().as_secs_f64() / self.every.as_secs_f64();
        let cpu = (cpu() - before).div_f64(cycles);
        let kill = Command::new("kill").arg(pid.to_string()).status();
        assert!(kill.is_ok_and(|status| status.success()), "it has ended by itself");
        child.wait().expect("it can be waited for");
        took.sort_unstable();
        scraped.sort_unstable();
        Measured {
            cpu,
            took: took[took.len() / 2],
            scraped: scraped[scraped.len() / 2],
            peak_bytes: memory.peak_bytes(),
        }
    }

    fn start(&self, side: Side, address: &str, folder: &TempDir) -> Child {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]);
        match side {
            Side::Ours => {
                let store = format!("sqlite://{}/ops.db", folder.path().display());
                command.arg(&self.program).args(["--bootstrap", &self.bootstrap, "--log", "error"]);
                command.args(["ops", "serve", "--store", &store, "--http", address]);
                command.args(["--lag-every", &self.every.as_secs().to_string()]);
                let pattern = format!("{PREFIX}.*");
                command.args(["--lag-groups", &pattern, "--lag-topics", &pattern]);
            }
            Side::Klag => {
                let (host, port) = address.rsplit_once(':').expect("it has a port");
                let config = format!(
                    include_str!("../../../../../../bench/peers/klag/config.toml"),
                    every = self.every.as_secs(),
                    host = host,
                    port = port,
                    bootstrap = self.bootstrap,
                    prefix = PREFIX,
                );
                let path = folder.path().join("config.toml");
                std::fs::write(&path, config).expect("it can be written");
                command.arg(&self.peer).arg("--config").arg(path);
            }
        }
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        spawned.unwrap_or_else(|error| panic!("{}: {error}", side.name()))
    }
}
