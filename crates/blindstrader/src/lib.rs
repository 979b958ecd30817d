//! Blindstrader's eight services as users of the event bus: their typed events, their databases and what they do.
//!
//! A service never calls another. It keeps what the events tell it in its own database, decides there, and publishes
//! what it decided. Events of different topics come in any order: what comes early is stored until the rest is there.

pub mod events;
pub mod money;

mod contract;
mod gate;
mod registry;

pub mod identity;
pub mod brand;
pub mod supplier;
pub mod retailer;
pub mod payment;
pub mod supply_chain;
pub mod notification;
pub mod platform;

mod services;
pub mod traffic;

#[cfg(test)]
mod any_order;

pub use contract::{CATALOGUE, catalogue};
pub use services::{OpenServiceError, SERVICES, Subscriber, open};

/// The time in microseconds: the finest step that the clocks and parsers of common languages share.
fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(jiff::Timestamp::now().as_microsecond())
        .expect("the time just read is in range")
}
