//! A plan as YAML, a merge patch of each object: the fields that change and nothing else.
//!
//! `kubectl patch` takes them, and not `kubectl apply`: where an object was made by a client-side apply, `apply`, with
//! `--server-side` too and whatever the field manager is called, makes the fields of that apply its own
//! (`staging/src/k8s.io/kubectl/pkg/cmd/apply/apply.go`, `migrateToSSAIfNecessary`), and takes away what is not named.

use std::fmt::Write;

use crate::fix::{FixPlan, MeshStep, ObjectStep, ShellCommand, Step};
use crate::model::{Scope, format_duration};
use crate::report::escape::escape;

/// What the file is called in the commands at its top.
const NAME: &str = "fix.yaml";

/// A plan as files: a document for each object that is changed, everything else as comments. The commands that use it
/// stand at its top, one a document.
#[must_use]
pub fn files(plan: &FixPlan, scope: &Scope) -> String {
    let (mut body, mut commands) = (String::new(), Vec::new());
    for (at, step) in (1..).zip(&plan.steps) {
        body.push_str("---\n");
        let (start, end) = (format!("change {at} of {}", plan.steps.len()), format!("end of change {at}"));
        comment(&mut body, &start);
        let part = format!("sed -n '/^# {start}$/,/^# {end}$/p' {NAME}");
        let patch = |resource: &str, name: &str, namespace: &str, context: &str| {
            let command = ShellCommand::patch(resource, name, namespace, "merge", []).line(scope, context);
            format!("{command} -p \"$({part})\"")
        };
        match step {
            Step::Mesh(step) => {
                mesh(&mut body, step, scope);
                let map = step.patch.as_ref().map(|patch| &patch.map);
                commands.extend(map.map(|map| patch("configmap", &map.name, &map.namespace, &step.context)));
            }
            Step::Object(step) => {
                object(&mut body, step);
                let identity = &step.identity;
                commands.push(if step.manifest.is_empty() {
                    step.command.line(scope, &step.context)
                } else if step.created {
                    format!("{} -f <({part})", ShellCommand::kubectl(["create"]).line(scope, &step.context))
                } else {
                    patch(&identity.resource(), &identity.name, &identity.namespace, &step.context)
                });
            }
        }
        // A line behind the document, so that a shell's `$(…)`, which drops line ends, leaves those of the document.
        comment(&mut body, &end);
    }
    for open in &plan.open {
        comment(&mut body, &format!("Not planned: {}. {}", open.host, open.obstacles.join("; ")));
    }
    plan.notes.iter().for_each(|note| comment(&mut body, &format!("To know: {note}")));
    let mut out = String::new();
    if !commands.is_empty() {
        comment(
            &mut out,
            &format!(
                "Saved as {NAME}, in bash or zsh, a line for each change:\n{}\n\
                 Each document names the fields that it changes and nothing else; a list is whole, since a merge patch \
                 takes lists whole. Not for `kubectl apply`, which takes away what is not named.",
                commands.join("\n")
            ),
        );
    }
    out + &body
}

fn comment(out: &mut String, text: &str) {
    for line in text.lines() {
        let _ = writeln!(out, "{}", format!("# {}", escape(line)).trim_end());
    }
}

/// Escapes what would harm a terminal, line by line.
fn document(out: &mut String, yaml: &str) {
    for line in yaml.lines() {
        let _ = writeln!(out, "{}", escape(line));
    }
}

fn mesh(out: &mut String, step: &MeshStep, scope: &Scope) {
    let (before, after) = (format_duration(step.before), format_duration(step.after));
    let keys: Vec<String> = step.key.dotted().map(|key| format!("meshConfig.{key}")).collect();
    let keys = keys.join(" and ");
    comment(out, &format!("Mesh-wide: {keys} {before} -> {after}, installed by {}.", step.install.method.describe()));
    let command = |out: &mut String, command: &ShellCommand| comment(out, &command.line(scope, &step.context));
    match &step.interim {
        Some(interim) => {
            if !step.commands.is_empty() {
                comment(out, "The way of the installation:");
            }
            step.commands.iter().for_each(|line| command(out, line));
            comment(out, &format!("What follows holds until {}.", interim.until));
        }
        None if step.patch.is_none() => step.commands.iter().for_each(|line| command(out, line)),
        None => {}
    }
    step.warnings.iter().for_each(|warning| comment(out, &format!("Mind: {warning}")));
    for fragment in step.fragments.iter().filter(|_| step.patch.is_none() || step.interim.is_some()) {
        comment(out, &format!("{} {}", fragment.what, fragment.file));
        comment(out, &fragment.content);
    }
    if let Some(patch) = &step.patch {
        document(out, &patch.manifest);
    }
}

fn object(out: &mut String, step: &ObjectStep) {
    for change in &step.changes {
        let before = change.before.map_or_else(|| "unset".to_owned(), format_duration);
        comment(out, &format!("{}: {before} -> {}", change.part, format_duration(change.after)));
    }
    if let Some(until) = &step.until {
        comment(out, &format!("What follows holds until {until}."));
    }
    step.warnings.iter().for_each(|warning| comment(out, &format!("Mind: {warning}")));
    if step.manifest.is_empty() {
        comment(
            out,
            "The rest of the list is not read, since it may hold credentials: the command above changes this alone.",
        );
    }
    document(out, &step.manifest);
}
