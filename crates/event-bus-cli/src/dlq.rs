//! `event-bus dlq`: dead letters are found, understood and replayed. By Kafka alone, or by an ops process (`--ops`).

mod direct;
mod edit;
mod export;
mod filters;
mod foreign;
mod pages;
mod remote;
mod repair;
mod show;

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use event_bus::dead_letters::guarded::Guard;
use event_bus_ops::client::{Client, OpsUrl};
use uuid::Uuid;

use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::operator::Operator;
use direct::Desk;
use edit::EditOptions;
use export::Format;
use filters::Filters;
use remote::Remote;
use repair::RepairOptions;

/// More than so many are replayed, discarded or restored only with `--yes`.
const WITHOUT_YES: u64 = 100;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    ops: Ops,
    #[command(subcommand)]
    command: All,
}

/// Dead letters of this bus, and of other frameworks.
#[derive(Subcommand)]
enum All {
    #[command(flatten)]
    Ours(Box<Command>),
    /// Dead letters that other frameworks wrote, on whatever topics. They are read from Kafka, also with an ops process
    #[command(subcommand)]
    Foreign(foreign::Command),
}

/// Which ops process to ask.
#[derive(clap::Args)]
#[command(next_help_heading = "Ops process")]
struct Ops {
    /// Ask the ops process there (`event-bus ops serve`) in place of reading all dead letters from Kafka
    #[arg(long = "ops", global = true, env = "EVENT_BUS_OPS", value_name = "URL")]
    url: Option<OpsUrl>,
    /// The file with the token for it [default: the environment's EVENT_BUS_OPS_TOKEN]
    #[arg(long = "ops-token-file", global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Show dead letters, the latest first
    List {
        #[command(flatten)]
        filters: Filters,
        /// At most so many; 0 for all
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Show failures: dead letters of a group that look alike are one
    Groups {
        #[command(flatten)]
        filters: Filters,
    },
    /// Show all that is known of a dead letter
    Show {
        /// Its id
        id: Uuid,
        /// With personal data, which an ops process masks, and why it has to be seen: that is audited
        #[arg(long, value_name = "REASON")]
        reveal: Option<String>,
    },
    /// Write dead letters to stdout, for other tools: all that are meant, the latest first
    Export {
        #[command(flatten)]
        filters: Filters,
        /// As what
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// With their values and headers
        #[arg(long)]
        values: bool,
        /// With personal data, which an ops process masks, and why it has to be seen: that is audited
        #[arg(long, value_name = "REASON", requires = "values")]
        reveal: Option<String>,
    },
    /// Send dead letters back to the groups that could not handle them, and to no others. Each takes effect once,
    /// however often it is replayed
    Replay {
        #[command(flatten)]
        filters: Filters,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        /// Why, for those who ask later
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        guard: GuardOptions,
        #[command(flatten)]
        assent: Assent,
    },
    /// Send a dead letter back with another value: where nobody can handle the event as it was published
    Edit {
        #[command(flatten)]
        options: EditOptions,
        #[command(flatten)]
        operator: Operator,
    },
    /// Send dead letters back with other values, all changed in the same way: where a bug of their publisher can be mended
    Repair {
        #[command(flatten)]
        filters: Filters,
        #[command(flatten)]
        options: RepairOptions,
        #[command(flatten)]
        assent: Assent,
    },
    /// Decide that nothing is to be done about dead letters. They stay, and can be restored
    Discard {
        #[command(flatten)]
        filters: Filters,
        /// Why, for those who ask later
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        assent: Assent,
    },
    /// Take back that dead letters were discarded, or a replay whose outcome nobody tells
    Restore {
        #[command(flatten)]
        filters: Filters,
        /// Why, for those who ask later
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        assent: Assent,
    },
    /// Show the replays of an ops process, or how far one is
    #[command(args_conflicts_with_subcommands = true)]
    Replays {
        /// Only this one
        id: Option<Uuid>,
        #[command(subcommand)]
        request: Option<RequestCommand>,
    },
    /// Cancel a replay of an ops process. What was sent stays sent, the others are open again
    Cancel {
        /// Which
        id: Uuid,
    },
}

impl Command {
    /// Whether it says why personal data has to be seen.
    fn reveals(&self) -> bool {
        matches!(self, Self::Show { reveal: Some(_), .. } | Self::Export { reveal: Some(_), .. })
    }
}

/// What one asked for and another one has to approve.
#[derive(Subcommand)]
enum RequestCommand {
    /// Show what waits for somebody else to approve it, and what was decided
    Requests,
    /// Let be done what somebody else asked for
    Approve {
        /// Which request
        id: Uuid,
        /// Why, for those who ask later
        #[arg(long)]
        reason: Option<String>,
    },
    /// Do not let it be done
    Deny {
        /// Which request
        id: Uuid,
        /// Why, for those who ask later
        #[arg(long)]
        reason: Option<String>,
    },
}

/// How a replay is guarded, which takes an ops process.
#[derive(clap::Args)]
#[command(next_help_heading = "Guarded replay (with --ops)")]
struct GuardOptions {
    /// The sizes of the first steps, each of which waits for its outcomes; 0 for none [default: 1,10,100]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    canary: Option<Vec<u64>>,
    /// Stop once more than so many of a hundred died again [default: 10]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    max_dead: Option<u8>,
    /// Send at most so many in a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Wait until it is over, and tell how it goes
    #[arg(long)]
    wait: bool,
}

impl GuardOptions {
    fn is_given(&self) -> bool {
        self.canary.is_some() || self.max_dead.is_some() || self.rate.is_some() || self.wait
    }

