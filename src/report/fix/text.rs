//! A plan for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::audit::Finding;
use crate::fix::{Change, FixPlan, HostChoices, MeshStep, ObjectStep, ShellCommand, Step};
use crate::model::{ClusterSet, MeshSnapshot, Scope, format_duration};
use crate::report::escape::escape;
use crate::report::look::{Look, count, show_timeout};
use crate::report::table::{self, wrap};

/// How many values, findings or proxies are named before the rest is counted.
const NAMED: usize = 5;

/// A plan for people. `scope` is what printed commands need to mean the same mesh.
#[must_use]
pub fn text(snapshot: &MeshSnapshot, plan: &FixPlan, scope: &Scope, look: Look) -> String {
    let mut out = String::new();
    let (palette, width) = (look.palette, look.width());
    if plan.steps.is_empty() && plan.open.is_empty() {
        let _ = writeln!(out, "{}", palette.good("There is nothing to change."));
    } else if let Some(recommendation) = &plan.recommendation {
        let value = format_duration(recommendation.value);
        let _ = writeln!(out, "Connect timeout to set: {}", palette.strong(&value));
        let _ = writeln!(out, "  from:   {}", wrap(&escape(&recommendation.basis), width, 10));
        if !recommendation.bounds.is_empty() {
            let _ = writeln!(out, "  within: {}", wrap(&escape(&recommendation.bounds), width, 10));
        }
    }
    for (index, step) in plan.steps.iter().enumerate() {
        if !out.is_empty() {
            out.push('\n');
        }
        let alone = plan.first.filter(|_| index == 0);
        match step {
            Step::Mesh(step) => mesh_step(&mut out, index + 1, step, alone, scope, look),
            Step::Object(step) => object_step(&mut out, index + 1, step, alone, scope, look),
        }
    }
    plan.open.iter().for_each(|host| open(&mut out, host, scope, look));
    effect(&mut out, snapshot, plan, scope, look);
    if !plan.notes.is_empty() {
        let _ = writeln!(out, "\n{}", palette.strong("To know"));
        for note in &plan.notes {
            let _ = writeln!(out, "  - {}", wrap(&escape(note), width, 4));
        }
    }
    if !plan.steps.is_empty() {
        let verify = if scope.is_offline() {
            "kubectl meshaudit verify -A --wait 5m".to_owned()
        } else {
            scope.command("verify", ["--wait", "5m"])
        };
        let line = table::command(&escape(&verify), width, 12);
        let _ = writeln!(out, "\n{} {}", palette.strong("Afterwards:"), palette.info(&line));
        let rest = "It waits until every proxy has it. No restart is needed; connections that are already open keep \
                    what they had.";
        let _ = writeln!(out, "  {}", wrap(rest, width, 2));
        let nothing = wrap("Nothing was changed: this command never writes to the cluster.", width, 2);
        let _ = writeln!(out, "{}", palette.faint(&nothing));
    }
    out
}

fn heading(out: &mut String, number: usize, text: &str, alone: Option<(usize, usize)>, look: Look) {
    let _ = writeln!(out, "{}", look.palette.strong(&wrap(&format!("{number}. {text}"), look.width(), 3)));
    if let Some((mends, of)) = alone.filter(|(_, of)| *of > 0) {
        let all = count(of, "error or warning", "errors and warnings");
        let _ = writeln!(out, "   this step alone mends {mends} of {all}");
    }
}

fn mesh_step(
    out: &mut String,
    number: usize,
    step: &MeshStep,
    alone: Option<(usize, usize)>,
    scope: &Scope,
    look: Look,
) {
    let width = look.width();
    let of = [("revision ", &step.revision), ("context ", &step.context)];
    let of: Vec<String> =
        of.iter().filter(|(_, name)| !name.is_empty()).map(|(what, name)| format!("{what}{}", escape(name))).collect();
    let of = if of.is_empty() { String::new() } else { format!(" ({})", of.join(", ")) };
    let (before, after) = (format_duration(step.before), format_duration(step.after));
    let keys: Vec<String> = step.key.dotted().map(|key| format!("meshConfig.{key}")).collect();
    heading(out, number, &format!("Mesh-wide: {} {before} → {after}{of}", keys.join(" and ")), alone, look);
    let shown = if step.install.evidence.is_empty() {
        step.install.method.describe().to_owned()
    } else {
        format!("{}: {}", step.install.method.describe(), step.install.evidence.join(", "))
    };
    let _ = writeln!(out, "   installed by  {}", wrap(&escape(&shown), width, 17));
    if !step.source.is_empty() {
        let _ = writeln!(out, "   set now by    {}", wrap(&escape(&step.source), width, 17));
    }
    // What belongs into the source of truth comes first where a command would not last.
    if step.commands.is_empty() {
        fragments(out, step, look);
    }
    commands(out, "run:", &step.commands, (scope, &step.context), look);
    if !step.commands.is_empty() {
        fragments(out, step, look);
    }
    if let Some(interim) = &step.interim {
        let label = format!("in the cluster, until {}:", escape(&interim.until));
        let _ = writeln!(out, "   {}", wrap(&label, width, 3));
        commands(out, "run:", std::slice::from_ref(&interim.command), (scope, &step.context), look);
    }
    if let Some(patch) = &step.patch {
        out.push_str("   what that changes:\n");
        block(out, &patch.diff, look);
    }
    warnings(out, &step.warnings, look);
}

