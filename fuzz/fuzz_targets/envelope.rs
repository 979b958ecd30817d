//! The value of a record, as an envelope.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| event_bus::fuzzing::envelope(bytes));
