//! What the documents tell people to type: every command is right, and README's are run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{on_incident, plugin, project};

/// README, and everything under docs that is written for people.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![project().join("README.md")];
    let mut pending = vec![project().join("docs")];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The plugin's commands on a page, each as its words without the program's name: in fences, and between backquotes.
fn commands(page: &Path) -> BTreeSet<Vec<String>> {
    let text = fs::read_to_string(page).unwrap();
    // A line that goes on is one.
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    let text = parts.fold(first, |text, part| text + " " + part.trim_start());
    let mut found = BTreeSet::new();
    let (mut fenced, mut typed) = (false, "");
    for line in text.lines() {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            fenced = !fenced;
            // What a program answered is no command.
            typed = if kind == "console" { "$ " } else { "" };
        } else if fenced && !line.starts_with(typed) {
            continue;
        } else if fenced || line.starts_with("    ") || line.starts_with("  ") {
            found.extend(words(line));
        } else {
            line.split('`').skip(1).step_by(2).for_each(|part| found.extend(words(part)));
        }
    }
    found
}

/// The words of the command in a line, up to where the shell's own begin.
fn words(line: &str) -> Option<Vec<String>> {
    const NAMES: [&str; 2] = ["kubectl meshaudit ", "kubectl-meshaudit "];
    let begin = NAMES.iter().filter_map(|name| line.find(name).map(|at| at + name.len())).min()?;
    // What is said of a command stands behind three blanks; `COMMAND` and `…` stand for any.
    let line = line[begin..].split("   ").next().unwrap_or_default().trim_end_matches(['`', ')', ';']);
    if line.contains("COMMAND") || line.contains('…') || line.contains(" [") {
        return None;
    }
    let shells = ["|", ">", ">>", "<", "2>&1", "&&", "||", ";", "&", "}"];
    let words = shlex::split(line)?.into_iter().take_while(|word| !shells.contains(&word.as_str()));
    // Of `bash|zsh|fish` any may be typed.
    let one = |word: &str| word.trim_end_matches(';').split('|').next().unwrap_or_default().to_owned();
    let words: Vec<String> = words.map(|word| one(&word)).collect();
    // A sentence goes on where a command would have flags and targets.
    let sentence = words.first().is_none_or(|first| !first.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    (!sentence).then_some(words)
}

#[test]
fn every_command_of_the_documents_is_right_usage() {
    let commands: BTreeSet<(String, Vec<String>)> = pages()
        .iter()
        .flat_map(|page| {
            let name = page.strip_prefix(project()).unwrap().display().to_string();
            commands(page).into_iter().map(move |words| (name.clone(), words))
        })
        .collect();
    assert!(commands.len() > 100, "{}", commands.len());
    let nowhere = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let mut tried = BTreeSet::new();
    for (page, mut words) in commands {
        // What the shell would put in, and moments.
        words.iter_mut().filter(|word| word.contains("$(")).for_each(|word| *word = "now=change".to_owned());
        // Reads nothing and writes nothing: flags and their values are looked at before help is given.
        words.push("--help".to_owned());
        if words[0].starts_with("__") || !tried.insert(words.clone()) {
            continue;
        }
        let run = plugin(&words).within(nowhere.path()).run();
        if run.code != 0 {
            wrong.push(format!("{page}: {}: {}", words.join(" "), run.stderr.trim()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_commands_of_readme_do_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let log = "2020-07-03T12:00:00.000Z ERROR java.net.SocketException: Connection reset\n";
    fs::write(logs.join("checkout.log"), log).unwrap();
    let mut run = 0;
    for mut words in commands(&project().join("README.md")) {
        match words[0].as_str() {
            // A server, and one that writes into the user's own directory: tests/it/serve.rs and completion.rs.
            "serve" | "completion" => continue,
            "debug-log" => words.extend(["--for", "1s"].map(str::to_owned)),
            _ => {}
        }
        if words[0] == "explain" {
            plugin(&words).run().exits(0);
            continue;
        }
        for word in &mut words {
            *word = word.replace("POD", "checkout-7d9f8b6c5d-m8q2z").replace("deploy/web", "deploy/checkout");
        }
        let outcome = on_incident(&words).within(directory.path()).env("XDG_STATE_HOME", directory.path()).run();
        assert!(matches!(outcome.code, 0 | 1 | 3), "{words:?}: {outcome:?}");
        assert!(outcome.stdout.len() + outcome.stderr.len() > 20, "{words:?}: {outcome:?}");
        run += 1;
    }
    assert!(run >= 10, "{run}");
}
