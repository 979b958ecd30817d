//! A record with headers, as a dead letter, a replay and what other frameworks give up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| event_bus::fuzzing::record(bytes));
