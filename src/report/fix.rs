//! A fix plan, for people, for machines, and as files.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::escape::escape;
use super::look::{Look, count, show_timeout};
use super::table::wrap;
use super::v1::audit::Tool;
use crate::audit::{Finding, Severity};
use crate::fix::{Change, FixPlan, MeshStep, ObjectStep, Step};
use crate::model::{ClusterSet, MeshSnapshot, format_duration};

/// How many values, findings or proxies are named before the rest is counted.
const NAMED: usize = 5;

/// A plan for people.
#[must_use]
pub fn text(snapshot: &MeshSnapshot, plan: &FixPlan, look: Look) -> String {
    let mut out = String::new();
    let palette = look.palette;
    let width = look.columns.unwrap_or(usize::MAX);
    if plan.steps.is_empty() {
        let _ = writeln!(out, "{}", palette.good("There is nothing to change."));
    } else if let Some(recommendation) = &plan.recommendation {
        let value = format_duration(recommendation.value);
        let _ = writeln!(out, "Connect timeout to set: {}", palette.strong(&value));
        let _ = writeln!(out, "  from:   {}", wrap(&escape(&recommendation.basis), width, 10));
        let _ = writeln!(out, "  within: {}", wrap(&escape(&recommendation.bounds), width, 10));
    }
    for (index, step) in plan.steps.iter().enumerate() {
        out.push('\n');
        match step {
            Step::Mesh(step) => mesh_step(&mut out, index + 1, step, look),
            Step::Object(step) => object_step(&mut out, index + 1, step, look),
        }
    }
    effect(&mut out, snapshot, plan, look);
    if !plan.notes.is_empty() {
        let _ = writeln!(out, "\n{}", palette.strong("To know"));
        for note in &plan.notes {
            let _ = writeln!(out, "  - {}", wrap(&escape(note), width, 4));
        }
    }
    if !plan.steps.is_empty() {
        let _ = writeln!(
            out,
            "\n{} {}",
            palette.strong("Afterwards:"),
            wrap(
                "`kubectl meshaudit verify -A --wait 5m` waits until every proxy has it. No restart is needed; \
                 connections that are already open keep what they had.",
                width,
                12
            )
        );
        let _ = writeln!(out, "{}", palette.faint("Nothing was changed: this command never writes to the cluster."));
    }
    out
}

fn heading(out: &mut String, number: usize, text: &str, look: Look) {
    let _ = writeln!(out, "{}", look.palette.strong(&format!("{number}. {text}")));
}

fn mesh_step(out: &mut String, number: usize, step: &MeshStep, look: Look) {
    let width = look.columns.unwrap_or(usize::MAX);
    let key = if step.default_traffic_policy {
        "meshConfig.defaultTrafficPolicy.connectionPool.tcp.connectTimeout"
    } else {
        "meshConfig.connectTimeout"
    };
    let of = [("revision ", &step.revision), ("context ", &step.context)];
    let of: Vec<String> =
        of.iter().filter(|(_, name)| !name.is_empty()).map(|(what, name)| format!("{what}{}", escape(name))).collect();
    let of = if of.is_empty() { String::new() } else { format!(" ({})", of.join(", ")) };
    let (before, after) = (format_duration(step.before), format_duration(step.after));
    heading(out, number, &format!("Mesh-wide: {key} {before} → {after}{of}"), look);
    let shown = if step.install.evidence.is_empty() {
        step.install.method.describe().to_owned()
    } else {
        format!("{}: {}", step.install.method.describe(), step.install.evidence.join(", "))
    };
    let _ = writeln!(out, "   installed by  {}", wrap(&escape(&shown), width, 17));
    if !step.source.is_empty() {
        let _ = writeln!(out, "   set now by    {}", wrap(&escape(&step.source), width, 17));
    }
    commands(out, step.commands.iter(), look);
    for fragment in &step.fragments {
        let file = if fragment.file.is_empty() { String::new() } else { format!(" ({})", escape(&fragment.file)) };
        let _ = writeln!(out, "   {}{file}:", escape(fragment.what));
        block(out, &fragment.content, look);
    }
    warnings(out, &step.warnings, look);
}

