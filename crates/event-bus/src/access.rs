//! Who may do what on the cluster, by the catalogue, and nobody anything else.
//!
//! All that names such rights is written from [`users`]: the script for Kafka's own tool, Strimzi's resources, and what
//! [`apply`] puts on a cluster.

mod apply;
mod grants;
mod plan;

pub use apply::{Applied, apply};
pub(crate) use grants::OPS;
pub use grants::{Grant, Kind, Operation, User, users};
pub use plan::{Change, Extra, Plan, PrincipalPrefix, PrincipalPrefixError, entries, plan};
