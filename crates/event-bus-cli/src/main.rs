//! The `event-bus` binary.

use std::process::ExitCode;

/// An event is made in one thread and freed in the client's, where the C library's allocator has both wait for a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    event_bus_cli::main()
}
