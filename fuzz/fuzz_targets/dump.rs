//! Any bytes as a config dump, whole and in pieces: no panic, and an error that says where.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meshaudit::decode::dump::{DumpDecoder, cluster_objects, decode_element};
use meshaudit::model::ClusterSource;

fuzz_target!(|data: &[u8]| {
    for size in [1, 7, data.len().max(1)] {
        let mut decoder = DumpDecoder::new(1 << 16, ClusterSource::Active);
        let fed = data.chunks(size).try_for_each(|chunk| {
            decoder.feed(chunk, |element, source| {
                cluster_objects(element, source, |_, _| {})?;
                decode_element(element, source, |_| {}).map(|_| ())
            })
        });
        if fed.is_ok() {
            let _ = decoder.finish();
        }
    }
});
