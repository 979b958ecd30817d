//! What runs a subscription's events, with a database or without.

use std::sync::Arc;

use futures_util::FutureExt;

use super::command::{Outcome, Release, Turn};
use super::execute::Executor;
use super::job::Report;
use super::receive::Received;
use super::stateless::StatelessExecutor;
use super::trouble::Trouble;
use crate::catalogue;
use crate::control::Told;
use crate::dead_letter::error_chain;
use crate::kafka::KafkaConfig;
use crate::metrics::SubscriptionMetrics;
use crate::names::GroupName;
use crate::rerun::{Opening, Trial};
use crate::store::Holding;

/// What is said of a handler whose effects are elsewhere.
const NO_INBOX: &str = "its handler works outside of a database, where nothing can be rolled back and no inbox knows what \
                        took effect: it runs each event that comes, so reset the group";

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

    pub(crate) fn metrics(&self) -> &SubscriptionMetrics {
        match self {
            Self::Database(executor) => &executor.invoker.metrics,
            Self::Stateless(executor) => &executor.invoker.metrics,
        }
    }

    pub(crate) async fn run(&self, turn: &Turn<Arc<Received>>) -> Report {
        self.metrics().begun(turn.jobs.len());
        // Boxed: a task is moved whole when it is spawned, and when its end is read.
        let report = match self {
            Self::Database(executor) => executor.run(turn).boxed().await,
            Self::Stateless(executor) => executor.run(turn).boxed().await,
        };
        self.metrics().retried(&turn.jobs, &report);
        report
    }

    /// Takes a partition over in the database. Without one, Kafka's word is all there is.
    pub(crate) async fn take_over(
        &self,
        partition: i32,
        from: Option<i64>,
    ) -> Result<Holding, Trouble> {
        match self {
            Self::Database(executor) => executor.take_over(partition, from).await,
            Self::Stateless(_) => Ok(Holding::default()),
        }
    }

    /// Tells the database that partitions are let go.
    pub(crate) async fn release(&self, release: &Release) {
        match self {
            Self::Database(executor) => executor.release(release).await,
            Self::Stateless(_) => {}
        }
    }

    /// What has to be known before a range runs again.
    pub(crate) async fn look(&self) -> Told {
        let Self::Database(executor) = self else { return Told::Refused(NO_INBOX.to_owned()) };
        match executor.inbox_state().await {
            Ok(state) => Told::Here(state),
            Err(error) => Told::Refused(error_chain(&*error)),
        }
    }

    /// Has ranges run again when they come.
    pub(crate) async fn open_rerun(&self, opening: &Opening) -> Told {
        match self {
            Self::Database(executor) => match executor.open_rerun(opening).await {
                Ok(()) => Told::Done,
                Err(error) => Told::Refused(error_chain(&*error)),
            },
            Self::Stateless(_) => Told::Refused(NO_INBOX.to_owned()),
        }
    }

    /// Runs ranges in transactions that are rolled back.
    pub(crate) async fn dry_run(&self, kafka: &KafkaConfig, trial: &Trial) -> Told {
        match self {
            // Boxed: it is large.
            Self::Database(executor) => match executor.dry_run(kafka, trial).boxed().await {
                Ok(told) => Told::Tried(told),
                Err(error) => Told::Refused(error_chain(&error)),
            },
            Self::Stateless(_) => Told::Refused(NO_INBOX.to_owned()),
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
