//! Any text is a message of Envoy: it is parsed without a panic, whatever logger it is of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meshaudit::decode::log::message::parse;

fuzz_target!(|text: &str| {
    for logger in ["", "pool", "filter"] {
        let _ = parse(logger, text).is_known();
    }
});
