//! Capture programs of any bytes against any memory: no panic, no hang, no more than the bounds.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| detrix::fuzzing::interpreter(data));