fn object_step(out: &mut String, number: usize, step: &ObjectStep, look: Look) {
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
    heading(out, number, &format!("{new}{name}{host}: {}{context}", parts.join("; ")), look);
    commands(out, step.changes.iter().map(|change| &change.command), look);
    for change in &step.changes {
        let _ = writeln!(out, "   {}:", if step.created { "the object" } else { "what that changes" });
        block(out, &change.diff, look);
    }
    warnings(out, &step.warnings, look);
}

/// Lines to copy: never broken.
fn commands<'a>(out: &mut String, commands: impl Iterator<Item = &'a String>, look: Look) {
    let mut commands = commands.peekable();
    if commands.peek().is_some() {
        out.push_str("   run:\n");
    }
    for command in commands {
        let _ = writeln!(out, "     {}", look.palette.info(&escape(command)));
    }
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
    let width = look.columns.unwrap_or(usize::MAX);
    for warning in warnings {
        let _ = writeln!(out, "   {} {}", look.palette.warning("mind:"), wrap(&escape(warning), width, 9));
    }
}

fn effect(out: &mut String, snapshot: &MeshSnapshot, plan: &FixPlan, look: Look) {
    let palette = look.palette;
    let effect = &plan.effect;
    let width = look.columns.unwrap_or(usize::MAX);
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
    }
    if !effect.vanish.is_empty() {
        let _ = writeln!(out, "  {} {}", palette.good("findings that vanish:"), tally(effect.vanish.iter()));
    }
    if !effect.remain.is_empty() {
        let all = tally(effect.remain.iter().map(|remaining| &remaining.finding));
        let _ = writeln!(out, "  {} {all}", palette.warning("findings that stay:"));
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
        let _ = writeln!(out, "  {} {}", palette.warning("findings that would be new:"), tally(effect.appear.iter()));
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

/// A plan as files: every object that `kubectl apply` takes as a document of its own, everything else as comments.
#[must_use]
pub fn files(plan: &FixPlan) -> String {
    let mut out = String::new();
    let comment = |out: &mut String, text: &str| {
        for line in text.lines() {
            let _ = writeln!(out, "{}", format!("# {}", escape(line)).trim_end());
        }
    };
    for step in &plan.steps {
        out.push_str("---\n");
        match step {
            Step::Mesh(step) => {
                comment(
                    &mut out,
                    &format!(
                        "Mesh-wide: meshConfig.connectTimeout {} -> {}, installed by {}.",
                        format_duration(step.before),
                        format_duration(step.after),
                        step.install.method.describe()
                    ),
                );
                step.commands.iter().for_each(|command| comment(&mut out, &format!("Run: {command}")));
                step.warnings.iter().for_each(|warning| comment(&mut out, &format!("Mind: {warning}")));
                for fragment in &step.fragments {
                    let applies = fragment.content.starts_with("apiVersion: v1\nkind: ConfigMap\n");
                    comment(&mut out, &format!("{} {}", fragment.what, fragment.file));
                    if applies {
                        out.push_str(&harmless(&fragment.content));
                    } else {
                        comment(&mut out, &fragment.content);
                    }
                }
            }
            Step::Object(step) => {
                for change in &step.changes {
                    let before = change.before.map_or_else(|| "unset".to_owned(), format_duration);
                    comment(&mut out, &format!("{}: {before} -> {}", change.part, format_duration(change.after)));
                }
                step.warnings.iter().for_each(|warning| comment(&mut out, &format!("Mind: {warning}")));
                out.push_str(&harmless(&step.manifest));
            }
        }
    }
    plan.notes.iter().for_each(|note| comment(&mut out, &format!("To know: {note}")));
    out
}

/// Escapes what would harm a terminal, line by line.
fn harmless(text: &str) -> String {
    text.lines().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{}", escape(line));
        all
    })
}

/// A fix plan.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FixPlanJson {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `FixPlan`.
    pub kind: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// The value that most of it sets; `null` where there is nothing to set.
    pub recommendation: Option<RecommendationJson>,
    /// What to do, in order.
    pub steps: Vec<StepJson>,
    /// What stands in the way, or is to be done by hand.
    pub notes: Vec<String>,
    /// What it would change.
    pub effect: EffectJson,
    /// The sets of proxies that changes refer to, by name.
    pub proxy_sets: BTreeMap<String, Vec<String>>,
}

