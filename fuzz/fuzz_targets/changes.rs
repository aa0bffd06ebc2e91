#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| recalld_fuzz::changes::run(input));
