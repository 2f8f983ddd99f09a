//! Which module may name which crate, and which module may use which: docs/architecture.md's table.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Crates that belong to one module, or to those named.
const OWNERS: [(&str, &[&str]); 12] = [
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("tabled", &["report"]),
    ("colored", &["report"]),
    ("indicatif", &["report"]),
    ("hyper", &["reach", "k8s"]),
    ("reqwest", &["reach"]),
    ("kube", &["k8s"]),
    ("k8s_openapi", &["k8s"]),
    ("tar", &["input", "cli"]),
    ("rustix", &["system"]),
];

/// The modules that a module may use, besides itself.
const BELOW: [(&str, &[&str]); 16] = [
    ("system", &[]),
    ("cores", &[]),
    ("model", &[]),
    ("input", &[]),
    ("decode", &["model"]),
    ("k8s", &["decode", "input", "model", "system"]),
    ("reach", &["k8s", "model"]),
    ("store", &["k8s", "reach", "model"]),
    ("collect", &["cores", "resets", "store", "k8s", "reach", "decode", "input", "model", "system"]),
    ("attribute", &["model"]),
    ("audit", &["attribute", "cores", "model"]),
    ("diagnose", &["model"]),
    ("resets", &["model"]),
    ("fix", &["audit", "attribute", "decode", "model"]),
    ("report", &["audit", "attribute", "cores", "diagnose", "resets", "fix", "model"]),
    (
        "cli",
        &[
            "report",
            "fix",
            "audit",
            "attribute",
            "diagnose",
            "resets",
            "collect",
            "store",
            "reach",
            "k8s",
            "decode",
            "input",
            "model",
            "system",
        ],
    ),
];

/// Every source file with its module.
fn sources() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let src = crate::project().join("src");
    let mut pending = vec![src.clone()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
                if let Some((module, _)) = inside.split_once('/') {
                    found.push((module.to_owned(), inside.clone(), without_tests(&path)));
                }
            }
        }
    }
    assert!(found.len() > 30);
    found
}

/// The code without comments, and without unit tests, which stand at the end.
fn without_tests(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether code names a path that begins with this.
fn names(code: &str, root: &str) -> bool {
    let path = format!("{root}::");
    code.match_indices(&path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
    })
}

#[test]
fn crates_stay_where_they_belong() {
    for (module, file, code) in sources() {
        for (name, owners) in OWNERS {
            assert!(owners.contains(&module.as_str()) || !names(&code, name), "src/{file} names {name}");
        }
    }
}

#[test]
fn modules_use_only_what_is_below_them() {
    let known: BTreeSet<&str> = BELOW.iter().map(|(module, _)| *module).collect();
    for (module, file, code) in sources() {
        let below = BELOW.iter().find(|(name, _)| *name == module).map(|(_, below)| *below);
        let below = below.unwrap_or_else(|| panic!("src/{file} is of a module that the table does not have"));
        for other in known.iter().filter(|other| **other != module && !below.contains(other)) {
            assert!(!names(&code, &format!("crate::{other}")), "src/{file} uses crate::{other}");
        }
    }
}

#[test]
fn one_module_knows_the_operating_system() {
    for (_, file, code) in sources().into_iter().filter(|(module, ..)| module != "system") {
        for word in ["cfg(unix", "cfg(not(unix", "cfg!(unix", "cfg(windows", "cfg!(windows", "target_os", "std::os::"] {
            assert!(!code.contains(word), "src/{file} has {word}");
        }
    }
}

#[test]
fn nothing_but_rules_decides_by_a_rules_code() {
    // What is to be done about a finding is its action; a code is for people to look up.
    for (module, file, code) in sources().into_iter().filter(|(module, ..)| module != "audit") {
        assert!(!code.contains("rule.code =="), "src/{file} compares a rule's code");
        assert!(!code.contains("\"MA0"), "src/{file} has a rule's code");
        assert!(module == "report" || !code.contains("rule.code"), "src/{file} looks at a rule's code");
    }
}

/// The files (or folders) that a file uses of those beside it: `use super::NAME` and `use crate::MODULE::NAME`.
fn beside<'f>(file: &str, code: &str, all: &'f BTreeSet<String>) -> BTreeSet<&'f str> {
    let parent = file.rsplit_once('/').map_or("", |(parent, _)| parent);
    let of = |path: &str| {
        let (root, rest) = if let Some(rest) = path.strip_prefix("super::") {
            (parent.to_owned(), rest)
        } else {
            let (module, rest) = path.strip_prefix("crate::")?.split_once("::")?;
            (module.to_owned(), rest)
        };
        let names: Vec<String> = match rest.strip_prefix('{') {
            Some(group) => {
                group.split(',').map(|name| name.trim().split("::").next().unwrap_or("").to_owned()).collect()
            }
            None => vec![rest.split("::").next().unwrap_or("").to_owned()],
        };
        Some(names.into_iter().map(|name| format!("{root}/{}", name.trim_end_matches(['}', ';']))).collect::<Vec<_>>())
    };
    let joined = code.replace('\n', " ");
    joined
        .split("use ")
        .skip(1)
        .filter_map(|rest| of(rest.split(';').next()?))
        .flatten()
        .filter_map(|name| all.get(name.as_str()).map(String::as_str))
        .filter(|name| *name != file)
        .collect()
}

#[test]
fn files_of_a_module_use_each_other_in_one_direction() {
    let files: Vec<(String, String)> = sources()
        .into_iter()
        .filter(|(_, file, _)| !file.ends_with("/mod.rs"))
        .map(|(_, file, code)| (file.trim_end_matches(".rs").to_owned(), code))
        .collect();
    let all: BTreeSet<String> = files.iter().map(|(file, _)| file.clone()).collect();
    let uses: std::collections::BTreeMap<&str, BTreeSet<&str>> =
        files.iter().map(|(file, code)| (file.as_str(), beside(file, code, &all))).collect();
    let mut circles = Vec::new();
    for start in uses.keys() {
        let mut pending: Vec<&str> = uses[start].iter().copied().collect();
        let mut seen = BTreeSet::new();
        while let Some(next) = pending.pop() {
            if next == *start {
                circles.push(*start);
                break;
            }
            if seen.insert(next) {
                pending.extend(&uses[next]);
            }
        }
    }
    assert!(circles.is_empty(), "circles of files: {circles:?}");
}

#[test]
fn what_may_be_asked_of_a_proxy_is_only_what_is_listed() {
    // The safety promise: no other admin path can be expressed.
    let request = sources().into_iter().find(|(_, file, _)| file == "reach/request.rs").unwrap().2;
    let mut paths: Vec<&str> = request.split('"').filter(|text| text.starts_with('/')).collect();
    for path in &mut paths {
        *path = path.split(['?', '{']).next().unwrap();
    }
    let asked: BTreeSet<&str> = paths.into_iter().collect();
    assert_eq!(asked, BTreeSet::from(["/config_dump", "/clusters", "/stats", "/ready", "/server_info", "/logging"]));
    for (_, file, code) in sources() {
        for word in ["quitquitquit", "/certs", "healthcheck/fail", "reset_counters", "drain_listeners"] {
            assert!(!code.contains(word), "src/{file} has {word}");
        }
    }
}
