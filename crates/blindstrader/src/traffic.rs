//! Traffic for demonstrations: organisations that trade, customers that order, catalogues at new prices, and on request
//! events that fail.

mod failures;
mod orders;
mod organisations;

use std::time::Duration;

use event_bus::outbox::Outbox;
use tokio::time::{MissedTickBehavior, interval};

use crate::identity::RegisterError;
use crate::{brand, identity, retailer, supply_chain};

pub use failures::{FAILURE_PAUSE, fail};
pub use organisations::seed;

/// The wait from one new catalogue to the next.
const SEASON: Duration = Duration::from_secs(20);
/// The wait between two looks at what is low in the warehouse.
const STOCK_CHECK: Duration = Duration::from_secs(1);

/// Traffic that can't be made.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The rate is no positive number of orders per second.
    #[error("{rate} orders per second can't be placed: give a number above 0")]
    Rate {
        /// The rate that was asked for.
        rate: f64,
    },
    /// The organisations could not be registered.
    #[error("the organisations could not be registered")]
    Register(#[from] RegisterError),
}

/// Makes the traffic of the outbox's service until `shutdown`: identity registers the organisations at once, retailer
/// places `rate` orders per second of whatever is on sale, brand issues a catalogue now and then, and supply-chain
/// takes delivery of what runs low. The others make none of their own.
///
/// # Errors
/// When the rate is none, or the organisations can't be registered. An order that fails is logged, and the next is
/// placed all the same.
pub async fn run(
    outbox: Outbox,
    rate: f64,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), TrafficError> {
    let period = Some(rate)
        .filter(|rate| *rate > 0.0)
        .and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok())
        .filter(|period| !period.is_zero())
        .ok_or(TrafficError::Rate { rate })?;
    let traffic = async {
        match outbox.service().as_str() {
            identity::NAME => seed(&outbox).await?,
            retailer::NAME => orders::place(&outbox, period).await,
            brand::NAME => issue_seasons(&outbox).await,
            supply_chain::NAME => replenish(&outbox).await,
            _ => {}
        }
        Ok(())
    };
    tokio::select! {
        ended = traffic => ended,
        () = shutdown => Ok(()),
    }
}

async fn issue_seasons(outbox: &Outbox) {
    let mut ticks = interval(SEASON);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once, when a new brand's first catalogue is only just on its way.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let issued = async {
            let mut tx = outbox.begin().await?;
            brand::issue_season(&mut outbox.command(&mut tx)).await?;
            Ok::<_, brand::IssueError>(outbox.commit(tx).await?)
        };
        if let Err(error) = issued.await {
            warn(&error, "a catalogue could not be issued");
        }
    }
}

async fn replenish(outbox: &Outbox) {
    let mut ticks = interval(STOCK_CHECK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let replenished = async {
            let mut tx = outbox.begin().await?;
            supply_chain::replenish(&mut tx).await?;
            outbox.commit(tx).await
        };
        if let Err(error) = replenished.await {
            warn(&error, "the warehouse could not be filled up");
        }
    }
}

/// What fails is made up for by what comes next.
fn warn(error: &(dyn std::error::Error + 'static), what: &'static str) {
    tracing::warn!(error, "{what}");
}
