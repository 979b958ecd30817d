//! Who may do what: one policy for every way in, and what tells who asks.
//!
//! [`policy::decide`] is the only place where something is allowed. [`route::Route`] says of each way in what it takes, and
//! a gate sees to it before a handler runs; a `Desk` asks the policy again about each dead letter.
//! Who somebody is, a [`password`] proves, or a provider of identities ([`oidc`]). What is done is written by [`trail`]. What a record says is shown as [`event_bus::personal::Personal`] masks it, and so is a
//! text that may quote it, to everybody but who reveals it.

pub(crate) mod body;
pub(crate) mod cross_site;
pub mod oidc;
pub mod origin;
pub mod password;
pub mod policy;
pub mod route;
pub(crate) mod throttle;
pub mod trail;
