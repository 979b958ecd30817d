//! Batches of records, as they are produced.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| event_bus_broker::fuzzing::batches(bytes));
