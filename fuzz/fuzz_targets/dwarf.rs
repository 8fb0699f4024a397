//! Any bytes as the file of a program: its lines, its variables, and logpoints on them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    detrix::fuzzing::dwarf(data);
});
