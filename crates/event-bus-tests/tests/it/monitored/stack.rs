//! Services, ops, Prometheus and Alertmanager as processes, on topics of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use event_bus::names::{Namespace, TopicName};
use event_bus_tests::eventually::eventually;
use event_bus_tests::kafka::{raw, send_all};
use event_bus_tests::platform::SERVICES;
use event_bus_tests::process::{Process, escaped, get};
use event_bus_tests::servers;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::SOON;
use super::told::Receivers;
use crate::platform::{order, organisation};

/// What all durations of the rules are multiplied with: what takes half a minute takes a second and a half.
const FACTOR: &str = "0.05";
/// The shipped catalogue's thresholds, and those of the test: nobody waits for thousands of events.
const THRESHOLDS: [(&str, &str); 2] = [
    ("lag-warning = 1000\n", "lag-warning = 20\n"),
    ("lag-critical = 10000\n", "lag-critical = 60\n"),
];

pub struct Stack {
    folder: TempDir,
    global: Vec<String>,
    namespace: Namespace,
    /// Where each answers, or did.
    addresses: BTreeMap<&'static str, String>,
    services: BTreeMap<&'static str, Process>,
    others: Vec<Process>,
    prometheus: String,
    receivers: Receivers,
}

/// An address that is free now.
fn free() -> String {
    format!("127.0.0.1:{}", servers::free_port())
}

/// Replaces what must be there.
fn replaced(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old:?} is not in {text}");
    text.replace(old, new)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("it can be read") {
        let entry = entry.expect("it can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a file can be copied");
        }
    }
}

