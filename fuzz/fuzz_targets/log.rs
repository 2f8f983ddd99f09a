//! Any bytes are a log: they are decoded and diagnosed without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meshaudit::decode::log::{Lines, LogDecoder};
use meshaudit::diagnose::{DiagnoseOptions, Diagnoser};

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = LogDecoder::new(Vec::new());
    let mut diagnoser = Diagnoser::new(DiagnoseOptions::default());
    let mut lines = Lines::new(bytes);
    while let Ok(Some(line)) = lines.next_line() {
        if let Some(record) = decoder.decode(line) {
            diagnoser.push(&record, "");
        }
    }
    drop(diagnoser.finish());
});
