//! Blindstrader's eight services as processes of the `event-bus` program, on topics and databases of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use event_bus::Catalogue;
use event_bus::envelope::Envelope;
use event_bus::kafka::admin::{Admin, AdminError, Position};
use event_bus::lag::Reading;
use event_bus::names::{EventId, GroupName, TopicName};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::databases::Databases;
use crate::eventually::eventually;
use crate::kafka::{create_topics, everything_in};
use crate::kafka_tools;
use crate::process::signal;
use crate::servers;

/// The services, in the catalogue's order.
pub const SERVICES: [&str; 8] = [
    "brand",
    "supplier",
    "retailer",
    "supply-chain",
    "payment",
    "notification",
    "identity",
    "platform",
];

/// How long a process may take to end after SIGTERM: the drain's deadline and some seconds for the group.
const STOPS_WITHIN: Duration = Duration::from_secs(60);

/// How long Kafka may take to find the leaders of new partitions.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// The running platform. Its processes end with it.
pub struct Platform {
    /// The shipped contract under a namespace of its own.
    pub catalogue: Arc<Catalogue>,
    /// The services' databases.
    pub databases: Databases,
    folder: TempDir,
    processes: BTreeMap<&'static str, Child>,
    starts: u32,
}

impl Platform {
    /// Topics and databases, and no service yet. `partitions` instead of the catalogue's, so that many platforms fit
    /// one broker.
    ///
    /// # Panics
    /// When the topics can't be made.
    pub async fn new(databases: Databases) -> Self {
        let catalogue = Arc::new(blindstrader::catalogue().with_namespace(servers::namespace()));
        create_topics(&catalogue).await;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self { catalogue, databases, folder, processes: BTreeMap::new(), starts: 0 }
    }