impl Stack {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let namespace = servers::namespace();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        copy(&root.join("catalogue"), &folder.path().join("catalogue"));
        let catalogue = folder.path().join("catalogue/blindstrader.toml");
        let mut text = fs::read_to_string(&catalogue).expect("it can be read");
        for (shipped, test) in THRESHOLDS {
            text = replaced(&text, shipped, test);
        }
        // There is one broker.
        text = replaced(&text, "\nreplication = 3\n", "\nreplication = 1\n");
        text = replaced(&text, "\nmin-insync-replicas = 2\n", "\nmin-insync-replicas = 1\n");
        fs::write(&catalogue, text).expect("it can be written");
        let global = [
            "--bootstrap".to_owned(),
            servers::bootstrap(),
            "--namespace".to_owned(),
            namespace.to_string(),
            "--catalogue".to_owned(),
            catalogue.display().to_string(),
        ];
        let receivers = Receivers::start().await;
        let mut stack = Self {
            folder,
            global: global.to_vec(),
            namespace,
            addresses: BTreeMap::new(),
            services: BTreeMap::new(),
            others: Vec::new(),
            prometheus: free(),
            receivers,
        };
        stack.program(&["topics", "apply"], "").await;
        for service in SERVICES {
            stack.run(service).await;
        }
        let store = format!("sqlite://{}/ops.db", stack.folder.path().display());
        let ops = ["ops", "serve", "--store", &store, "--http", "127.0.0.1:0", "--lag-every", "1"];
        let (ops, ops_address) = stack.process(&ops).await;
        stack.others.push(ops);
        stack.watch(&ops_address).await;
        stack
    }

    /// Runs a service, at the address that it had before.
    pub async fn run(&mut self, service: &'static str) {
        let store = format!("sqlite://{}/{{service}}.db", self.folder.path().display());
        let address = self.addresses.entry(service).or_insert_with(free).clone();
        let run = ["service", "run", service, "--store", &store, "--http", &address];
        let (process, _) = self.process(&run).await;
        self.services.insert(service, process);
    }

    pub async fn stop(&mut self, service: &'static str) {
        let process = self.services.remove(service).expect("it runs");
        process.signal("TERM").await;
        let ended = process.ended().await;
        assert!(ended.status.success(), "{}", ended.stderr);
    }

    /// A process of the program, and the address at which it answers.
    async fn process(&self, arguments: &[&str]) -> (Process, String) {
        let global: Vec<&str> = self.global.iter().map(String::as_str).collect();
        let process = Process::start(&[&global[..], &["--log", "info"], arguments].concat());
        let address = eventually(SOON, async || {
            let errors = process.errors();
            let (_, behind) = errors.split_once("http=").ok_or_else(|| errors.clone())?;
            let address = behind.split_whitespace().next().ok_or_else(|| errors.clone())?;
            get(address, "/livez").await.map(|_| address.to_owned())
        });
        let address = address.await;
        (process, address)
    }

    /// Runs the program to its end, and gives what it printed.
    async fn program(&self, arguments: &[&str], input: &str) -> String {
        let file = self.folder.path().join("input");
        fs::write(&file, input).expect("it can be written");
        let mut command = Command::new(servers::program());
        command.args(&self.global).args(arguments).kill_on_drop(true);
        command.stdin(fs::File::open(&file).expect("it can be read"));
        let output = command.output().await.expect("the program starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("it prints text")
    }

    /// Prometheus and Alertmanager, by the files of `deploy/` with other addresses and shorter times.
    async fn watch(&mut self, ops: &str) {
        let rules = ["catalogue", "export", "prometheus-rules", "--durations-times", FACTOR];
        self.write("rules.yml", &self.program(&rules, "").await);
        let text = include_str!("../../../../../deploy/prometheus/prometheus.yml");
        let alertmanager = free();
        let (head, targets) = text.split_once("      - targets:\n").expect("services are listed");
        assert_eq!(targets.lines().count(), SERVICES.len(), "{targets}");
        let mut text = replaced(head, "scrape_interval: 10s", "scrape_interval: 1s");
        text = replaced(&text, "evaluation_interval: 10s", "evaluation_interval: 1s");
        text = replaced(&text, "\"alertmanager:9093\"", &format!("\"{alertmanager}\""));
        text = replaced(&text, "\"ops:9300\"", &format!("\"{ops}\""));
        text.push_str("      - targets:\n");
        for address in self.addresses.values() {
            writeln!(text, "          - {address}").expect("a string takes it");
        }
        let config = self.write("prometheus.yml", &text);

        let text = include_str!("../../../../../deploy/alertmanager/alertmanager.yml");
        let (head, receivers) = text.split_once("receivers:\n").expect("it has receivers");
        let mut text = replaced(head, "group_wait: 5s", "group_wait: 1s");
        text = replaced(&text, "group_interval: 2m", "group_interval: 1s");
        text.push_str("receivers:\n");
        for receiver in ["channel", "pager"] {
            assert!(receivers.contains(&format!("- name: {receiver}\n")), "{receivers}");
            let address = self.receivers.address;
            writeln!(
                text,
                "  - name: {receiver}\n    webhook_configs:\n      - url: http://{address}/{receiver}"
            )
            .expect("a string takes it");
        }
        let told = self.write("alertmanager.yml", &text);

        let mut command = Command::new(servers::alertmanager());
        command.arg(format!("--config.file={}", told.display()));
        command.arg(format!("--storage.path={}", self.folder.path().join("told").display()));
        command.arg(format!("--web.listen-address={alertmanager}"));
        command.arg("--cluster.listen-address=");
        self.others.push(Process::spawn(command));
        let mut command = Command::new(servers::prometheus());
        command.arg(format!("--config.file={}", config.display()));
        let data = self.folder.path().join("prometheus");
        command.arg(format!("--storage.tsdb.path={}", data.display()));
        command.arg(format!("--web.listen-address={}", self.prometheus));
        self.others.push(Process::spawn(command));
        for (address, path) in [(&alertmanager, "/-/ready"), (&self.prometheus, "/-/ready")] {
            eventually(SOON, async || match get(address, path).await {
                Ok((200, _)) => Ok(()),
                other => Err(format!(
                    "{other:?}: {}",
                    self.others.iter().map(Process::errors).collect::<String>()
                )),
            })
            .await;
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("it can be written");
        path
    }

    /// So many organisations and orders.
    pub async fn publish(&self, prefix: &str, count: usize) {
        let prefix = prefix.replace(' ', "-");
        let organisations: String = (0..count).map(|nth| organisation(&prefix, nth)).collect();
        let orders: String = (0..count).map(|nth| order(&prefix, nth)).collect();
        self.program(&["publish", "OrganisationCreated"], &organisations).await;
        self.program(&["publish", "OrderPlaced"], &orders).await;
    }

    /// A record that nobody can read.
    pub async fn spoil(&self) {
        let topic = TopicName::new(&format!("{}.order.placed", self.namespace));
        let topic = topic.expect("it is a topic's");
        send_all(vec![raw(&topic, Some(b"o-1"), Some(b"{"), Vec::new())]).await;
    }

    pub fn group(&self, service: &str, event: &str) -> String {
        format!("{}-{service}-{event}", self.namespace)
    }

    pub async fn dashboard(&self, name: &str) -> Value {
        let text = self.program(&["catalogue", "export", "grafana-dashboard", name], "").await;
        serde_json::from_str(&text).expect("a dashboard is JSON")
    }

    /// What a query gives.
    async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let (code, body) =
            get(&self.prometheus, &format!("/api/v1/query?query={}", escaped(query))).await?;
        let mut answer: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        match answer["data"]["result"].take() {
            Value::Array(result) if code == 200 => Ok(result),
            _ => Err(format!("{code}: {body}")),
        }
    }

    /// Waits until a query gives something that is a number.
    pub async fn has_data(&self, query: &str) {
        eventually(SOON, async || {
            let result = self.query(query).await?;
            let is_number = |found: &Value| found["value"][1].as_str() != Some("NaN");
            let has = result.iter().any(is_number);
            if has { Ok(()) } else { Err(format!("{query}: {result:?}")) }
        })
        .await;
    }

    /// The alerts of a severity that fire, with the group that they are about.
    pub async fn alerts(&self, severity: &str) -> BTreeSet<(String, String)> {
        let query = format!("ALERTS{{alertstate=\"firing\",severity=\"{severity}\"}}");
        let firing = self.query(&query).await.expect("Prometheus answers");
        let text = |alert: &Value, name: &str| {
            alert["metric"][name].as_str().unwrap_or_default().to_owned()
        };
        firing
            .iter()
            .map(|alert| (text(alert, "alertname"), text(alert, "consumergroup")))
            .collect()
    }

    pub fn was_told(&self, receiver: &str, alert: &str, group: &str) -> bool {
        let told = self.receivers.told();
        told.iter()
            .any(|told| told.receiver == receiver && told.name == alert && told.group == group)
    }

    /// Waits until the last that a receiver was told of an alert is this.
    pub async fn told(&self, receiver: &str, alert: &str, group: &str, status: &str) {
        eventually(SOON, async || {
            let told = self.receivers.told();
            let last = told.iter().rfind(|told| {
                told.receiver == receiver && told.name == alert && told.group == group
            });
            match last {
                Some(last) if last.status == status => {
                    assert!(last.runbook.ends_with(&format!("/docs/runbooks/{alert}.md")));
                    Ok(())
                }
                _ => Err(told),
            }
        })
        .await;
    }

    pub async fn end(self) {
        for process in self.others.into_iter().chain(self.services.into_values()) {
            process.signal("TERM").await;
            process.ended().await;
        }
    }
}
