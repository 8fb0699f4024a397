//! Any text as a message, a condition and a hit condition, over a program of many types.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    detrix::fuzzing::expressions(data);
});
