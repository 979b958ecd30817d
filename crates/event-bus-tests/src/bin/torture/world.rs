//! A world: servers, proxies, nodes, and everything from their start to the verdict.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_bus::KafkaConfig;
use event_bus::envelope::OutgoingRecord;
use event_bus::kafka::admin::Admin;
use event_bus::names::{EventId, GroupName, TopicName};
use event_bus::store::Store;
use event_bus_conformance::connection::Connection;
use event_bus_conformance::offsets::{commit_request, send_commit};
use event_bus_tests::{kafka, servers as test_servers};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use crate::bank::{self, ATTEMPTS, BANK_TABLES, LEDGER_TABLES, PARTITIONS};
use crate::bites::Bites;
use crate::checks::{Promise, Violation, unchanged, violations};
use crate::clock;
use crate::history::Sample;
use crate::journal::Note;
use crate::nemesis::Aim;
use crate::node::{self, Role};
use crate::nodes::Node;
use crate::plan::{CONSUMERS, Member, Plan, RELAYS, WRITERS};
use crate::proxy::Proxy;
use crate::reading::{OUTBOX, number};
use crate::servers::{BrokerKind, Database, Programs, Server, StoreKind};
use event_bus_tests::servers::free_port;

const LOOK: Duration = Duration::from_millis(200);
/// What moves all the time and never settles is given up after so many times the limit of what stands still.
const MOST_LIMITS: u32 = 15;
/// Between two samples of offsets and inbox.
const SAMPLE: Duration = Duration::from_secs(1);

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Shape {
    pub broker: BrokerKind,
    pub store: StoreKind,
    pub programs: Programs,
    /// Where logs and journals are kept.
    pub folder: PathBuf,
    /// Transactions of each writer in a second.
    pub rate: u32,
    /// How long nothing may move before everything has settled, once nothing goes wrong any more.
    pub stands_still_within: Duration,
    /// The moment in which kills come.
    pub aim: Aim,
    /// The mistake that nodes make.
    pub flaw: Option<String>,
}

/// A running world.
pub struct World {
    pub shape: Shape,
    pub plan: Plan,
    pub topic: TopicName,
    pub group: GroupName,
    pub kafka: KafkaConfig,
    pub broker: Mutex<Server>,
    broker_port: u16,
    pub broker_proxy: Proxy,
    pub database: Mutex<Database>,
    /// A node's way to its database, where that is a server.
    pub database_proxies: BTreeMap<Member, Proxy>,
    pub bank: Store,
    pub ledger: Store,
    pub nodes: BTreeMap<Member, Arc<Node>>,
    pub bites: Bites,
    supervisors: JoinSet<()>,
    begun: Instant,
}

/// Why a world could not be run to its end.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// How a world ended.
#[derive(Default)]
pub struct Ended {
    pub violations: Vec<Violation>,
    pub bites: Bites,
    /// How long what took.
    pub phases: Vec<(&'static str, Duration)>,
}

impl World {
    /// Starts everything.
    pub async fn start(shape: Shape, plan: Plan) -> Result<Self, Failed> {
        let begun = Instant::now();
        let namespace = test_servers::namespace();
        let catalogue = bank::catalogue(&namespace, plan.consumption);
        let broker_port = free_port();
        let broker_proxy = Proxy::start(format!("127.0.0.1:{broker_port}")).await?;
        let bootstrap = broker_proxy.address().to_string();
        let (broker, database) = tokio::join!(
            Server::broker(shape.broker, &shape.programs, &shape.folder, broker_port, &bootstrap),
            Database::start(shape.store, &shape.programs, &shape.folder)
        );
        let (broker, database) = (broker?, database?);
        let config = node::kafka(&bootstrap);
        kafka::create_topics_at(&config, &catalogue).await;
        let bank = Store::open(&database.databases.url(bank::BANK), BANK_TABLES).await?;
        let ledger = Store::open(&database.databases.url(bank::LEDGER), LEDGER_TABLES).await?;
        let mut world = Self {
            topic: bank::topic(&catalogue),
            group: bank::group(&catalogue),
            kafka: config,
            broker: Mutex::new(broker),
            broker_port,
            broker_proxy,
            database_proxies: BTreeMap::new(),
            bank,
            ledger,
            nodes: BTreeMap::new(),
            bites: Bites::default(),
            supervisors: JoinSet::new(),
            begun,
            database: Mutex::new(database),
            shape,
            plan,
        };
        for (role, count) in
            [(Role::Relay, RELAYS), (Role::Consumer, CONSUMERS), (Role::Writer, WRITERS)]
        {
            for index in 0..count {
                world.add_node(Member { role, index }, namespace.as_ref()).await?;
            }
        }
        Ok(world)
    }

