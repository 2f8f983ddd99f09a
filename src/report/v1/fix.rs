//! The v1 form of a plan.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit::Tool;
use crate::audit::{Finding, Severity};
use crate::fix::{FixPlan, HostChoices, MeshStep, ObjectStep, Step};
use crate::model::{ClusterSet, MeshSnapshot, Scope, format_duration};

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
    /// Hosts for which no change does just what was asked for, and what could be done.
    pub open: Vec<OpenJson>,
    /// What stands in the way, or is to be done by hand.
    pub notes: Vec<String>,
    /// What the first step alone mends; `null` where it is the only one.
    pub first_step_alone: Option<FirstStepJson>,
    /// What it would change.
    pub effect: EffectJson,
    /// The sets of proxies that changes refer to, by name.
    pub proxy_sets: BTreeMap<String, Vec<String>>,
}

/// What the first step of several mends by itself.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FirstStepJson {
    /// How many errors and warnings go.
    pub mends: usize,
    /// How many there are.
    pub of: usize,
}

/// A host for which no change does just what was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OpenJson {
    /// The kubeconfig context; empty where only one cluster was audited.
    pub context: String,
    /// The host.
    pub host: String,
    /// What decides now, and for whom.
    pub deciding: Vec<String>,
    /// What stands in the way of a change of its own.
    pub obstacles: Vec<String>,
    /// What could be done.
    pub choices: Vec<ChoiceJson>,
}

/// A change that does more than was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChoiceJson {
    /// The value of `--choose` that takes it: `namespace/name`.
    pub choose: String,
    /// What it is.
    pub what: String,
    /// What it does beside what was asked for.
    pub consequences: Vec<String>,
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
    /// How it was installed, for `mesh`: `helm`, `rendered`, `istioctl`, `operator`, `sail`, `ossm2`, `aks`, `gke`,
    /// `alibaba` or `unknown`.
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
    /// What to run, each for a POSIX shell. Empty where what would be run is undone by what owns the object.
    pub commands: Vec<String>,
    /// A change in the cluster that holds only for a while; `null` where there is none, or it is the way itself.
    pub interim: Option<InterimJson>,
    /// What to put into the source of truth, and what the change names of the object.
    pub files: Vec<FileJson>,
    /// What goes wrong otherwise.
    pub warnings: Vec<String>,
}

/// A change in the cluster that does not last.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InterimJson {
    /// Until when it holds.
    pub until: String,
    /// What makes it, for a POSIX shell.
    pub command: String,
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
    /// The difference that the step makes to its object, as a unified diff; it stands with the first part.
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

impl FixPlanJson {
    /// The v1 form of a plan. `scope` is what printed commands need to mean the same mesh.
    #[must_use]
    pub fn new(snapshot: &MeshSnapshot, plan: &FixPlan, scope: &Scope) -> Self {
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
        let names =
            |set: &ClusterSet| set.iter().map(|at| snapshot.proxies[at as usize].proxy.id.to_string()).collect();
        Self {
            api_version: "meshaudit/v1",
            kind: "FixPlan",
            tool: Tool::default(),
            recommendation: plan.recommendation.as_ref().map(|recommendation| RecommendationJson {
                connect_timeout: format_duration(recommendation.value),
                basis: recommendation.basis.clone(),
                bounds: recommendation.bounds.clone(),
            }),
            steps: plan
                .steps
                .iter()
                .map(|step| match step {
                    Step::Mesh(step) => mesh_json(step, scope),
                    Step::Object(step) => object_json(step, scope),
                })
                .collect(),
            open: plan.open.iter().map(OpenJson::from).collect(),
            notes: plan.notes.clone(),
            first_step_alone: plan.first.map(|(mends, of)| FirstStepJson { mends, of }),
            effect: EffectJson {
                clusters: plan.effect.clusters(),
                proxies: plan.effect.proxies().len(),
                changes,
                vanish: plan.effect.vanish.iter().map(|found| finding(found, "")).collect(),
                remain: plan.effect.remain.iter().map(|left| finding(&left.finding, &left.reason)).collect(),
                appear: plan.effect.appear.iter().map(|found| finding(found, "")).collect(),
            },
            proxy_sets: sets.iter().zip(1..).map(|(set, number)| (format!("s{number}"), names(set))).collect(),
        }
    }
}

impl From<&HostChoices> for OpenJson {
    fn from(open: &HostChoices) -> Self {
        let choices = open.choices.iter().map(|choice| ChoiceJson {
            choose: choice.object.to_string(),
            what: choice.what.clone(),
            consequences: choice.consequences.clone(),
        });
        Self {
            context: open.context.clone(),
            host: open.host.clone(),
            deciding: open.deciding.clone(),
            obstacles: open.obstacles.clone(),
            choices: choices.collect(),
        }
    }
}

fn finding(finding: &Finding, reason: &str) -> FindingJson {
    FindingJson {
        code: finding.rule.code,
        severity: Severity::as_str(finding.severity),
        cluster: finding.cluster().to_owned(),
        message: finding.message.clone(),
        reason: reason.to_owned(),
    }
}

fn mesh_json(step: &MeshStep, scope: &Scope) -> StepJson {
    let files = step.fragments.iter().map(|fragment| FileJson {
        what: fragment.what.clone(),
        name: fragment.file.clone(),
        content: fragment.content.clone(),
    });
    let mut diff = step.patch.as_ref().map(|patch| patch.diff.clone());
    let changes = step.key.dotted().map(|part| PartJson {
        part,
        before: Some(format_duration(step.before)),
        after: format_duration(step.after),
        diff: diff.take().unwrap_or_default(),
    });
    StepJson {
        action: "mesh",
        context: step.context.clone(),
        revision: step.revision.clone(),
        install: step.install.method.as_str().to_owned(),
        install_evidence: step.install.evidence.clone(),
        kind: String::new(),
        namespace: step.namespace.clone(),
        name: String::new(),
        changes: changes.collect(),
        commands: step.commands.iter().map(|command| command.line(scope, &step.context)).collect(),
        interim: step.interim.as_ref().map(|interim| InterimJson {
            until: interim.until.clone(),
            command: interim.command.line(scope, &step.context),
        }),
        files: files.collect(),
        warnings: step.warnings.clone(),
    }
}

fn object_json(step: &ObjectStep, scope: &Scope) -> StepJson {
    let mut diff = Some(step.diff.clone());
    let changes = step.changes.iter().map(|change| PartJson {
        part: change.part.clone(),
        before: change.before.map(format_duration),
        after: format_duration(change.after),
        diff: diff.take().unwrap_or_default(),
    });
    let line = step.command.line(scope, &step.context);
    StepJson {
        action: if step.created { "new-object" } else { "object" },
        context: step.context.clone(),
        revision: String::new(),
        install: String::new(),
        install_evidence: Vec::new(),
        kind: step.identity.kind.to_owned(),
        namespace: step.identity.namespace.clone(),
        name: step.identity.name.clone(),
        changes: changes.collect(),
        commands: if step.until.is_none() { vec![line.clone()] } else { Vec::new() },
        interim: step.until.clone().map(|until| InterimJson { until, command: line }),
        files: Some(step.manifest.clone())
            .filter(|content| !content.is_empty())
            .map(|content| FileJson {
                what: "what the change names of the object".to_owned(),
                name: format!("{}.yaml", step.identity.name),
                content,
            })
            .into_iter()
            .collect(),
        warnings: step.warnings.clone(),
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
