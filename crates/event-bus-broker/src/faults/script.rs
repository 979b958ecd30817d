//! What a script of faults says, checked as it is written.

use std::num::NonZeroU64;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;

use super::{names, refuse};

/// Faults that a broker shows on purpose, for tests of what runs against it. Built in code, or read from TOML by
/// [`FaultScript::parse`].
///
/// ```
/// use std::time::Duration;
/// use event_bus_broker::{Broker, Config, Fault, FaultScript, When};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let faults = FaultScript::new()
///     .on_request("Produce", When::nth(3)?, Fault::Error("NOT_LEADER_OR_FOLLOWER".to_owned()))?
///     .on_request("Fetch", When::every(10)?, Fault::Delay(Duration::from_millis(200)))?
///     .on_request("OffsetCommit", When::nth(2)?, Fault::DropAfter)?
///     .rebalance_every(Duration::from_secs(5), None);
/// let broker = Broker::start(Config { faults, ..Config::default() }).await?;
/// println!("{}", broker.bootstrap());
/// # broker.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultScript {
    pub(super) requests: Vec<RequestFault>,
    pub(super) rebalances: Vec<Rebalance>,
    pub(super) slow: Vec<SlowPartition>,
    pub(super) full_disk: Option<FullDisk>,
}

/// Which requests of an API, counted from 1 over all connections since the broker's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This one.
    Nth(NonZeroU64),
    /// Each of which the number is a multiple of this.
    Every(NonZeroU64),
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has no effect and is answered with the error of this name, such as `NOT_LEADER_OR_FOLLOWER`.
    Error(String),
    /// It is worked on only after this time. Later requests of its connection wait behind it.
    Delay(Duration),
    /// It has no effect, and its connection is closed.
    DropBefore,
    /// It has its effect, and its connection is closed instead of an answer.
    DropAfter,
}

/// Why something can't be in a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// There is no such API, or the broker does not serve it.
    #[error(
        "`{0}` is no API of this broker: write it like Produce, Fetch or OffsetCommit, see docs/FAULTS.md"
    )]
    Api(String),
    /// There is no such error.
    #[error("`{0}` is no error of Kafka's protocol: write it like NOT_LEADER_OR_FOLLOWER")]
    Error(String),
    /// The answer of that API has no place for an error.
    #[error("{api} can't be answered with an error; delay or drop it instead, or choose one of {}", choices.join(", "))]
    NoErrorAnswer {
        /// The API.
        api: String,
        /// Those that can.
        choices: Vec<&'static str>,
    },
    /// Requests are counted from 1.
    #[error("requests are counted from 1: `nth` and `every` can't be 0")]
    Zero,
    /// A fault needs a time or number above 0.
    #[error("{0} must be above 0, or nothing would ever happen")]
    Nothing(&'static str),
    /// The disk is full twice.
    #[error("the disk can be full only once in a script")]
    FullTwice,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestFault {
    pub api: ApiKey,
    pub when: When,
    pub effect: Effect,
}

/// A checked [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Refuse(ResponseError),
    Delay(Duration),
    DropBefore,
    DropAfter,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rebalance {
    pub every: Duration,
    /// Of all groups when there is none.
    pub group: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlowPartition {
    pub topic: String,
    /// All of the topic when there is none.
    pub partition: Option<i32>,
    pub produce: Duration,
    pub fetch: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FullDisk {
    /// From this Produce on.
    pub from: NonZeroU64,
    pub until: FullUntil,
}

/// When there is room on the disk again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullUntil {
    /// After so many writes failed.
    Writes(u32),
    /// After this time.
    Elapsed(Duration),
    /// Never.
    Never,
}

impl When {
    /// The `n`-th request, counted from 1.
    ///
    /// # Errors
    /// When `n` is 0.
    pub fn nth(n: u64) -> Result<Self, ScriptError> {
        NonZeroU64::new(n).map(Self::Nth).ok_or(ScriptError::Zero)
    }

    /// Each `n`-th request.
    ///
    /// # Errors
    /// When `n` is 0.
    pub fn every(n: u64) -> Result<Self, ScriptError> {
        NonZeroU64::new(n).map(Self::Every).ok_or(ScriptError::Zero)
    }

    pub(super) fn holds(self, number: u64) -> bool {
        match self {
            Self::Nth(n) => number == n.get(),
            Self::Every(n) => number.is_multiple_of(n.get()),
        }
    }
}

impl FaultScript {
    /// A script without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn needs_disk(&self) -> bool {
        self.full_disk.is_some()
    }

    /// Lets something happen to requests of an API, named as in Kafka's protocol: `Produce`, `OffsetCommit`. Where
    /// several faults meet one request, delays add up and the first other one holds.
    ///
    /// # Errors
    /// When there is no such API or error, or the API has no answer that could carry one.
    pub fn on_request(mut self, api: &str, when: When, fault: Fault) -> Result<Self, ScriptError> {
        let key = names::api(api).ok_or_else(|| ScriptError::Api(api.to_owned()))?;
        let effect = match fault {
            Fault::Error(name) => {
                let error = names::error(&name).ok_or(ScriptError::Error(name))?;
                if refuse::find(key).is_none() {
                    let api = api.to_owned();
                    return Err(ScriptError::NoErrorAnswer { api, choices: refuse::choices() });
                }
                Effect::Refuse(error)
            }
            Fault::Delay(delay) if delay.is_zero() => return Err(ScriptError::Nothing("a delay")),
            Fault::Delay(delay) => Effect::Delay(delay),
            Fault::DropBefore => Effect::DropBefore,
            Fault::DropAfter => Effect::DropAfter,
        };
        self.requests.push(RequestFault { api: key, when, effect });
        Ok(self)
    }

    /// Lets a group, or all of them, rebalance each time that `every` has passed.
    #[must_use]
    pub fn rebalance_every(mut self, every: Duration, group: Option<&str>) -> Self {
        let every = every.max(Duration::from_millis(1));
        self.rebalances.push(Rebalance { every, group: group.map(str::to_owned) });
        self
    }

    /// Lets each Produce to, and each Fetch from, a partition (or any of the topic's) take longer. A request for
    /// several slow partitions takes as long as the slowest.
    #[must_use]
    pub fn slow_partition(
        mut self,
        topic: &str,
        partition: Option<i32>,
        produce: Duration,
        fetch: Duration,
    ) -> Self {
        let topic = topic.to_owned();
        self.slow.push(SlowPartition { topic, partition, produce, fetch });
        self
    }

    /// Lets all writes fail, as on a full disk, from the `from`-th Produce on. Only for a broker with a data directory.
    ///
    /// # Errors
    /// When `from` is 0, nothing would fail, or the disk is full already.
    pub fn full_disk(mut self, from: u64, until: FullUntil) -> Result<Self, ScriptError> {
        match until {
            FullUntil::Writes(0) => return Err(ScriptError::Nothing("the number of writes")),
            FullUntil::Elapsed(time) if time.is_zero() => {
                return Err(ScriptError::Nothing("the time with a full disk"));
            }
            FullUntil::Writes(_) | FullUntil::Elapsed(_) | FullUntil::Never => {}
        }
        let from = NonZeroU64::new(from).ok_or(ScriptError::Zero)?;
        if self.full_disk.replace(FullDisk { from, until }).is_some() {
            return Err(ScriptError::FullTwice);
        }
        Ok(self)
    }
}