    fn guard(&self) -> Guard {
        let usual = Guard::default();
        let canary = self.canary.clone().unwrap_or(usual.canary);
        Guard {
            canary: canary.into_iter().filter(|size| *size > 0).collect(),
            max_dead_percent: self.max_dead.unwrap_or(usual.max_dead_percent),
            per_second: self.rate,
        }
    }
}

/// Who wants it done, also to many.
#[derive(clap::Args)]
struct Assent {
    /// Also where it is more than a hundred
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    operator: Operator,
}

impl Assent {
    /// Refuses to do something to many unless that was said.
    fn allows(&self, letters: u64, verb: &str) -> anyhow::Result<()> {
        if letters > WITHOUT_YES && !self.yes {
            return usage(format!("{letters} dead letters to {verb}: say --yes if that is meant"));
        }
        Ok(())
    }
}

impl Args {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let command = match self.command {
            All::Foreign(command) => return command.run(global).await,
            All::Ours(command) => *command,
        };
        match self.ops.client()? {
            Some(client) => Remote::new(client, global).run(command).await,
            None if command.reveals() => usage(
                "--reveal takes an ops process, which masks personal data and audits who sees it: --ops",
            ),
            None => Desk::open(global).await?.run(command).await,
        }
    }
}

impl Ops {
    fn client(&self) -> anyhow::Result<Option<Client>> {
        let Some(url) = self.url.clone() else { return Ok(None) };
        let token = match &self.token_file {
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| format!("the token can't be read from {}", file.display()))?,
            None => match std::env::var("EVENT_BUS_OPS_TOKEN") {
                Ok(token) => token,
                Err(_) => {
                    return usage("--ops takes a token: --ops-token-file or EVENT_BUS_OPS_TOKEN");
                }
            },
        };
        Ok(Some(Client::new(url, token.trim())))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::Cli;
    use crate::exit::UsageError;

    #[tokio::test]
    async fn without_an_ops_process_nobody_is_let_believe_that_a_reveal_is_audited() {
        for line in [
            "event-bus dlq show 0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10 --reveal asked",
            "event-bus dlq export --values --reveal asked",
        ] {
            let Cli { global, command } = Cli::try_parse_from(line.split(' ')).unwrap();
            let crate::Command::Dlq(args) = command else { panic!("{line}") };
            let error = args.run(&global).await.unwrap_err();
            assert!(error.is::<UsageError>(), "{line}: {error}");
        }
    }
}
