//! What a crash left of a log.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| event_bus_broker::fuzzing::recovery(bytes));
