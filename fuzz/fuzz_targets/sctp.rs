#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leat_fuzz::sctp(data));
