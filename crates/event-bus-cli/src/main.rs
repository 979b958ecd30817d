//! The `event-bus` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    event_bus_cli::main()
}