fn fragments(out: &mut String, step: &MeshStep, look: Look) {
    for fragment in &step.fragments {
        let file = if fragment.file.is_empty() { String::new() } else { format!(" ({})", escape(&fragment.file)) };
        let _ = writeln!(out, "   {}", wrap(&format!("{}{file}:", escape(&fragment.what)), look.width(), 3));
        block(out, &fragment.content, look);
    }
}

fn object_step(
    out: &mut String,
    number: usize,
    step: &ObjectStep,
    alone: Option<(usize, usize)>,
    scope: &Scope,
    look: Look,
) {
    let identity = &step.identity;
    let parts: Vec<String> = step
        .changes
        .iter()
        .map(|change| {
            let before = change.before.map_or_else(|| "unset".to_owned(), format_duration);
            format!("{} {before} → {}", escape(&change.part), format_duration(change.after))
        })
        .collect();
    let host = if step.host.is_empty() { String::new() } else { format!(" for {}", escape(&step.host)) };
    let name = format!("{} {}/{}", identity.kind, escape(&identity.namespace), escape(&identity.name));
    let context = if step.context.is_empty() { String::new() } else { format!(" (context {})", escape(&step.context)) };
    let new = if step.created { "New " } else { "" };
    heading(out, number, &format!("{new}{name}{host}: {}{context}", parts.join("; ")), alone, look);
    if let Some(until) = &step.until {
        let label = format!("in the cluster, until {}:", escape(until));
        let _ = writeln!(out, "   {}", wrap(&label, look.width(), 3));
    }
    commands(out, "run:", std::slice::from_ref(&step.command), (scope, &step.context), look);
    // A new object stands in its command whole.
    if !step.created {
        out.push_str("   what that changes:\n");
        block(out, &step.diff, look);
    }
    warnings(out, &step.warnings, look);
}

/// Lines to copy: broken as a shell reads them, and with what they read from their input at the line's beginning,
/// where a shell looks for its end, as it is.
fn commands(out: &mut String, label: &str, commands: &[ShellCommand], of: (&Scope, &str), look: Look) {
    if commands.is_empty() {
        return;
    }
    let _ = writeln!(out, "   {label}");
    for command in commands {
        let indent = if command.input.is_empty() { "     " } else { "" };
        let text = command.line(of.0, of.1);
        let (line, input) = text.split_once('\n').unwrap_or((&text, ""));
        let line = table::command(&escape(line), look.width(), indent.len());
        let _ = writeln!(out, "{indent}{}", look.palette.info(&line));
        for line in input.lines() {
            let _ = writeln!(out, "{}", look.palette.info(&escape(line)));
        }
    }
}

/// A host that is left to the reader.
fn open(out: &mut String, host: &HostChoices, scope: &Scope, look: Look) {
    let (palette, width) = (look.palette, look.width());
    let context = if host.context.is_empty() { String::new() } else { format!(" (context {})", escape(&host.context)) };
    let _ = writeln!(out, "\n{}", palette.strong(&format!("Not planned: {}{context}", escape(&host.host))));
    let mut list = |label: &str, lines: &[String]| {
        if !lines.is_empty() {
            let _ = writeln!(out, "   {label}");
        }
        for line in lines {
            let _ = writeln!(out, "     - {}", wrap(&escape(line), width, 7));
        }
    };
    list("what decides now:", &host.deciding);
    list("no change does just what is asked for:", &host.obstacles);
    let choices = host.choices.iter().map(|choice| {
        let more = if choice.consequences.is_empty() { "it is for other hosts too" } else { "" };
        let consequences = choice.consequences.join("; ");
        format!("--choose {}: {}; {more}{consequences}", choice.object, choice.what)
    });
    let mut choices: Vec<String> = choices.collect();
    choices.push(format!("without --host, the value of the whole mesh: `{}`", scope.command("fix", [] as [&str; 0])));
    list("what could be done:", &choices);
}

fn block(out: &mut String, content: &str, look: Look) {
    for line in content.lines() {
        let shown = escape(line);
        let painted = match line.as_bytes().first() {
            Some(b'+') if !line.starts_with("+++") => look.palette.good(&shown),
            Some(b'-') if !line.starts_with("---") && !line.starts_with("- ") => look.palette.error(&shown),
            _ => shown.into_owned(),
        };
        let _ = writeln!(out, "     {painted}");
    }
}

fn warnings(out: &mut String, warnings: &[String], look: Look) {
    let width = look.width();
    for warning in warnings {
        let _ = writeln!(out, "   {} {}", look.palette.warning("mind:"), wrap(&escape(warning), width, 9));
    }
}

