//! Any bytes of an HTTP client: no order and no file without the right to it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    detrix::fuzzing::control(data);
});
