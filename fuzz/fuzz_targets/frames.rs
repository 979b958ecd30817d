//! What clients send to the broker.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| event_bus_broker::fuzzing::frames(bytes));