    /// The program with what every call needs: where Kafka is, and the namespace.
    pub fn program(&self) -> Command {
        let mut command = Command::new(servers::program());
        command
            .args([
                "--bootstrap",
                &servers::bootstrap(),
                "--namespace",
                self.catalogue.namespace().as_ref(),
            ])
            // A killed member's partitions move after this time.
            .args(["--kafka", "session.timeout.ms=6000", "--kafka", "heartbeat.interval.ms=500"])
            .kill_on_drop(true)
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end with some input.
    ///
    /// # Panics
    /// When it can't be run.
    pub async fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.program();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("its input is a pipe");
        let write = async move {
            // A program that ends early closes its input; what it says tells why.
            drop(stdin.write_all(input.as_bytes()).await);
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), write);
        output.expect("the program ends")
    }

    /// Starts a service as a process.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(&mut self, service: &'static str) {
        self.starts += 1;
        let log = File::create(self.log(service, self.starts)).expect("a log file can be made");
        let mut command = self.program();
        command.args(["service", "run", service, "--store", &self.databases.url_template()]);
        command.stdout(Stdio::null()).stderr(log);
        self.processes.insert(service, command.spawn().expect("the program starts"));
    }

    /// Starts all eight.
    ///
    /// # Panics
    /// When one can't be started.
    pub fn start_all(&mut self) {
        for service in SERVICES {
            self.start(service);
        }
    }

    fn log(&self, service: &str, start: u32) -> PathBuf {
        self.folder.path().join(format!("{start:03}-{service}.log"))
    }

    /// Ends a service's process at once, as a power failure would.
    ///
    /// # Panics
    /// When it is not running.
    pub async fn kill(&mut self, service: &str) {
        let mut process = self.processes.remove(service).expect("the service runs");
        process.kill().await.expect("the process can be killed");
    }

    /// Ends a service's process by SIGTERM and waits for its clean end.
    ///
    /// # Panics
    /// When it does not end well in time, with its log.
    pub async fn stop(&mut self, service: &str) {
        let process = self.processes.remove(service).expect("the service runs");
        signal(&process, "TERM").await;
        self.ended(service, process).await;
    }

    async fn ended(&self, service: &str, mut process: Child) {
        let status = tokio::time::timeout(STOPS_WITHIN, process.wait()).await;
        let status = status
            .unwrap_or_else(|_| panic!("{service} did not end: {}", self.logs()))
            .expect("it can be waited for");
        assert!(status.success(), "{service} ended with {status}: {}", self.logs());
    }

    /// Stops all that runs.
    ///
    /// # Panics
    /// As [`Self::stop`].
    pub async fn stop_all(&mut self) {
        let processes = std::mem::take(&mut self.processes);
        for process in processes.values() {
            signal(process, "TERM").await;
        }
        for (service, process) in processes {
            self.ended(service, process).await;
        }
    }

    /// The lag of each group of these services, summed over partitions.
    async fn lags(&self, services: &[&str]) -> Result<Vec<(GroupName, u64)>, String> {
        let groups: Vec<(GroupName, TopicName)> = self
            .catalogue
            .subscriptions()
            .filter(|subscription| services.contains(&subscription.consumer.service.as_ref()))
            .map(|subscription| {
                (subscription.consumer.group.clone(), subscription.event.topic.clone())
            })
            .collect();
        let lags = admin().lag(&groups).await.map_err(|error| error.to_string())?;
        lags.into_iter()
            .map(|lag| {
                let mut sum = 0;
                for partition in &lag.partitions {
                    match &partition.reading {
                        Reading::Known(known) => sum += known.lag,
                        unknown @ Reading::Unknown { .. } => {
                            return Err(format!("{}: {unknown:?}", lag.group));
                        }
                    }
                }
                Ok((lag.group, sum))
            })
            .collect()
    }

    /// What of these services is not finished: groups with lag, outboxes with rows.
    async fn unfinished(&self, services: &[&str]) -> Result<(), String> {
        let mut open: Vec<String> = Vec::new();
        let lags = self.lags(services).await?;
        open.extend(
            lags.iter()
                .filter(|(_, lag)| *lag > 0)
                .map(|(group, lag)| format!("{group} lags {lag}")),
        );
        for service in services {
            let rows = self.databases.try_number(service, "SELECT count(*) FROM outbox").await;
            match rows {
                Ok(0) => {}
                Ok(rows) => open.push(format!("{service} has {rows} rows in its outbox")),
                Err(error) => open.push(format!("{service}: {error}")),
            }
        }
        if open.is_empty() { Ok(()) } else { Err(open.join("; ")) }
    }

    /// Waits until these services have handled and sent everything, and nothing new came meanwhile.
    ///
    /// # Panics
    /// When that takes longer than `limit`, with what is open and the logs.
    pub async fn finished(&self, services: &[&str], limit: Duration) {
        let settled = eventually(limit, async || {
            // What is handled is in the outbox before its offset is committed, so a second look at the ends of the
            // topics tells whether the first saw everything.
            let before = self.ends().await;
            self.unfinished(services).await?;
            let after = self.ends().await;
            if before == after { Ok(()) } else { Err("events still come".to_owned()) }
        });
        settled.await;
    }

    /// How many records each topic and dead letter topic ever got.
    ///
    /// # Panics
    /// When Kafka does not say for a while.
    pub async fn ends(&self) -> BTreeMap<TopicName, i64> {
        // A leader may be unknown for a moment after its topic was made.
        eventually(ANSWERS_WITHIN, async || self.try_ends().await).await
    }

    async fn try_ends(&self) -> Result<BTreeMap<TopicName, i64>, AdminError> {
        let admin = admin();
        let cluster = admin.cluster().await?;
        let events = self.catalogue.events();
        let topics: Vec<TopicName> = events
            .flat_map(|event| [event.topic.clone(), event.dead_letter_topic.clone()])
            .collect();
        let partitions = topics.iter().flat_map(|topic| cluster.partitions(topic)).collect();
        let mut sums = BTreeMap::new();
        for (partition, end) in admin.offsets(Position::End, partitions).await? {
            *sums.entry(partition.topic).or_insert(0) += end?.unwrap_or(0);
        }
        Ok(sums)
    }

    /// How many events a topic got. A relay that is killed between sending and removing sends again, so there may be
    /// more records.
    ///
    /// # Panics
    /// When the catalogue has no such event, or a record is none.
    pub async fn published(&self, event: &str) -> i64 {
        let topic = &self.catalogue.event(event).expect("the catalogue has it").topic;
        let records = everything_in(std::slice::from_ref(topic)).await;
        let ids: BTreeSet<EventId> = records
            .iter()
            .map(|record| {
                let value = record.value.as_deref().expect("the record has a value");
                let envelope = Envelope::parse(value).expect("the record is an event");
                envelope.event_id.expect("the event has an id")
            })
            .collect();
        i64::try_from(ids.len()).expect("a small number")
    }

    /// All dead letters.
    ///
    /// # Panics
    /// When Kafka does not say.
    pub async fn dead_letters(&self) -> i64 {
        let dead: Vec<_> =
            self.catalogue.events().map(|event| event.dead_letter_topic.clone()).collect();
        self.ends()
            .await
            .into_iter()
            .filter(|(topic, _)| dead.contains(topic))
            .map(|(_, count)| count)
            .sum()
    }

    /// Moves every group that has committed to the beginning, by Kafka's own tool. No service may run.
    ///
    /// # Panics
    /// When the tool refuses.
    pub async fn reset_all_groups(&self) {
        let mut groups = Vec::new();
        for subscription in self.catalogue.subscriptions() {
            let group = &subscription.consumer.group;
            if !admin().committed_offsets(group).await.expect("Kafka answers").is_empty() {
                groups.push(group.clone());
            }
        }
        kafka_tools::reset_groups_to_earliest(&groups).await;
    }

    /// The last lines of all logs.
    ///
    /// # Panics
    /// When they can't be read.
    pub fn logs(&self) -> String {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(self.folder.path())
            .expect("the folder is there")
            .map(|entry| entry.expect("it is readable").path())
            .collect();
        paths.sort();
        let mut text = String::new();
        for path in paths {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = log.lines().filter(|line| !line.contains(" INFO ")).collect();
            let last = lines.len().saturating_sub(10);
            text.push_str(&format!("\n--- {}\n{}", path.display(), lines[last..].join("\n")));
        }
        text
    }

    /// Stops everything and drops what was made on the servers.
    ///
    /// # Panics
    /// When a service does not end well.
    pub async fn end(mut self) {
        self.stop_all().await;
        self.databases.drop_all().await;
    }
}

fn admin() -> Admin {
    Admin::connect(&servers::kafka()).expect("an admin client can be made")
}
