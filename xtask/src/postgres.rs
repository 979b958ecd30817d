//! A real PostgreSQL on this machine, with its default durability.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::child::{self, Server};
use crate::log::Log;
use crate::maven::{self, Pom};
use crate::{apt, ports};

const SERVER: Pom = Pom {
    name: "postgres",
    text: include_str!("../poms/postgres.xml"),
    goal: "unpack-dependencies",
};

/// What the pom's jar holds.
const ARCHIVE: &str = "postgres-linux-x86_64.txz";

/// Where a kept cluster notes its port.
const PORT: &str = "port";

/// A start takes about a second on two idle cores, and longer beside a compiler.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// Another process can take the port between its choice and the server's start.
const START_ATTEMPTS: u32 = 3;

/// Room for the services' pools, eight connections each, of many tests at a time.
const MAX_CONNECTIONS: &str = "max_connections=400";

/// Run a real PostgreSQL: with a command, until it ends (it finds EVENT_BUS_POSTGRES set);
/// without, until Ctrl-C.
#[derive(clap::Args)]
pub struct Args {
    /// Keep the data here, so that the next start goes on with it, on the same port [default: a new directory, removed
    /// afterwards]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The command to run beside it
    #[arg(last = true)]
    command: Vec<String>,
}

/// Fetches PostgreSQL, and what unpacks it, where they are missing.
pub fn bring() -> Result<()> {
    apt::ensure(&[apt::XZ])?;
    maven::fetch(SERVER).map(drop)
}

/// `cargo xtask postgres`
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut postgres = Postgres::start(args.data.as_deref(), &[])?;
    println!("PostgreSQL answers on {}", postgres.url());
    let Some((program, rest)) = args.command.split_first() else {
        println!("Ctrl-C stops it");
        child::wait_for_interrupt(&mut [&mut postgres.server])?;
        return Ok(ExitCode::SUCCESS);
    };
    child::run_attached(Command::new(program).args(rest).env("EVENT_BUS_POSTGRES", postgres.url()))
}

/// A running PostgreSQL with nothing in it, which ends on drop.
pub struct Postgres {
    // Dropped in this order: the server ends before its directory goes.
    server: Server,
    _home: Home,
    port: u16,
}

