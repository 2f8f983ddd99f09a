//! Any bytes are a log: they are decoded and diagnosed without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meshaudit::decode::log::{Lines, LogDecoder, wrapped_rest};
use meshaudit::diagnose::{DiagnoseOptions, Diagnoser};
use meshaudit::model::LogContent;

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = LogDecoder::new(Vec::new());
    let mut diagnoser = Diagnoser::new(DiagnoseOptions::default());
    let mut lines = Lines::new(bytes);
    while let Ok(Some(line)) = lines.next_line() {
        let Some(record) = decoder.decode(line) else { continue };
        if let (LogContent::Continuation, Some(rest)) = (&record.content, wrapped_rest(record.text)) {
            diagnoser.amend("", &record, &rest);
        }
        diagnoser.push(&record, "");
    }
    drop(diagnoser.finish());
});
