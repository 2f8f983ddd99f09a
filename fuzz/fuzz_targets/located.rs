#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code, reason = "each target calls one")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::located(bytes));
