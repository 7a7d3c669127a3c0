#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| toystore_fuzz::frame(input));