    async fn add_node(&mut self, member: Member, namespace: &str) -> Result<(), Failed> {
        let name = format!("{:?}-{}", member.role, member.index).to_lowercase();
        let service = if member.role == Role::Consumer { bank::LEDGER } else { bank::BANK };
        let store = self.store_url_for(member, service).await?;
        let folder = &self.shape.folder;
        let (log, journal) =
            (folder.join(format!("{name}.log")), folder.join(format!("{name}.journal")));
        let program = std::env::current_exe()?;
        let mut words: Vec<String> =
            [&*program.to_string_lossy(), "node", word_of(member.role)].map(str::to_owned).into();
        let mut option = |name: &str, value: &str| words.push(format!("--{name}={value}"));
        option("bootstrap", &self.broker_proxy.address().to_string());
        option("store", &store);
        option("namespace", namespace);
        option("consumption", self.plan.consumption);
        option("journal", &journal.display().to_string());
        option("rate", &self.shape.rate.to_string());
        if member.role == Role::Consumer && self.plan.are_static {
            option("instance", &name);
        }
        if member == (Member { role: Role::Writer, index: 0 }) {
            option("aborting", &self.plan.aborting.to_string());
        }
        let node = Arc::new(Node::new(member, words, self.shape.flaw.clone(), log, journal));
        node.start().await?;
        let supervised = Arc::clone(&node);
        self.supervisors.spawn(async move { supervised.supervise().await });
        self.nodes.insert(member, node);
        Ok(())
    }

    /// The database of a node's service, by a proxy of its own where that is a server.
    async fn store_url_for(&mut self, member: Member, service: &str) -> io::Result<String> {
        let url = self.database.lock().await.databases.url(service);
        if self.shape.store == StoreKind::Sqlite {
            return Ok(url);
        }
        let (before, rest) = url.split_once('@').expect("the URL has a user");
        let (address, after) = rest.split_once('/').expect("the URL has a path");
        let proxy = Proxy::start(address.to_owned()).await?;
        let url = format!("{before}@{}/{after}", proxy.address());
        self.database_proxies.insert(member, proxy);
        Ok(url)
    }

    /// What all nodes noted so far.
    pub fn notes(&self) -> Vec<Note> {
        self.nodes.values().flat_map(|node| node.notes()).collect()
    }

    /// The nodes of a role.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values().filter(move |node| node.member.role == role)
    }

    /// Lets the plan happen, and tells how it ended.
    pub async fn run(self) -> Result<Ended, Failed> {
        let world = Arc::new(self);
        let (mut phases, mut begun) = (vec![("start", world.begun.elapsed())], Instant::now());
        let mut next = |phase| {
            phases.push((phase, std::mem::replace(&mut begun, Instant::now()).elapsed()));
        };
        let (stop, stopping) = watch::channel(false);
        let sampling = tokio::spawn(Arc::clone(&world).samples(stopping));
        Arc::clone(&world).nemesis().await;
        next("faults");
        for node in world.of_role(Role::Writer) {
            world.stop(node).await?;
        }
        let settled = world.settled().await;
        next("settling");
        stop.send(true)?;
        let samples = sampling.await??;
        let violations = match settled {
            Ok(()) => world.verdict(samples).await?,
            Err(violation) => {
                [violations(&world.history(samples).await?), vec![violation]].concat()
            }
        };
        next("checks and replay");
        let world = Arc::into_inner(world).expect("nobody else has the world any more");
        world.look_into_logs();
        let bites = world.end().await;
        next("end");
        Ok(Ended { violations, bites, phases })
    }

    async fn stop(&self, node: &Node) -> Result<(), Failed> {
        if node.stop().await {
            return Ok(());
        }
        Err(format!(
            "{:?} does not end well when it is asked to: see {}",
            node.member,
            node.log.display()
        )
        .into())
    }

    /// Checks everything, and that consuming everything once more changes nothing.
    async fn verdict(&self, samples: Vec<Sample>) -> Result<Vec<Violation>, Failed> {
        let before = self.history(samples).await?;
        self.bites.read(&before, &self.notes());
        self.bites.note("a look at offsets and inbox", before.samples.len().try_into()?);
        let mut found = violations(&before);
        for node in self.of_role(Role::Consumer) {
            self.stop(node).await?;
        }
        self.publish_again().await;
        self.reset_group().await?;
        for node in self.of_role(Role::Consumer) {
            node.start().await?;
        }
        match self.settled().await {
            Ok(()) => found.extend(unchanged(&before, &self.history(Vec::new()).await?)),
            Err(violation) => found.push(violation),
        }
        Ok(found)
    }

