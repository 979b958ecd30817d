//! A workshop whose four departments all work on each piece, and fail at pieces with their flaws until those are mended.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_bus::catalogue::Event as EventDefinition;
use event_bus::dead_letter::{Cause, Obituary, Reason, dlq_id};
use event_bus::dead_letters::{DeadLetters, Filter, Plan, State};
use event_bus::envelope::Draft;
use event_bus::kafka::Record;
use event_bus::kafka::admin::Admin;
use event_bus::names::{GroupName, TopicName};
use event_bus::store::Migration;
use event_bus::{
    Catalogue, Context, Event, EventType, Failure, Handled, Handler, KafkaConfig, Service,
};
use event_bus_tests::databases::Databases;
use event_bus_tests::defaults::Defaults;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, lag, publisher, raw, send_all};
use event_bus_tests::servers;
use event_bus_tests::shop::Running;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use uuid::Uuid;

pub const CONSUMERS: [&str; 4] = ["sawing", "drilling", "painting", "packing"];
const TENANTS: [&str; 3] = ["acme", "bolt", "cogs"];
const NAMES: [&str; 5] = ["bent", "cracked", "dented", "rusty", "warped"];
const SOON: Duration = Duration::from_secs(60);

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["piece", "number"],
  "properties": { "piece": { "type": "string" }, "number": { "type": "integer" }, "flaw": { "type": "integer" },
    "owner": { "type": "object", "properties": { "name": { "type": "string" } } } }
}"#;

const SAMPLE: &str = r#"{"event": "PieceCut", "payload": {"piece": "plank", "number": 7}}"#;

const TABLES: &[Migration] = &[Migration {
    version: 1,
    description: "works",
    postgres: "CREATE TABLE works (place bigserial PRIMARY KEY, number bigint NOT NULL, event_id text NOT NULL)",
    sqlite: "CREATE TABLE works (
        place integer PRIMARY KEY AUTOINCREMENT, number bigint NOT NULL, event_id text NOT NULL)",
}];

/// What is wrong with a piece, for one of the departments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Flaw(pub usize);

impl Flaw {
    /// Who can't work on such a piece. Two flaws are one department's.
    pub fn service(self) -> &'static str {
        CONSUMERS[self.0 % CONSUMERS.len()]
    }

    pub fn text(self) -> String {
        format!("is {}", NAMES[self.0])
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct PieceCut {
    piece: String,
    number: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flaw: Option<Flaw>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
}

/// Whose a piece is, which is personal.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Owner {
    name: String,
}

impl EventType for PieceCut {
    const NAME: &'static str = "PieceCut";
    const VERSION: &'static str = "1.0";
}

#[derive(Debug, thiserror::Error)]
#[error("piece {number} {}", .flaw.text())]
struct Unusable {
    number: i64,
    flaw: Flaw,
}

/// What the departments share.
#[derive(Default)]
struct Shared {
    mended: AtomicUsize,
    calls: Mutex<BTreeMap<&'static str, usize>>,
}

struct Department {
    name: &'static str,
    shared: Arc<Shared>,
}

impl Handler<PieceCut> for Department {
    async fn handle(&self, event: Event<PieceCut>, context: &mut Context<'_>) -> Handled {
        *self.shared.calls.lock().expect("nobody panics").entry(self.name).or_default() += 1;
        let PieceCut { number, flaw, .. } = event.payload;
        let values = [number.into(), event.id.to_string().into()];
        context
            .tx()
            .execute("INSERT INTO works (number, event_id) VALUES ($1, $2)", &values)
            .await?;
        match flaw {
            Some(flaw)
                if flaw.service() == self.name
                    && self.shared.mended.load(Ordering::Relaxed) & (1 << flaw.0) == 0 =>
            {
                Err(Failure::reject(Unusable { number, flaw }))
            }
            _ => Ok(()),
        }
    }
}

pub struct Workshop {
    pub catalogue: Arc<Catalogue>,
    pub kafka: KafkaConfig,
    shared: Arc<Shared>,
    next: AtomicI64,
    /// Whose the pieces are, if anybody's.
    owner: Option<Owner>,
    /// The catalogue's file and its schema, for the program.
    folder: TempDir,
}

/// The departments at work.
pub struct Services(Vec<Running>);

