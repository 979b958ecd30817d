//! The ops process that is measured, and its store.

use std::path::PathBuf;
use std::process::Stdio;

use event_bus_ops::client::Client;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::broker::memory::{Watch, resident_bytes};
use crate::database;

/// How the program is called.
pub struct Program {
    pub path: String,
    pub bootstrap: String,
    pub namespace: String,
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
        command.args(["--http", "127.0.0.1:0", "--log", "info"]).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let watch = Watch::start(child.id().expect("it runs"));
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let address = loop {
            let line = lines.next_line().await.expect("it can be read").expect("it goes on");
            if let Some((_, address)) = line.rsplit_once("the API answers http=") {
                break address.split_whitespace().next().unwrap_or(address).to_owned();
            }
        };
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("{line}");
            }
        });
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
