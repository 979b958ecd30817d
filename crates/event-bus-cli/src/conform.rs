//! `event-bus conform`: whether services keep to the contract, whatever they are written in.

mod consumer;
mod topics;

use clap::Subcommand;

use crate::exit::Exit;
use crate::global::Global;

#[derive(Subcommand)]
pub enum Command {
    /// Read topics, and tell by service what the contract forbids or what is doubtful
    Topics(topics::Args),
    /// Send a running consumer good events, duplicates, junk, poison and replays, and look at its effects and dead letters
    Consumer(consumer::Args),
}

impl Command {
    pub async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Self::Topics(args) => args.run(global).await,
            Self::Consumer(args) => args.run(global).await,
        }
    }
}
