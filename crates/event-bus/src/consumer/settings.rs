//! How a subscription is consumed.

use std::sync::Arc;
use std::time::Duration;

use super::lane::Width;
use crate::catalogue::{BehindDeadLetter, Execution};
use crate::flaw::Flaws;
use crate::limits::{COMMIT_EVERY, MAX_BATCH, PARTITION_WINDOW, STUCK_AFTER};

/// So many times what can run at once is held ready: the next events are there when the running ones end.
const READ_AHEAD: usize = 2;

/// What the catalogue says of a consumer, and the bounds within which the runtime works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How handlers run.
    pub execution: Execution,
    /// The waits before the second attempt, the third and so on.
    pub waits: Arc<[Duration]>,
    /// Events of one partition between the watermark and the newest, beyond which fetching stops. It goes on at half.
    pub window: usize,
    /// Events in one transaction.
    pub batch: usize,
    /// Events that may run, of one partition under batched execution and of all together otherwise, beyond which no more
    /// need to be fetched.
    pub read_ahead: usize,
    /// A commit of offsets follows at the latest this long after an event settled.
    pub commit_every: Duration,
    /// What becomes of a key's events behind a dead letter.
    pub behind: BehindDeadLetter,
    /// So many of the first events of a partition run one at a time, if its last owner may have died of one of them.
    /// The owner held at most a window, and what it had settled and not committed.
    pub careful: usize,
    /// How long the Kafka consumer may fetch nothing while there is something to fetch.
    pub stuck_after: Duration,
    /// What the core is to do wrong.
    pub flaws: Flaws,
}

impl Settings {
    /// The bounds that services run with.
    #[must_use]
    pub fn new(execution: Execution, waits: Arc<[Duration]>, behind: BehindDeadLetter) -> Self {
        let read_ahead = match execution {
            Execution::Batched => READ_AHEAD * MAX_BATCH,
            Execution::Concurrent(most) => READ_AHEAD * usize::from(most.get()),
        };
        Self {
            execution,
            waits,
            window: PARTITION_WINDOW,
            batch: MAX_BATCH,
            read_ahead,
            commit_every: COMMIT_EVERY,
            behind,
            careful: 2 * PARTITION_WINDOW,
            stuck_after: STUCK_AFTER,
            flaws: Flaws::of_process(),
        }
    }

    /// As [`Self::new`], for handlers without a transaction: each event settles by itself.
    #[must_use]
    pub fn stateless(execution: Execution, waits: Arc<[Duration]>) -> Self {
        Self { batch: 1, ..Self::new(execution, waits, BehindDeadLetter::Continue) }
    }

    /// Whether no more events are needed where so many are ready in each partition that is fetched.
    #[must_use]
    pub fn is_enough(&self, ready: impl Iterator<Item = usize>) -> bool {
        match self.execution {
            // What one partition has above twice its share does not feed the others.
            Execution::Batched => {
                let (sum, wanted) = ready.fold((0, 0), |(sum, wanted), ready| {
                    (sum + ready.min(2 * self.read_ahead), wanted + self.read_ahead)
                });
                wanted > 0 && sum >= wanted
            }
            Execution::Concurrent(_) => ready.sum::<usize>() >= self.read_ahead,
        }
    }

    /// How many events of a key may be taken at once.
    #[must_use]
    pub fn width(&self) -> Width {
        match self.execution {
            Execution::Batched => Width::Queue,
            Execution::Concurrent(_) => Width::Head,
        }
    }
}
