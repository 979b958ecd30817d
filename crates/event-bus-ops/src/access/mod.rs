//! Who may do what: one policy for every way in, and what tells who asks.
//!
//! [`policy::decide`] is the only place where something is allowed. [`route::Route`] says of each way in what it takes, and
//! a gate sees to it before a handler runs; a `Desk` asks the policy again about each dead letter.

pub(crate) mod cross_site;
pub(crate) mod body;
pub mod password;
pub mod policy;
pub mod route;
pub(crate) mod throttle;
