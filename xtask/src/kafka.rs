//! A real Apache Kafka on this machine: one node, broker and controller, KRaft.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::child::{self, Server};
use crate::log::Log;
use crate::maven::{self, Pom};
use crate::{apt, kafka_wire, ports};

const BROKER: Pom =
    Pom { name: "kafka", text: include_str!("../poms/kafka.xml"), goal: "copy-dependencies" };

/// Sixteen bytes in base64, as Kafka writes a cluster's id. Each data directory is a cluster of
/// its own, and none ever meets another.
const CLUSTER_ID: &str = "ZXZlbnQtYnVzLXh0YXNrMQ";

/// A start takes about 5 s on two idle cores, and much longer beside a compiler.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// Another process can take a port between its choice and Kafka's start.
const START_ATTEMPTS: u32 = 3;

/// Run a real Apache Kafka: with a command, until it ends (it finds EVENT_BUS_BOOTSTRAP set);
/// without, until Ctrl-C.
#[derive(clap::Args)]
pub struct Args {
    /// Keep the data here, so that the next start goes on with it [default: a new directory, removed afterwards]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Listen here [default: a free port, or the one that DIR was used with]
    #[arg(long)]
    port: Option<u16>,
    /// Be the second broker of the cluster that runs on this directory, and no controller
    #[arg(long, value_name = "DIR")]
    joins: Option<PathBuf>,
    /// A broker setting, such as log.retention.ms=1000
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Another listener, such as SECURED=SASL_SSL:20443; what it needs to know is given by --set
    #[arg(long = "listener", value_name = "NAME=PROTOCOL:PORT", value_parser = listener)]
    listeners: Vec<Listener>,
    /// A file of users and their passwords, NAME:PASSWORD a line, who may log in by SCRAM
    #[arg(long, value_name = "FILE")]
    scram: Option<PathBuf>,
    /// The command to run beside it
    #[arg(last = true)]
    command: Vec<String>,
}

/// Fetches Kafka, and Java to run it, where they are missing.
pub fn bring() -> Result<()> {
    maven::fetch(BROKER)?;
    apt::ensure(&[apt::JAVA])
}

/// `cargo xtask kafka`
pub fn run(args: &Args) -> Result<ExitCode> {
    let options = Options {
        data: args.data.clone(),
        port: args.port,
        joins: args.joins.clone(),
        settings: args.settings.clone(),
        listeners: args.listeners.clone(),
        scram: args.scram.clone(),
        ..Options::default()
    };
    let mut kafka = Kafka::start(&options)?;
    println!("Kafka answers on {}", kafka.bootstrap());
    let Some((program, rest)) = args.command.split_first() else {
        println!("Ctrl-C stops it");
        child::wait_for_interrupt(&mut [kafka.server()])?;
        return Ok(ExitCode::SUCCESS);
    };
    child::run_attached(
        Command::new(program).args(rest).env("EVENT_BUS_BOOTSTRAP", kafka.bootstrap()),
    )
}

/// How to start Kafka; the default is a new cluster on a free port.
#[derive(Default)]
pub struct Options {
    /// Where the data stays; `None`: in a new directory, removed when Kafka is dropped.
    pub data: Option<PathBuf>,
    /// Where it listens; `None`: a free port, or the one that `data` was used with before.
    pub port: Option<u16>,
    /// The directory of a cluster that it joins as its second broker; `None`: it is a cluster of its own.
    pub joins: Option<PathBuf>,
    /// Further broker settings, `KEY=VALUE`.
    pub settings: Vec<String>,
    /// Where else it listens.
    pub listeners: Vec<Listener>,
    /// Who may log in by SCRAM, `NAME:PASSWORD` a line.
    pub scram: Option<PathBuf>,
    /// The virtual machine's options; `None`: a small heap that grows, for tests.
    pub machine: Option<&'static [&'static str]>,
}

/// A listener beside the one of every Kafka here.
#[derive(Clone, Debug)]
pub struct Listener {
    name: String,
    protocol: String,
    port: u16,
}