impl Services {
    pub async fn stop(self) {
        for running in self.0 {
            running.stop().await;
        }
    }
}

impl Workshop {
    pub async fn open(partitions: u32, settings: &str) -> Self {
        let defaults = Defaults { partitions, ..Defaults::QUICK };
        let services: String =
            CONSUMERS.map(|name| format!("{name} = {{ title = \"{name}\" }}\n")).concat();
        let consumers: String = CONSUMERS
            .map(|name| {
                format!("[events.PieceCut.consumers.{name}]\nreads = [\"/piece\", \"/number\", \"/flaw\"]\n{settings}\n")
            })
            .concat();
        let toml = format!(
            "namespace = \"workshop\"\n[services]\n{services}cutting = {{ title = \"Cutting\" }}\n{defaults}\n\
             [events.PieceCut]\ntopic = \"piece.cut\"\ndescription = \"A piece was cut.\"\nproducer = \"cutting\"\n\
             key = [\"/tenant_id\", \"/payload/piece\"]\nversions = [\"1.0\"]\npersonal-data = [\"/payload/owner\"]\n{consumers}"
        );
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it is in the folder"))
                .expect("it is made");
            std::fs::write(path, text).expect("it is written");
        };
        write("workshop.toml", &toml);
        write("schemas/PieceCut/1.0.json", SCHEMA);
        write("samples/PieceCut/1.0/valid-plank.json", SAMPLE);
        write("samples/PieceCut/1.0/invalid-plank.json", "{}");
        let catalogue = Catalogue::load(&folder.path().join("workshop.toml"));
        let catalogue = catalogue.expect("it is right").with_namespace(servers::namespace());
        create_topics(&catalogue).await;
        Self {
            catalogue: Arc::new(catalogue),
            kafka: servers::kafka(),
            shared: Arc::default(),
            next: AtomicI64::new(0),
            owner: None,
            folder,
        }
    }

    /// From now on all pieces are somebody's.
    pub fn owned_by(self, name: &str) -> Self {
        Self { owner: Some(Owner { name: name.to_owned() }), ..self }
    }

    /// Runs the program, as an operator of the workshop.
    pub async fn program(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.expect("the program can be run")
    }

    /// The program, as an operator of the workshop would start it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let catalogue = self.folder.path().join("workshop.toml");
        let mut command = Command::new(servers::program());
        command.args(["--bootstrap", &servers::bootstrap(), "--catalogue"]).arg(catalogue);
        command.args(["--namespace", self.catalogue.namespace().as_str()]).args(arguments);
        command.env("USER", "tests").stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// What it prints as JSON.
    pub async fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.program(&[arguments, &["--output", "json"]].concat()).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let stream = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
        stream.collect::<Result<_, _>>().expect("it is JSON")
    }

    /// Starts the departments, each on a database of its own.
    pub async fn start(&self, databases: &Databases) -> Services {
        let mut services = Vec::new();
        for name in CONSUMERS {
            let (url, catalogue) = (databases.url(name), Arc::clone(&self.catalogue));
            let opened = Service::open(name, catalogue, self.kafka.clone(), &url, TABLES).await;
            let department = Department { name, shared: Arc::clone(&self.shared) };
            services.push(Running::start(opened.expect("it opens").on::<PieceCut>(department)));
        }
        Services(services)
    }

    fn event(&self) -> &Arc<EventDefinition> {
        self.catalogue.event(PieceCut::NAME).expect("the workshop has it")
    }

    pub fn topic(&self) -> TopicName {
        self.event().topic.clone()
    }

    /// The group of a department.
    pub fn group(&self, service: &str) -> GroupName {
        let subscription = self.catalogue.subscription(service, PieceCut::NAME);
        subscription.expect("it consumes them").consumer.group.clone()
    }

    fn piece(&self, number: i64, flaw: Option<Flaw>) -> PieceCut {
        PieceCut { piece: "plank".to_owned(), number, flaw, owner: self.owner.clone() }
    }

    /// Pieces of all tenants by turns; one alone is the first one's, and all are under one key of a tenant.
    pub async fn publish(&self, count: usize, flaw: Option<Flaw>) {
        let records = (0..count).map(|nth| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let tenant = if flaw.is_some() { TENANTS[nth % TENANTS.len()] } else { TENANTS[0] };
            let piece = self.piece(number, flaw);
            let tenant = tenant.parse().expect("a name");
            let draft = Draft::typed(self.event(), &tenant, &piece, jiff::Timestamp::now());
            draft.expect("it fits its schema").seal().expect("it fits the limits")
        });
        send_all(records.collect()).await;
    }

    /// Dead letters of pieces with a flaw, as the department would have written them, for pieces that nobody published:
    /// more than are handled in a test's time.
    pub async fn bury(&self, count: usize, flaw: Flaw) {
        const AT_ONCE: usize = 10_000;
        let event = self.event();
        let consumer = event.consumers.iter().find(|consumer| consumer.service == flaw.service());
        let consumer = consumer.expect("it is a department");
        let now = jiff::Timestamp::now();
        for from in (0..count).step_by(AT_ONCE) {
            let letters = (from..count.min(from + AT_ONCE)).map(|nth| {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let piece = self.piece(number, Some(flaw));
                let tenant = TENANTS[nth % TENANTS.len()].parse().expect("a name");
                let draft = Draft::typed(event, &tenant, &piece, now).expect("it fits its schema");
                let sealed = draft.seal().expect("it fits the limits");
                let nth = i64::try_from(nth).expect("it is small");
                let partitions = i64::from(event.partitions);
                let original = Record {
                    topic: sealed.topic,
                    partition: i32::try_from(nth % partitions).expect("it is small"),
                    offset: nth / partitions,
                    timestamp_ms: 0,
                    key: sealed.key,
                    value: sealed.value,
                    headers: sealed.headers,
                };
                let letter = Obituary {
                    id: dlq_id(&consumer.group, &original),
                    record: &original,
                    event_id: sealed.event_id,
                    group: &consumer.group,
                    service: &consumer.service,
                    cause: &Cause::new(Reason::Rejected, "Unusable", flaw.text()),
                    attempts: 1,
                    first_failed_at: now,
                    failed_at: now,
                    chain_seq: None,
                    previous: None,
                };
                letter.record(&event.dead_letter_topic)
            });
            send_all(letters.collect()).await;
        }
    }

    /// How many pieces there were, which are numbered from 0.
    pub fn published(&self) -> u64 {
        u64::try_from(self.next.load(Ordering::Relaxed)).expect("they are counted up")
    }

    /// Records that are no events.
    pub async fn publish_junk(&self, count: usize) {
        let junk = |nth: usize| {
            raw(&self.topic(), Some(nth.to_string().as_bytes()), Some(b"{"), Vec::new())
        };
        send_all((0..count).map(junk).collect()).await;
    }

    /// From now on a department can work on such pieces.
    pub fn mend(&self, flaw: Flaw) {
        self.shared.mended.fetch_or(1 << flaw.0, Ordering::Relaxed);
    }

    /// How often each department's handler was called.
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.shared.calls.lock().expect("nobody panics").clone()
    }

    pub fn admin(&self) -> Admin {
        Admin::connect(&self.kafka).expect("an admin client can be made")
    }

    pub async fn letters(&self) -> DeadLetters {
        DeadLetters::read(&self.kafka, &self.catalogue, |_| ()).await.expect("Kafka answers")
    }

    pub async fn state_of(&self, id: Uuid) -> State {
        let filter = Filter { ids: vec![id], ..Filter::default() };
        self.letters().await.matching(&filter).next().expect("there is one").state
    }

    /// Does what is planned, and says with how many dead letters.
    pub async fn carry_out(&self, plan: &Plan<'_>) -> u64 {
        let publisher = publisher(&self.catalogue);
        let done = plan.carry_out(&self.admin(), &publisher, "tests", None).await;
        done.expect("Kafka takes it").letters
    }

    /// Replays what is open, and says which those are.
    pub async fn replay_all(&self) -> Vec<Uuid> {
        let (letters, all) = (self.letters().await, Filter::default());
        let plan = Plan::replay(&self.catalogue, letters.matching(&all));
        assert_eq!(self.carry_out(&plan).await, plan.letters.len() as u64);
        plan.letters.iter().map(|found| found.letter.id).collect()
    }

    /// Returns once all departments are through with everything.
    pub async fn is_through(&self) {
        for consumer in &self.event().consumers {
            eventually(SOON, async || equal(lag(&consumer.group, &self.topic()).await, 0)).await;
        }
    }
}