impl Postgres {
    /// Fetches PostgreSQL if need be, makes a new cluster or takes the one that `dir` has, starts
    /// it with these settings beside its own, and waits until it answers.
    pub fn start(dir: Option<&Path>, settings: &[&str]) -> Result<Self> {
        apt::ensure(&[apt::XZ])?;
        let archive = maven::fetch(SERVER)?.join(ARCHIVE);
        let home = Home::new(dir)?;
        if let Some(port) = home.port()? {
            let server = home.serve(port, settings)?;
            return Ok(Self { server, _home: home, port });
        }
        home.unpack(&archive)?;
        home.init()?;
        let mut last = None;
        for _ in 0..START_ATTEMPTS {
            let [port] = ports::free()?;
            match home.serve(port, settings) {
                Ok(server) => {
                    home.note_port(port)?;
                    return Ok(Self { server, _home: home, port });
                }
                Err(error) if child::interrupted() => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no attempt was made")?)
    }

    /// The URL of the maintenance database. Its user may create others.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

/// The programs and the data, in a directory of the user who runs them.
///
/// The programs are unpacked for each run (a second), because that user may not be able to reach
/// this repository: PostgreSQL refuses to run as root, so root's runs belong to `nobody`.
struct Home {
    dir: PathBuf,
    run_as: Option<Account>,
    _temporary: Option<TempDir>,
}

#[derive(Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Home {
    fn new(dir: Option<&Path>) -> Result<Self> {
        let (dir, temporary) = match dir {
            Some(dir) => {
                fs::create_dir_all(dir)
                    .with_context(|| format!("cannot create {}", dir.display()))?;
                (dir.canonicalize()?, None)
            }
            None => {
                let dir = tempfile::Builder::new().prefix("event-bus-postgres-").tempdir()?;
                (dir.path().to_path_buf(), Some(dir))
            }
        };
        let run_as = if rustix::process::geteuid().is_root() {
            let nobody = find_account("nobody")?;
            chown(&dir, Some(nobody.uid), Some(nobody.gid))?;
            Some(nobody)
        } else {
            None
        };
        Ok(Self { dir, run_as, _temporary: temporary })
    }

    /// The port of the cluster that is here already. Its clients find it where it was.
    fn port(&self) -> Result<Option<u16>> {
        let path = self.dir.join(PORT);
        let noted = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            noted => noted.with_context(|| format!("cannot read {}", path.display()))?,
        };
        Ok(Some(noted.trim().parse().with_context(|| format!("{PORT} holds {noted:?}"))?))
    }

    fn note_port(&self, port: u16) -> Result<()> {
        Ok(fs::write(self.dir.join(PORT), port.to_string())?)
    }

    /// The archive comes through standard input: the account may not be able to open it.
    fn unpack(&self, archive: &Path) -> Result<()> {
        let opened = File::open(archive);
        let archive = opened.with_context(|| format!("cannot open {}", archive.display()))?;
        let mut tar = self.command("tar", "TERM");
        child::run(tar.args(["-xJf", "-"]).stdin(archive))
    }

    fn init(&self) -> Result<()> {
        let mut initdb = self.command(self.program("initdb"), "TERM");
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8"]);
        initdb.args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]);
        initdb.args(["--no-sync", "--no-instructions", "--pgdata"]).arg(self.data());
        child::run(initdb.stdout(Stdio::null()))
    }

    /// Starts the server and waits until it answers.
    fn serve(&self, port: u16, settings: &[&str]) -> Result<Server> {
        let log = Log::create(&format!("postgres-{port}"))?;
        // SIGINT is PostgreSQL's fast shutdown: it doesn't wait for clients to go.
        let mut postgres = self.command(self.program("postgres"), "INT");
        postgres.arg("-D").arg(self.data()).args(["-p", &port.to_string()]);
        let own = ["listen_addresses=127.0.0.1", "unix_socket_directories=", MAX_CONNECTIONS];
        for setting in own.iter().chain(settings) {
            postgres.args(["-c", setting]);
        }
        log.take_output(&mut postgres)?;
        let mut server = Server::spawn("PostgreSQL", &mut postgres, Signal::INT)?;
        match wait_until_it_answers(&mut server, port) {
            Ok(()) => Ok(server),
            Err(error) if child::interrupted() => Err(error),
            Err(error) => Err(log.explain(error).context("PostgreSQL did not start")),
        }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>, signal: &str) -> Command {
        let mut command = child::tied(program, signal);
        command.current_dir(&self.dir);
        if let Some(Account { uid, gid }) = self.run_as {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn program(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }
}

fn find_account(name: &str) -> Result<Account> {
    let passwd = fs::read_to_string("/etc/passwd").context("cannot read the list of users")?;
    let account = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        found.then_some(Account { uid, gid })
    });
    account
        .with_context(|| format!("PostgreSQL doesn't run as root, and there is no user `{name}`"))
}

fn wait_until_it_answers(server: &mut Server, port: u16) -> Result<()> {
    let deadline = Instant::now() + START_DEADLINE;
    while !answers(port) {
        if child::interrupted() {
            bail!("interrupted");
        }
        server.check()?;
        if Instant::now() > deadline {
            bail!("PostgreSQL did not answer within {START_DEADLINE:?}");
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Whether the server lets the user `postgres` in: it answers a start-up message (length, protocol
/// 3.0, parameters) with an authentication message and no longer with the error that it is
/// starting up.
fn answers(port: u16) -> bool {
    const HELLO: &[u8] = b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0";
    let ask = || -> std::io::Result<u8> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(HELLO)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind[0])
    };
    ask().is_ok_and(|kind| kind == b'R')
}
