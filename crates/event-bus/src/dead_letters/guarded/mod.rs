//! Guarded replays: an exact list of dead letters goes back step by step, stops by itself where too many die again, can be
//! cancelled, and goes on after a crash.
//!
//! [`Guard`] decides, without a clock or a broker; what it decides about is in the ops store; [`run`](Worker::run) does it.

mod guard;
mod lanes;
mod worker;

pub use guard::{Guard, Progress};
pub use worker::{WINDOW, WorkError, Worker};