fn effect(out: &mut String, snapshot: &MeshSnapshot, plan: &FixPlan, scope: &Scope, look: Look) {
    let palette = look.palette;
    let effect = &plan.effect;
    let width = look.width();
    if !effect.changes.is_empty() {
        let _ = writeln!(
            out,
            "\n{} {} on {}",
            palette.strong("What it changes:"),
            count(effect.clusters(), "cluster", "clusters"),
            count(effect.proxies().len(), "proxy", "proxies")
        );
        let mut grouped: BTreeMap<(Option<Duration>, Option<Duration>), (usize, ClusterSet)> = BTreeMap::new();
        for Change { before, after, proxies, .. } in &effect.changes {
            let (clusters, all) = grouped.entry((*before, *after)).or_default();
            *clusters += 1;
            all.extend(proxies);
        }
        for ((before, after), (clusters, proxies)) in grouped {
            let _ = writeln!(
                out,
                "  {} → {}  {} on {}",
                show_timeout(before),
                show_timeout(after),
                count(clusters, "cluster", "clusters"),
                count(proxies.len(), "proxy", "proxies")
            );
        }
        let planes: Vec<String> = plan.steps.iter().filter_map(reaches).collect();
        if let Some(unread) = unread(snapshot, scope).filter(|_| !planes.is_empty()) {
            let line = format!("{unread}; the mesh-wide change reaches every proxy of {}", planes.join(", "));
            let _ = writeln!(out, "  {}", palette.warning(&wrap(&line, width, 2)));
        }
    }
    if !effect.vanish.is_empty() {
        let line = format!("{} {}", palette.good("findings that vanish:"), tally(effect.vanish.iter()));
        let _ = writeln!(out, "  {}", wrap(&line, width, 4));
    }
    if !effect.remain.is_empty() {
        let all = tally(effect.remain.iter().map(|remaining| &remaining.finding));
        let line = format!("{} {all}", palette.warning("findings that stay:"));
        let _ = writeln!(out, "  {}", wrap(&line, width, 4));
        let mut reasons: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
        for remaining in &effect.remain {
            reasons.entry(&remaining.reason).or_default().push(&remaining.finding);
        }
        for (reason, findings) in reasons {
            let line = format!("{}: {}", tally(findings.into_iter()), escape(reason));
            let _ = writeln!(out, "    {}", wrap(&line, width, 6));
        }
    }
    if !effect.appear.is_empty() {
        let line = format!("{} {}", palette.warning("findings that would be new:"), tally(effect.appear.iter()));
        let _ = writeln!(out, "  {}", wrap(&line, width, 4));
        for finding in effect.appear.iter().take(NAMED) {
            let subject = if finding.cluster().is_empty() {
                names(snapshot, finding.proxies())
            } else {
                escape(finding.cluster()).into_owned()
            };
            let line = format!("{} {subject}: {}", finding.rule.code, escape(&finding.message));
            let _ = writeln!(out, "    {}", wrap(&line, width, 6));
        }
        if effect.appear.len() > NAMED {
            let _ = writeln!(out, "    and {} more (-o json has all)", effect.appear.len() - NAMED);
        }
    }
}

/// Whom a mesh-wide step reaches.
fn reaches(step: &Step) -> Option<String> {
    let Step::Mesh(step) = step else { return None };
    let context =
        if step.context.is_empty() { String::new() } else { format!(" in context {}", escape(&step.context)) };
    let revision = if step.revision.is_empty() {
        "its control plane".to_owned()
    } else {
        format!("revision {}", escape(&step.revision))
    };
    Some(format!("{revision}{context}"))
}

/// That not all proxies were read, and how they are; `None` where they were.
fn unread(snapshot: &MeshSnapshot, scope: &Scope) -> Option<String> {
    let all = scope.selection.iter().any(|flag| flag.name == "-A") && scope.targets.is_empty();
    let narrowed = scope.selection.iter().any(|flag| matches!(flag.name.as_str(), "-l" | "--field-selector"));
    if scope.is_offline() {
        return Some("these are the proxies that are in the files".to_owned());
    }
    if all && !narrowed && snapshot.failed.is_empty() {
        return None;
    }
    let whole = scope.whole_mesh().command("fix", [] as [&str; 0]);
    Some(format!("these are the proxies that were read (`{}` reads all)", escape(&whole)))
}

fn names(snapshot: &MeshSnapshot, proxies: &ClusterSet) -> String {
    let ids: Vec<String> = proxies
        .iter()
        .take(NAMED)
        .map(|at| escape(&snapshot.proxies[at as usize].proxy.id.to_string()).into_owned())
        .collect();
    ids.join(", ")
}

/// `MA001 × 3, MA002 × 1`.
fn tally<'a>(findings: impl Iterator<Item = &'a Finding>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    findings.for_each(|finding| *counts.entry(finding.rule.code).or_default() += 1);
    let parts: Vec<String> = counts.iter().map(|(code, number)| format!("{code} × {number}")).collect();
    parts.join(", ")
}
