//! What the panel is asked for, and texts that it shows.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| event_bus_ops::fuzzing::filters(bytes));
