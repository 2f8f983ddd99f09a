//! A plan as YAML that server-side apply takes: of each object the fields that change and nothing else.

use std::fmt::Write;

use crate::fix::{FixPlan, MeshStep, ObjectStep, ShellCommand, Step};
use crate::model::{Scope, format_duration};
use crate::report::escape::escape;

/// A plan as files: a document for each object that is changed, everything else as comments. The way to use it stands
/// at its top.
#[must_use]
pub fn files(plan: &FixPlan, scope: &Scope) -> String {
    let mut body = String::new();
    for step in &plan.steps {
        body.push_str("---\n");
        match step {
            Step::Mesh(step) => mesh(&mut body, step, scope),
            Step::Object(step) => object(&mut body, step),
        }
    }
    for open in &plan.open {
        comment(&mut body, &format!("Not planned: {}. {}", open.host, open.obstacles.join("; ")));
    }
    plan.notes.iter().for_each(|note| comment(&mut body, &format!("To know: {note}")));
    let mut out = String::new();
    if !plan.steps.is_empty() {
        // A field manager of its own for each plan: under one that is used again, server-side apply would take away what
        // an earlier plan set and this one does not name.
        let manager = format!("--field-manager=kubectl-meshaudit-{:08x}", digest(&body));
        let flags = scope.cluster_flags(crate::model::ClusterTool::Kubectl, "");
        comment(
            &mut out,
            &format!(
                "Saved as fix.yaml:\n\
                 kubectl apply --server-side --force-conflicts {manager} -f fix.yaml{flags}\n\
                 Each document names the fields that it changes and nothing else; a list is whole, since the API server \
                 takes these lists whole. Without --server-side, kubectl would take away what is not named."
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
    let key = step.key.dotted();
    comment(
        out,
        &format!("Mesh-wide: meshConfig.{key} {before} -> {after}, installed by {}.", step.install.method.describe()),
    );
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
    step.warnings.iter().for_each(|warning| comment(out, &format!("Mind: {warning}")));
    document(out, &step.manifest);
}

/// FNV-1a, which is the same everywhere and always.
fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
