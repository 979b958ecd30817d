//! W3: handlers that wait.

use std::fmt::Write as _;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use event_bus::{Event, Handled, StatelessContext, StatelessHandler};

use super::Args;
use crate::consume::event::OrderPlaced;
use crate::consume::keyed::WAIT;
use crate::consume::running::Running;
use crate::consume::tally::Tally;

/// Waits, and notes who ran when.
struct Waits {
    tally: Tally,
    /// Its nanoseconds are the trace's.
    clock: Instant,
    trace: Mutex<String>,
}

impl StatelessHandler<OrderPlaced> for Arc<Waits> {
    async fn handle(&self, event: Event<OrderPlaced>, _: &StatelessContext<'_>) -> Handled {
        self.tally.begin();
        let began = self.clock.elapsed().as_nanos();
        // It never gets what it waits for.
        drop(tokio::time::timeout(WAIT, pending::<()>()).await);
        let ended = self.clock.elapsed().as_nanos();
        // Events are numbered by their time.
        let (key, number) = (&event.payload.order_id, event.occurred_at.as_millisecond());
        let mut trace = self.trace.lock().expect("nobody panics while noting");
        writeln!(trace, "{key} {number} {began} {ended}").expect("a string takes all");
        drop(trace);
        self.tally.add(1);
        Ok(())
    }
}

pub async fn run(args: &Args) {
    let (tally, clock) = (Tally::of(args.events), Instant::now());
    let waits = Arc::new(Waits { tally, clock, trace: Mutex::default() });
    let service = args.stateless_service().on::<OrderPlaced>(Arc::clone(&waits));
    let running = Running::start_stateless(service);
    waits.tally.full().await;
    running.stop().await;
    let path = args.trace.as_deref().expect("TRACE_FILE is set");
    let trace = waits.trace.lock().expect("nobody panics while noting");
    std::fs::write(path, &*trace).expect("the trace can be written");
    println!("{{}}");
}