    /// Waits until nothing is left to happen. A busy machine takes long for it, but goes on.
    async fn settled(&self) -> Result<(), Violation> {
        let admin = Admin::connect(&self.kafka).expect("an admin client can be made");
        let (begun, mut moved, mut last) = (Instant::now(), Instant::now(), String::new());
        let limit = self.shape.stands_still_within;
        loop {
            let seen = match self.look(&admin).await {
                Ok(None) => return Ok(()),
                Ok(Some(left)) => left,
                Err(error) => error.to_string(),
            };
            if self.most_deaths() > ATTEMPTS {
                let what = format!(
                    "an event ends its process again and again: {} times",
                    self.most_deaths()
                );
                return Err(Violation::of(Promise::BoundedDeaths, what));
            }
            if seen != last {
                (last, moved) = (seen, Instant::now());
            }
            if moved.elapsed() > limit || begun.elapsed() > limit * MOST_LIMITS {
                let what =
                    format!("after {:.0?}, for {:.0?}: {last}", begun.elapsed(), moved.elapsed());
                return Err(Violation::of(Promise::Settles, what));
            }
            clock::pass(LOOK).await;
        }
    }

    /// What is still to happen, in the order in which it does.
    async fn look(&self, admin: &Admin) -> Result<Option<String>, Failed> {
        match number(&self.bank, OUTBOX).await? {
            0 => {}
            rows => return Ok(Some(format!("{rows} rows in the bank's outbox"))),
        }
        let lags = admin.lag(&[(self.group.clone(), self.topic.clone())]).await?;
        let lag: u64 = lags.iter().map(event_bus::lag::GroupLag::total).sum();
        let unknown: usize = lags.iter().map(event_bus::lag::GroupLag::unknown).sum();
        if lag > 0 || unknown > 0 {
            return Ok(Some(format!("a lag of {lag} events, {unknown} partitions that don't say")));
        }
        match number(&self.ledger, OUTBOX).await? {
            0 => Ok(None),
            rows => Ok(Some(format!("{rows} rows in the ledger's outbox"))),
        }
    }

    fn most_deaths(&self) -> u32 {
        let mut deaths: BTreeMap<String, u32> = BTreeMap::new();
        for note in self.of_role(Role::Consumer).flat_map(|node| node.notes()) {
            if let Note::Aborting(id) = note {
                *deaths.entry(id).or_default() += 1;
            }
        }
        deaths.into_values().max().unwrap_or(0)
    }

    /// Sees again and again what is committed and what is in the inbox, until it is to stop.
    async fn samples(
        self: Arc<Self>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Vec<Sample>, Failed> {
        let admin = Admin::connect(&self.kafka).expect("an admin client can be made");
        let mut samples = Vec::new();
        while !*stop.borrow() {
            // While a server is away there is none.
            samples.extend(self.sample(&admin).await);
            tokio::select! {
                () = clock::pass(SAMPLE) => {}
                _ = stop.changed() => {}
            }
        }
        samples.push(self.sample(&admin).await?);
        Ok(samples)
    }

    /// Publishes what the dead letters were, byte for byte.
    async fn publish_again(&self) {
        let originals = self.originals().await;
        let records = originals.into_iter().map(|record| OutgoingRecord {
            topic: self.topic.clone(),
            partition: None,
            key: record.key,
            value: record.value,
            headers: record.headers,
            event_id: EventId::at(jiff::Timestamp::now()),
        });
        kafka::send_all_at(&self.kafka, records.collect()).await;
    }

    /// Moves the group, which nobody is in, to the beginning of the log.
    async fn reset_group(&self) -> Result<(), Failed> {
        let mut connection = Connection::to(&format!("127.0.0.1:{}", self.broker_port)).await;
        for partition in 0..PARTITIONS {
            let request =
                commit_request(self.group.as_str(), self.topic.as_str(), partition, 0, "");
            let deadline = Instant::now() + self.shape.stands_still_within;
            // A member that was killed is in the group until its session ends.
            while let Err(error) = send_commit(&mut connection, &request).await {
                if Instant::now() > deadline {
                    return Err(format!("the group can't be reset: {error:?}").into());
                }
                clock::pass(LOOK).await;
            }
        }
        Ok(())
    }

    fn look_into_logs(&self) {
        let count = |phrase: &str| {
            let logs = self.of_role(Role::Consumer).map(|node| lines_with(&node.log, phrase));
            logs.sum()
        };
        self.bites.note("a partition whose last owner never let go", count("never let go of it"));
        self.bites.note(
            "a transaction of the ledger that the database ended",
            count("a transaction failed"),
        );
    }

    /// Ends all processes.
    async fn end(mut self) -> Bites {
        self.supervisors.shutdown().await;
        for node in self.nodes.values() {
            node.lock().await.kill().await;
        }
        self.bank.close().await;
        self.ledger.close().await;
        // What does not end when it is asked to is killed with its handle.
        let _ = self.broker.lock().await.stop().await;
        if let Some(server) = &mut self.database.lock().await.server {
            let _ = server.stop().await;
        }
        self.bites
    }
}

fn word_of(role: Role) -> &'static str {
    match role {
        Role::Writer => "writer",
        Role::Relay => "relay",
        Role::Consumer => "consumer",
    }
}

fn lines_with(log: &Path, phrase: &str) -> u64 {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    u64::try_from(text.lines().filter(|line| line.contains(phrase)).count())
        .expect("64 bits hold it")
}
