//! The consumer's core in a world that is modelled around it: a broker with its group coordinator, a database, the
//! processes of a service and their tasks, on one clock.
//!
//! A seed decides what the service is, what is published, what goes wrong and in which order things happen. The same seed
//! is the same run. The core is the library's own (`event_bus::consumer::core`), and so is what it says about broken
//! transactions; only what the shell and the executor carry out is modelled.

mod checks;
mod coverage;
mod database;
mod event;
mod fault;
mod fetcher;
mod group;
mod log;
mod operator;
mod plan;
mod process;
mod random;
mod task;
mod world;

pub use coverage::Coverage;
pub use database::Letter;
pub use event::Nature;
pub use fault::{Fault, POINTS, Point};
pub use plan::{Plan, PlannedEvent};
pub use random::Random;
pub use world::{Millis, Published, World};

/// Runs a plan to its end. A run that broke a promise has a [`World::violation`].
#[must_use]
pub fn run(plan: Plan) -> World {
    let mut world = World::new(plan, false);
    world.run();
    world
}

/// The same with a line for each step.
#[must_use]
pub fn run_traced(plan: Plan) -> World {
    let mut world = World::new(plan, true);
    world.run();
    world
}
