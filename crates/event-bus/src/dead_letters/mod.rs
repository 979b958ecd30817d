//! The dead letters of all topics: what they say, what became of them, and their replay.
//!
//! Three kinds of topics tell it, and nothing else is kept: the dead letter topics say what failed and why; the topic of
//! audit says what operators decided, in one order; the topic of outcomes says what services made of replays
//! ([`replay`](crate::replay)). [`DeadLetters::read`] reads them, [`Plan::carry_out`] acts, and all else here is pure.

mod act;
mod edit;
mod failure;
mod filter;
pub mod foreign;
pub mod guarded;
mod index;
mod letter;
mod overtaken;
mod plan;
mod read;
mod repair;
mod scope;
mod state;
mod timeline;
mod told;

use serde::{Deserialize, Serialize};

pub use act::{ActError, Done, each_original, originals};
pub use edit::{Edit, EditError};
pub use failure::{Failure, failures};
pub use filter::Filter;
pub use index::{IndexError, Indexer};
pub use letter::{Letter, LetterError};
pub use overtaken::Overtaken;
pub(crate) use plan::refusal_of;
pub use plan::{Plan, Refusal};
pub use read::{DeadLetters, Progress};
pub use repair::Repair;
pub use scope::Scope;
pub(crate) use state::Histories;
pub use state::State;
pub use timeline::{Moment, Reached, reached, timeline};

/// A dead letter, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What it says.
    pub letter: Letter,
    /// What became of it.
    pub state: State,
}
