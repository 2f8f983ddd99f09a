//! What cargo-fuzz runs, over the seed corpus and over simple damages to it, so that a target cannot rot unseen.

use std::fs;

use crate::project;

#[path = "../../fuzz/targets.rs"]
mod targets;

/// Each seed as it is, cut at several places, with one byte changed, and twice in a row.
fn damages(seed: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![seed.to_vec(), seed.repeat(2)];
    for part in 0..12 {
        let at = seed.len() * part / 12;
        all.push(seed[..at].to_vec());
        if let Some(byte) = seed.get(at) {
            for other in [0, 0xff, b'"', b'{', byte.wrapping_add(1)] {
                let mut changed = seed.to_vec();
                changed[at] = other;
                all.push(changed);
            }
        }
    }
    all
}

#[test]
fn every_target_takes_its_corpus_and_damages_to_it() {
    for (name, target) in targets::ALL {
        let corpus = project().join("fuzz/corpus").join(name);
        let seeds: Vec<_> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(seeds.len() >= 2, "{name} has no corpus");
        for seed in seeds {
            for (index, bytes) in damages(&fs::read(&seed).unwrap()).iter().enumerate() {
                let outcome = std::panic::catch_unwind(|| target(bytes));
                assert!(outcome.is_ok(), "{name}: {}, damage {index}", seed.display());
            }
        }
    }
}

#[test]
fn every_target_and_every_decoder_is_fuzzed() {
    let manifest = fs::read_to_string(project().join("fuzz/Cargo.toml")).unwrap();
    for (name, _) in targets::ALL {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is no target of cargo-fuzz");
        let text = fs::read_to_string(project().join(format!("fuzz/fuzz_targets/{name}.rs"))).unwrap();
        assert!(text.contains(&format!("targets::{name}(bytes)")), "{name}");
    }
    // A decoder that is added has to be here too.
    let fuzzed = fs::read_to_string(project().join("fuzz/targets.rs")).unwrap();
    for entry in fs::read_dir(project().join("src/decode")).unwrap() {
        let module = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        // What the others are made of, and what only words errors.
        if !matches!(module.as_str(), "mod" | "elements" | "bounded" | "parse_error") {
            assert!(fuzzed.contains(&module), "src/decode/{module} is not fuzzed");
        }
    }
}