/// A value, and why this one.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecommendationJson {
    /// As protobuf writes durations.
    pub connect_timeout: String,
    /// What it is taken from.
    pub basis: String,
    /// What bounds it.
    pub bounds: String,
}

/// One thing to do.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepJson {
    /// `mesh`, `object` or `new-object`.
    pub action: &'static str,
    /// The kubeconfig context; empty where only one cluster was audited.
    pub context: String,
    /// The control plane's revision, for `mesh`.
    pub revision: String,
    /// How it was installed, for `mesh`: `helm`, `istioctl`, `operator`, `sail`, `ossm2`, `aks`, `gke` or `unknown`.
    pub install: String,
    /// What shows that.
    pub install_evidence: Vec<String>,
    /// The object's kind; empty for `mesh`.
    pub kind: String,
    /// The object's namespace, or the control plane's.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The parts that change.
    pub changes: Vec<PartJson>,
    /// What to run.
    pub commands: Vec<String>,
    /// What to put into the source of truth.
    pub files: Vec<FileJson>,
    /// What goes wrong otherwise.
    pub warnings: Vec<String>,
}

/// A part that changes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PartJson {
    /// Which.
    pub part: String,
    /// The value now; `null` where it is not set.
    pub before: Option<String>,
    /// The value to set.
    pub after: String,
    /// The difference, as a unified diff; empty for `mesh`.
    pub diff: String,
}

/// A file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileJson {
    /// What it is.
    pub what: String,
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: String,
}

/// What a plan would change.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EffectJson {
    /// How many clusters.
    pub clusters: usize,
    /// How many proxies.
    pub proxies: usize,
    /// Each value.
    pub changes: Vec<ChangeJson>,
    /// Findings that vanish.
    pub vanish: Vec<FindingJson>,
    /// Findings that stay, and why.
    pub remain: Vec<FindingJson>,
    /// Findings that would be new.
    pub appear: Vec<FindingJson>,
}

/// One value that changes.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeJson {
    /// The cluster's name.
    pub cluster: String,
    /// The value now; `null` where the field is absent.
    pub before: Option<String>,
    /// The value afterwards; `null` where the field is absent.
    pub after: Option<String>,
    /// Which proxies, by the set's name in `proxySets`.
    pub proxy_set: String,
}

/// A finding, in short.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FindingJson {
    /// The rule's code.
    pub code: &'static str,
    /// `error`, `warning` or `info`.
    pub severity: &'static str,
    /// The cluster's name; empty where it is a proxy's matter.
    pub cluster: String,
    /// What is wrong.
    pub message: String,
    /// Why it stays; empty for others.
    pub reason: String,
}

/// The v1 form of a plan.
#[must_use]
pub fn plan_json(snapshot: &MeshSnapshot, plan: &FixPlan) -> FixPlanJson {
    let mut sets: Vec<ClusterSet> = Vec::new();
    let mut set_name = |set: &ClusterSet| {
        let at = sets.iter().position(|known| known == set).unwrap_or_else(|| {
            sets.push(set.clone());
            sets.len() - 1
        });
        format!("s{}", at + 1)
    };
    let changes = plan
        .effect
        .changes
        .iter()
        .map(|change| ChangeJson {
            cluster: change.cluster.to_string(),
            before: change.before.map(format_duration),
            after: change.after.map(format_duration),
            proxy_set: set_name(&change.proxies),
        })
        .collect();
    let finding = |finding: &Finding, reason: &str| FindingJson {
        code: finding.rule.code,
        severity: Severity::as_str(finding.severity),
        cluster: finding.cluster().to_owned(),
        message: finding.message.clone(),
        reason: reason.to_owned(),
    };
    FixPlanJson {
        api_version: "meshaudit/v1",
        kind: "FixPlan",
        tool: Tool::default(),
        recommendation: plan.recommendation.as_ref().map(|recommendation| RecommendationJson {
            connect_timeout: format_duration(recommendation.value),
            basis: recommendation.basis.clone(),
            bounds: recommendation.bounds.clone(),
        }),
        steps: plan.steps.iter().map(step_json).collect(),
        notes: plan.notes.clone(),
        effect: EffectJson {
            clusters: plan.effect.clusters(),
            proxies: plan.effect.proxies().len(),
            changes,
            vanish: plan.effect.vanish.iter().map(|found| finding(found, "")).collect(),
            remain: plan.effect.remain.iter().map(|left| finding(&left.finding, &left.reason)).collect(),
            appear: plan.effect.appear.iter().map(|found| finding(found, "")).collect(),
        },
        proxy_sets: sets
            .iter()
            .enumerate()
            .map(|(index, set)| {
                let names = set.iter().map(|at| snapshot.proxies[at as usize].proxy.id.to_string()).collect();
                (format!("s{}", index + 1), names)
            })
            .collect(),
    }
}

