//! `event-bus ops`: the process that knows all dead letters and carries replays out, and who may ask it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use event_bus::dead_letters::guarded::Worker;
use event_bus::dead_letters::{Indexer, Progress};
use event_bus::publisher::Publisher;
use event_bus::store::ops::{ApiToken, OpsStore, Role};
use event_bus_ops::api::Api;
use event_bus_ops::http;
use serde_json::json;

use crate::address::address;
use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::output::printable;
use crate::settings::Settings;
use crate::{progress, stop, telling};

/// How long the database may take to say farewell. Nothing is done on its connections any more.
const STORE_CLOSE: Duration = Duration::from_secs(5);

#[derive(Subcommand)]
pub enum Command {
    /// Index all dead letters, carry replays out and answer the API, until SIGTERM or Ctrl-C
    Serve(Serve),
    /// Make, list and revoke tokens of the API
    #[command(subcommand)]
    Token(Token),
}

/// The ops store.
#[derive(clap::Args)]
pub struct Where {
    /// The ops store, sqlite://… or postgres://…; it is made where it is missing
    #[arg(
        long,
        env = "EVENT_BUS_OPS_STORE",
        value_name = "URL",
        default_value = "sqlite://event-bus-ops.db"
    )]
    store: String,
}

#[derive(clap::Args)]
pub struct Serve {
    #[command(flatten)]
    at: Where,
    /// Where the API answers
    #[arg(long, value_name = "HOST:PORT", value_parser = address, default_value = "127.0.0.1:9300")]
    http: SocketAddr,
    /// Read all dead letters from Kafka once more, and forget what the index knows
    #[arg(long)]
    rebuild: bool,
}

#[derive(Subcommand)]
pub enum Token {
    /// Make a token and print it: it can't be shown again
    Make {
        /// Who gets it: what is done with it is audited under this name
        name: String,
        /// What its holder may do
        #[arg(long, value_parser = Role::NAMES, default_value = "operator")]
        role: String,
        #[command(flatten)]
        at: Where,
    },
    /// Show who has a token
    List {
        #[command(flatten)]
        at: Where,
    },
    /// Take a token away
    Revoke {
        /// Whose
        name: String,
        #[command(flatten)]
        at: Where,
    },
}

impl Command {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Self::Serve(serve) => serve.run(global).await,
            Self::Token(token) => token.run(global).await,
        }
    }
}

impl Where {
    async fn open(&self) -> anyhow::Result<OpsStore> {
        Ok(OpsStore::open(&self.store).await?)
    }
}

impl Serve {
    async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let settings = Settings::of(global)?;
        let (catalogue, kafka) = (settings.catalogue()?, settings.kafka()?);
        // Before anything is opened, so that a signal meanwhile is not lost.
        let mut requested = stop::requested(false)?;
        let store = Arc::new(self.at.open().await?);
        let listener = telling::listen(self.http).await?;
        if self.rebuild {
            store.forget_index().await.context("the index could not be forgotten")?;
        }
        let publisher =
            Arc::new(Publisher::connect(Arc::clone(&catalogue), &kafka.without_linger())?);
        let indexer = Indexer::new(Arc::clone(&store), kafka.clone(), Arc::clone(&catalogue));
        tokio::select! {
            caught_up = catch_up(&indexer) => caught_up?,
            _ = requested.wait_for(|stop| *stop) => return Ok(Exit::Done),
        }
        if let Ok(address) = listener.local_addr() {
            tracing::info!(http = %address, "the API answers");
        }
        let worker = Worker::new(Arc::clone(&store), kafka.clone(), Arc::clone(&publisher));
        let api = Api::new(Arc::clone(&store), catalogue, kafka, publisher);
        let answering = http::answer(listener, api.router(), requested.clone());
        let (answered, (), ()) =
            tokio::join!(answering, indexer.run(requested.clone()), worker.run(requested));
        answered.context("the API can't answer any more")?;
        if tokio::time::timeout(STORE_CLOSE, store.close()).await.is_err() {
            tracing::warn!("the ops store did not let go of its connections in time");
        }
        Ok(Exit::Done)
    }
}

/// Until the index is there, replays would go by half of it.
async fn catch_up(indexer: &Indexer) -> anyhow::Result<()> {
    let mut bar = progress::bar(None, "records");
    let caught_up = indexer.catch_up(|progress| match progress {
        Progress::Of(total) => bar = progress::bar(Some(total), "records"),
        Progress::Read(more) => bar.inc(more),
    });
    caught_up.await?;
    bar.finish_and_clear();
    Ok(())
}

impl Token {
    async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let mut output = global.output();
        match self {
            Self::Make { name, role, at } => {
                let role: Role = role.parse()?;
                let Some(token) = at.open().await?.make_token(&name, role).await? else {
                    return usage(format!(
                        "{name} has a token: `event-bus ops token revoke {name}` takes it away"
                    ));
                };
                if output.is_json() {
                    output.json_document(&json!({ "name": name, "role": role, "token": token }))?;
                } else {
                    output.line(&token)?;
                    output.flush()?;
                }
            }
            Self::List { at } => {
                let tokens = at.open().await?.tokens().await?;
                if output.is_json() {
                    output.json_document(&tokens)?;
                } else {
                    let cells = |token: &ApiToken| {
                        vec![
                            printable(&token.name),
                            token.role.to_string(),
                            token.made_at.to_string(),
                        ]
                    };
                    output.table(&["NAME", "ROLE", "MADE AT"], tokens.iter().map(cells))?;
                }
            }
            Self::Revoke { name, at } => {
                if !at.open().await?.revoke_token(&name).await? {
                    return usage(format!("{name} has no token"));
                }
            }
        }
        Ok(Exit::Done)
    }
}
