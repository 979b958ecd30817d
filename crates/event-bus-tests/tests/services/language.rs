use std::path::PathBuf;

use event_bus_tests::databases::Databases;
use event_bus_tests::process::Process;
use event_bus_tests::servers;
use tokio::process::Command;

use crate::trial::Trial;

/// What a reference service is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Python,
    Node,
    Java,
    Go,
}

/// The database of one service.
pub enum Database {
    /// A file.
    Sqlite(String),
    /// A database of the server that all tests share, and its URL.
    Postgres(Databases, String),
}

impl Database {
    pub async fn of(language: Language, trial: &Trial, name: &str) -> Self {
        match language {
            Language::Python | Language::Java => Self::Sqlite(trial.path(&format!("{name}.db"))),
            Language::Node | Language::Go => {
                let databases = Databases::postgres().await;
                let Databases::Postgres { server, name } = &databases else {
                    unreachable!("it was asked for");
                };
                let (server, _) = server.rsplit_once('/').expect("a URL has a path");
                let url = format!("{server}/{name}?sslmode=disable");
                Self::Postgres(databases, url)
            }
        }
    }

    pub async fn drop(self) {
        if let Self::Postgres(databases, _) = self {
            databases.drop_all().await;
        }
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate is two levels below the root").to_path_buf()
}

fn sources(of: &str) -> PathBuf {
    root().join("compat/services").join(of)
}

/// What `cargo xtask services` says in this variable.
fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run this by `cargo xtask services`"))
}

/// A script of the Python service.
pub fn python(script: &str) -> Command {
    let mut python = Command::new(variable("EVENT_BUS_TEST_SERVICE_PYTHON"));
    // Nothing is written beside the sources.
    python.arg("-B").arg(sources("python").join(script));
    python
}

/// A script of the Node service.
pub fn node(script: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(sources("node").join(script))
        .env("NODE_PATH", variable("EVENT_BUS_TEST_SERVICE_NODE"));
    node
}

fn java(class: &str) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]);
    java.arg(variable("EVENT_BUS_TEST_SERVICE_JAVA")).arg(class);
    java
}

/// Tells a program where the topics of a trial are.
pub fn on(mut command: Command, trial: &Trial) -> Command {
    command.env("BOOTSTRAP", servers::bootstrap()).env("NAMESPACE", trial.namespace().as_str());
    command.env("CATALOGUE", root().join("catalogue"));
    command
}

impl Language {
    /// The service, on its database.
    pub fn service(self, trial: &Trial, database: &Database, arguments: &[&str]) -> Command {
        let command = match self {
            Self::Python => python("service.py"),
            Self::Node => node("service.js"),
            Self::Java => java("compat.Service"),
            Self::Go => Command::new(variable("EVENT_BUS_TEST_SERVICE_GO")),
        };
        let mut command = on(command, trial);
        let (Database::Sqlite(store) | Database::Postgres(_, store)) = database;
        command.env("STORE", store).args(arguments);
        command
    }

    /// How a trial counts the effects of the service: by its own table, or by its own word.
    pub async fn probe(self, database: &Database, service: &mut Process) -> Vec<String> {
        let counted = "SELECT count(*) FROM payments WHERE event_id = $1";
        let (url, query) = match database {
            Database::Sqlite(file) => (format!("sqlite://{file}"), counted.to_owned()),
            Database::Postgres(_, url) => (url.clone(), format!("{counted}::uuid")),
        };
        if self == Self::Node {
            let line = service.line().await;
            let url = line.strip_prefix("effects at ").expect("it says where").to_owned();
            return vec!["--probe-http".to_owned(), url];
        }
        vec!["--probe-sql".to_owned(), url, "--probe-query".to_owned(), query]
    }
}

/// The service's own test of what it knows of the contract.
pub async fn holds_the_vectors(language: Language) {
    let mut check = match language {
        Language::Python => python("vectors.py"),
        Language::Node => node("vectors.js"),
        Language::Java => java("compat.Vectors"),
        Language::Go => Command::new("go"),
    };
    match language {
        Language::Java => {
            check.arg(root());
        }
        Language::Go => {
            check.args(["test", "./..."]).env("GOTOOLCHAIN", "local").current_dir(sources("go"));
        }
        Language::Python | Language::Node => {}
    }
    said_ok(check).await;
}

/// Runs a program that says `ok` when it was.
pub async fn said_ok(mut program: Command) {
    let output = program.kill_on_drop(true).output().await.expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.starts_with("ok"), "{output:?}");
}
