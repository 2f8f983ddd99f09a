//! Any bytes are a log: they are decoded and diagnosed without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meshaudit::decode::log::LogDecoder;
use meshaudit::input::{Lines, Text};
use meshaudit::diagnose::{DiagnoseOptions, Diagnoser};

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = LogDecoder::new(Vec::new(), jiff::Timestamp::UNIX_EPOCH);
    let mut diagnoser = Diagnoser::new(DiagnoseOptions::default());
    let Ok(text) = Text::new(bytes) else { return };
    let mut lines = Lines::new(text);
    while let Ok(Some(line)) = lines.next_line() {
        decoder.push(line, &mut |record| drop(diagnoser.push(record, "")));
    }
    decoder.finish(&mut |record| drop(diagnoser.push(record, "")));
    drop(diagnoser.finish());
});