fn step_json(step: &Step) -> StepJson {
    match step {
        Step::Mesh(step) => StepJson {
            action: "mesh",
            context: step.context.clone(),
            revision: step.revision.clone(),
            install: step.install.method.as_str().to_owned(),
            install_evidence: step.install.evidence.clone(),
            kind: String::new(),
            namespace: step.namespace.clone(),
            name: String::new(),
            changes: vec![PartJson {
                part: if step.default_traffic_policy {
                    "defaultTrafficPolicy.connectionPool.tcp.connectTimeout".to_owned()
                } else {
                    "connectTimeout".to_owned()
                },
                before: Some(format_duration(step.before)),
                after: format_duration(step.after),
                diff: String::new(),
            }],
            commands: step.commands.clone(),
            files: step
                .fragments
                .iter()
                .map(|fragment| FileJson {
                    what: fragment.what.to_owned(),
                    name: fragment.file.clone(),
                    content: fragment.content.clone(),
                })
                .collect(),
            warnings: step.warnings.clone(),
        },
        Step::Object(step) => StepJson {
            action: if step.created { "new-object" } else { "object" },
            context: step.context.clone(),
            revision: String::new(),
            install: String::new(),
            install_evidence: Vec::new(),
            kind: step.identity.kind.to_owned(),
            namespace: step.identity.namespace.clone(),
            name: step.identity.name.clone(),
            changes: step
                .changes
                .iter()
                .map(|change| PartJson {
                    part: change.part.clone(),
                    before: change.before.map(format_duration),
                    after: format_duration(change.after),
                    diff: change.diff.clone(),
                })
                .collect(),
            commands: step.changes.iter().map(|change| change.command.clone()).collect(),
            files: vec![FileJson {
                what: "the object afterwards".to_owned(),
                name: format!("{}.yaml", step.identity.name),
                content: step.manifest.clone(),
            }],
            warnings: step.warnings.clone(),
        },
    }
}

/// What `verify --plan` needs of a saved plan.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedPlan {
    /// `meshaudit/v1`.
    pub api_version: String,
    /// `FixPlan`.
    pub kind: String,
    effect: SavedEffect,
    proxy_sets: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct SavedEffect {
    changes: Vec<SavedChange>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SavedChange {
    cluster: String,
    after: Option<String>,
    proxy_set: String,
}

/// A cluster, the value it is to have, and the proxies by name.
pub type ExpectedValue<'a> = (&'a str, Option<Duration>, &'a [String]);

impl SavedPlan {
    /// The values that the plan leads to: cluster, value, proxies by name. The error names a value that is none.
    pub fn expected(&self) -> Result<Vec<ExpectedValue<'_>>, String> {
        let sets = |name: &str| self.proxy_sets.get(name).map_or(&[][..], Vec::as_slice);
        self.effect
            .changes
            .iter()
            .map(|change| {
                let value = change.after.as_deref().map(crate::model::parse_duration).transpose();
                let value = value.map_err(|error| format!("{}: {error}", change.cluster))?;
                Ok((change.cluster.as_str(), value, sets(&change.proxy_set)))
            })
            .collect()
    }
}
