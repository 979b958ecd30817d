//! A broker that speaks Apache Kafka's wire protocol, on one node and in one process.
//!
//! It is for laptops, tests and demos: what has no cluster behind it still keeps every promise that one node
//! can keep. Modules stand in the order in which a request meets them.
//!
//! ```
//! use event_bus_broker::{Broker, Config};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), event_bus_broker::StartError> {
//! // In memory, on a free port of this machine.
//! let broker = Broker::start(Config::default()).await?;
//! println!("bootstrap.servers={}", broker.bootstrap());
//! broker.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod config;
pub mod limits;
mod broker;
mod data_dir;
mod file_limit;
mod upkeep;

mod server;
mod login;
mod access;
mod faults;
mod api;
mod node;
mod metadata;
mod group;
mod transactions;
mod fetch;
mod partition;
mod log;
mod journal;
mod clock;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

pub use access::{AccessError, AccessReplayError};
pub use broker::{Broker, StartError};
pub use config::{Config, Durability, Storage, TopicDefaults};
pub use data_dir::DataDirError;
pub use faults::{Fault, FaultScript, FullUntil, ParseError as FaultParseError, ScriptError, When};
pub use group::{GroupSettings, OpenError as GroupsError};
pub use login::tls::{Tls, TlsError, TlsFiles};
pub use login::users::{Users, UsersError};
pub use metadata::{OpenTopicsError, ReplayError};
pub use node::LoadError;
