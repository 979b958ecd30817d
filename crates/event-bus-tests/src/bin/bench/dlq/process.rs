//! The ops process that is measured, and its store.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_bus::names::Namespace;
use event_bus::{Catalogue, KafkaConfig};
use event_bus_ops::client::Client;
use event_bus_tests::ops;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::broker::memory::{Watch, resident_bytes};
use crate::database;
use crate::publish::turn::Quartiles;

/// A bus of its own on somebody's brokers, and the program on it.
pub struct Bus {
    pub kafka: KafkaConfig,
    pub catalogue: Arc<Catalogue>,
    pub program: Program,
}

impl Bus {
    pub fn new(bootstrap: &str, program: &str) -> Self {
        let namespace = format!("bench-{:08x}", rand::random::<u32>());
        let catalogue = blindstrader::catalogue()
            .with_namespace(Namespace::new(&namespace).expect("a valid namespace"));
        let (path, bootstrap) = (program.to_owned(), bootstrap.to_owned());
        Self {
            kafka: KafkaConfig::plain(&bootstrap),
            catalogue: Arc::new(catalogue),
            program: Program { path, bootstrap, namespace },
        }
    }
}

/// What requests take in milliseconds, after one that is not counted.
pub async fn timed(requests: usize, mut request: impl AsyncFnMut()) -> Quartiles {
    request().await;
    let mut took = Vec::with_capacity(requests);
    for _ in 0..requests {
        let began = Instant::now();
        request().await;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Quartiles::of(took.into_iter())
}

/// Tells it, and whether half of the requests took no longer than that.
pub fn tell(what: &str, took: &Quartiles, aim: Duration) -> bool {
    let is_fast = took.median() <= aim.as_secs_f64() * 1e3;
    let mark = if is_fast { "" } else { "  SLOWER THAN IT SHOULD BE" };
    let (half, most) = (took.median(), took.at_percent(99));
    println!("{what}: {half:.1} ms, 99 of 100 in {most:.1} ms{mark}");
    is_fast
}

/// How the program is called.
pub struct Program {
    path: String,
    bootstrap: String,
    namespace: String,
}

impl Program {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(["--bootstrap", &self.bootstrap, "--namespace", &self.namespace]);
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

/// A new ops store.
pub enum Store {
    Sqlite(TempDir),
    Postgres { name: String, url: String },
}

impl Store {
    pub async fn new(maintenance: Option<&str>) -> Self {
        match maintenance {
            None => Self::Sqlite(tempfile::tempdir().expect("a temporary folder can be made")),
            Some(maintenance) => {
                let (name, url) = database::create(maintenance).await;
                Self::Postgres { name, url }
            }
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}/ops.db", folder.path().display()),
            Self::Postgres { url, .. } => url.clone(),
        }
    }

    /// What it takes on the disk.
    pub async fn mebibytes(&self) -> u64 {
        let bytes = match self {
            Self::Sqlite(folder) => {
                let size = |name: &str| -> u64 {
                    let path: PathBuf = folder.path().join(name);
                    path.metadata().map_or(0, |metadata| metadata.len())
                };
                size("ops.db") + size("ops.db-wal")
            }
            Self::Postgres { name, url } => {
                let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
                let size = AssertSqlSafe(format!("SELECT pg_database_size('{name}')"));
                let size: i64 =
                    sqlx::query_scalar(size).fetch_one(&mut connection).await.expect("it answers");
                size.unsigned_abs()
            }
        };
        bytes >> 20
    }
}

/// The process.
pub struct Ops {
    child: Child,
    address: String,
    pub client: Client,
}

impl Ops {
    /// Starts it, and returns once its index is there: with the most memory that it had until then.
    pub async fn start(program: &Program, store: &Store) -> (Self, u64) {
        let url = store.url();
        let made = program.command(&["ops", "token", "make", "bench", "--store", &url]).output();
        let made = made.await.expect("the program can be run");
        let token = String::from_utf8(made.stdout).expect("a token is text");
        let mut command = program.command(&["ops", "serve", "--store", &url]);
        command.args(["--log", "info"]);
        let mut child = ops::start(command);
        let watch = Watch::start(child.id().expect("it runs"));
        let address = ops::address(&mut child, |line| eprintln!("{line}")).await.to_string();
        let url = format!("http://{address}").parse().expect("it is a URL");
        (Self { child, address, client: Client::new(url, token.trim()) }, watch.peak_bytes())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Where it answers.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The memory that it has now, in bytes.
    pub fn memory(&self) -> u64 {
        self.child.id().and_then(resident_bytes).unwrap_or(0)
    }
}
