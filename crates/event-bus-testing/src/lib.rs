//! A bus for tests: a broker in the test's own process, a database for each service, and no mock of either.
//!
//! What a test of a service wants to know is what comes of an event: rows, further events, dead letters. [`TestBus`] runs
//! the service as it is, on the real wire, in a few hundredths of a second:
//!
//! ```
#![doc = include_str!("../tests/mail.rs")]
//! ```
//!
//! Each [`TestBus`] is a world of its own, so tests run beside each other; it goes away with the value. Nothing sleeps:
//! [`TestBus::settled`] returns once every running service has handled everything, and everything that followed from
//! it, retries and dead letters included. Retries wait for 10 ms instead of the catalogue's schedule; there are as many.
//!
//! Everything here panics where it fails, with what was seen: it is for tests.

mod bus;
mod dead_letter;
mod services;
mod settle;

pub use bus::TestBus;
pub use dead_letter::DeadLetter;
