//! What a debug client sends, into the framing and a session: each request one answer, whatever else.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    detrix::fuzzing::dap(data);
});
