//! What runs a subscription's events, with a database or without.

use std::sync::Arc;

use super::command::{Outcome, Turn};
use super::execute::Executor;
use super::job::Report;
use super::receive::Received;
use super::stateless::StatelessExecutor;
use crate::catalogue;
use crate::names::GroupName;

/// One subscription's executor.
#[derive(Clone)]
pub(crate) enum Runner {
    /// Effects are in the service's database.
    Database(Executor),
    /// Effects are elsewhere.
    Stateless(StatelessExecutor),
}

impl Runner {
    pub(crate) fn event(&self) -> &Arc<catalogue::Event> {
        match self {
            Self::Database(executor) => &executor.event,
            Self::Stateless(executor) => &executor.event,
        }
    }

    pub(crate) fn group(&self) -> &GroupName {
        match self {
            Self::Database(executor) => &executor.group,
            Self::Stateless(executor) => &executor.group,
        }
    }

    pub(crate) async fn run(&self, turn: &Turn<Arc<Received>>) -> Report {
        match self {
            Self::Database(executor) => executor.run(turn.partition, &turn.jobs).await,
            Self::Stateless(executor) => executor.run(turn).await,
        }
    }

    /// Asks the database for a sign of life. What is not there is never down.
    pub(crate) async fn probe(&self) -> Outcome {
        match self {
            Self::Database(executor) => match executor.outbox.store().probe().await {
                Ok(()) => Outcome::Done,
                Err(_) => Outcome::Failed,
            },
            Self::Stateless(_) => Outcome::Done,
        }
    }
}