fn listener(text: &str) -> Result<Listener, String> {
    let parts = text.split_once('=').and_then(|(name, rest)| Some((name, rest.split_once(':')?)));
    let (name, (protocol, port)) = parts.ok_or("want NAME=PROTOCOL:PORT")?;
    let port = port.parse().map_err(|_| format!("{port} is no port"))?;
    Ok(Listener { name: name.to_owned(), protocol: protocol.to_owned(), port })
}

/// What Kafka's own start script gives the virtual machine.
pub const SCRIPT_MACHINE: &[&str] = &[
    "-Xms1G",
    "-Xmx1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];

/// A heap for a machine that does other work too.
const TEST_MACHINE: &[&str] = &["-Xms256m", "-Xmx1g"];

/// A running Kafka, which ends on drop.
pub struct Kafka {
    // Dropped in this order: the server ends before its directory goes.
    server: Server,
    _temporary: Option<TempDir>,
    port: u16,
    ready_after: Duration,
}

impl Kafka {
    /// Fetches Kafka if need be, starts it, and waits until it answers.
    pub fn start(options: &Options) -> Result<Self> {
        let class_path = maven::class_path(&maven::fetch(BROKER)?);
        apt::ensure(&[apt::JAVA])?;
        let mut last = None;
        for _ in 0..START_ATTEMPTS {
            if child::interrupted() {
                bail!("interrupted");
            }
            match Self::try_start(&class_path, options) {
                Ok(kafka) => return Ok(kafka),
                Err(Failed::PortTaken(error)) => last = Some(error),
                Err(Failed::Other(error)) => return Err(error),
            }
        }
        Err(last.context("no attempt was made")?)
    }

    /// Where clients connect: `host:port`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How long its process took until it answered.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The broker's process.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    fn try_start(class_path: &str, options: &Options) -> Result<Self, Failed> {
        let (dir, temporary) = data_dir(options)?;
        let ports = choose_ports(&dir, options.port)?;
        let role = Role::of(options.joins.as_deref(), ports)?;
        let config = write_config(&dir, ports, &role, options)?;
        let log = Log::create(&format!("kafka-{}", ports.broker))?;
        let formatting = Formatting { class_path, dir: &dir, config: &config, role: &role };
        formatting.run(options.scram.as_deref(), &log)?;

        let mut command = child::tied("java", "TERM");
        command.args(options.machine.unwrap_or(TEST_MACHINE)).arg("-Djava.awt.headless=true");
        command.arg(format!("-Dlog4j2.configurationFile={}", log4j_config(&dir)?.display()));
        command.args(["-cp", class_path, "kafka.Kafka"]).arg(&config);
        log.take_output(&mut command)?;
        let started = Instant::now();
        let server = Server::spawn("Kafka", &mut command, Signal::TERM)?;

        let ready_after = Duration::ZERO;
        let mut kafka = Self { server, _temporary: temporary, port: ports.broker, ready_after };
        kafka.wait_until_it_answers(&log)?;
        kafka.ready_after = started.elapsed();
        Ok(kafka)
    }

    fn wait_until_it_answers(&mut self, log: &Log) -> Result<(), Failed> {
        let deadline = Instant::now() + START_DEADLINE;
        while !kafka_wire::answers(self.port) {
            if child::interrupted() {
                return Err(Failed::Other(anyhow::anyhow!("interrupted")));
            }
            if let Err(error) = self.server.check() {
                return Err(Failed::from_log(error, log));
            }
            if Instant::now() > deadline {
                let error = anyhow::anyhow!("Kafka did not answer within {START_DEADLINE:?}");
                return Err(Failed::from_log(error, log));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

/// Why a start failed: only a taken port is worth another try.
enum Failed {
    PortTaken(anyhow::Error),
    Other(anyhow::Error),
}

impl Failed {
    fn from_log(error: anyhow::Error, log: &Log) -> Self {
        let error = log.explain(error).context("Kafka did not start");
        if log.text().contains("Address already in use") {
            Self::PortTaken(error)
        } else {
            Self::Other(error)
        }
    }
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

#[derive(Clone, Copy)]
struct Ports {
    broker: u16,
    controller: u16,
}

fn data_dir(options: &Options) -> Result<(PathBuf, Option<TempDir>)> {
    if let Some(dir) = &options.data {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        return Ok((dir.canonicalize()?, None));
    }
    let temporary = tempfile::Builder::new().prefix("event-bus-kafka-").tempdir()?;
    Ok((temporary.path().to_path_buf(), Some(temporary)))
}

/// The ports that the directory was used with, as long as they are free; else new ones. Clients
/// of a kept cluster find it where it was.
fn choose_ports(dir: &Path, wanted: Option<u16>) -> Result<Ports> {
    let [mut broker, mut controller] = ports::free()?;
    if let Some(had) = used_ports(dir) {
        broker = if ports::is_free(had.broker) { had.broker } else { broker };
        controller = if ports::is_free(had.controller) { had.controller } else { controller };
    }
    if let Some(wanted) = wanted {
        if !ports::is_free(wanted) {
            bail!("port {wanted} is taken; leave --port out for a free one");
        }
        broker = wanted;
    }
    fs::write(dir.join("ports"), format!("{broker} {controller}\n"))?;
    Ok(Ports { broker, controller })
}

/// The ports of the last Kafka on this directory.
fn used_ports(dir: &Path) -> Option<Ports> {
    let text = fs::read_to_string(dir.join("ports")).ok()?;
    let mut ports = text.split_whitespace().map_while(|word| word.parse().ok());
    Some(Ports { broker: ports.next()?, controller: ports.next()? })
}

/// What a node is in its cluster.
enum Role {
    /// All of it.
    Alone,
    /// Its second broker, beside a node whose controller listens there.
    Second { controller: u16 },
}

impl Role {
    fn of(joins: Option<&Path>, ports: Ports) -> Result<Self> {
        let Some(dir) = joins else { return Ok(Self::Alone) };
        let used = used_ports(dir).with_context(|| format!("no Kafka ran on {}", dir.display()))?;
        if ports.broker == used.broker {
            bail!("the cluster on {} has the port {}", dir.display(), used.broker);
        }
        Ok(Self::Second { controller: used.controller })
    }
}

fn write_config(dir: &Path, ports: Ports, role: &Role, options: &Options) -> Result<PathBuf> {
    let Ports { broker, controller } = ports;
    let mut at = format!("PLAINTEXT://127.0.0.1:{broker}");
    let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
    for Listener { name, protocol, port } in &options.listeners {
        at.push_str(&format!(",{name}://127.0.0.1:{port}"));
        protocols.push_str(&format!(",{name}:{protocol}"));
    }
    let mut text = match role {
        Role::Alone => format!(
            "node.id=1\n\
             process.roles=broker,controller\n\
             listeners={at},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners={at},CONTROLLER://127.0.0.1:{controller}\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n",
        ),
        Role::Second { controller } => format!(
            "node.id=2\n\
             process.roles=broker\n\
             listeners={at}\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n",
        ),
    };
    text.push_str(&format!("listener.security.protocol.map={protocols}\n"));
    text.push_str(&format!("log.dirs={}\n", dir.join("data").display()));
    text.push_str(include_str!("../kafka.properties"));
    for setting in &options.settings {
        text.push_str(setting);
        text.push('\n');
    }
    let path = dir.join("server.properties");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn log4j_config(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("log4j2.properties");
    fs::write(&path, include_str!("../log4j2.properties"))?;
    Ok(path)
}

/// The making of a cluster's directory.
struct Formatting<'a> {
    class_path: &'a str,
    dir: &'a Path,
    config: &'a Path,
    role: &'a Role,
}

impl Formatting<'_> {
    /// Makes a new directory a cluster's; one that is so already stays as it is.
    fn run(&self, scram: Option<&Path>, log: &Log) -> Result<()> {
        if self.dir.join("data/meta.properties").exists() {
            return Ok(());
        }
        let mut command = child::tied("java", "TERM");
        command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", self.class_path]);
        command.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID]);
        if let Role::Alone = self.role {
            command.arg("--standalone");
        }
        if let Some(file) = scram {
            let text = fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            for line in text.lines() {
                let (name, password) = line.split_once(':').context("want NAME:PASSWORD a line")?;
                for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                    let user = format!("{mechanism}=[name={name},password={password}]");
                    command.args(["--add-scram", &user]);
                }
            }
        }
        command.arg("-c").arg(self.config);
        log.take_output(&mut command)?;
        child::run(&mut command).map_err(|error| log.explain(error))
    }
}
