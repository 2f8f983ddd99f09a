//! The v1 form of an audit: frozen, apart from the types inside the program. A field is never renamed or removed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::super::document;
use super::FailureCause;
use super::{Origin, OriginKind};
use crate::audit::{self, Audit, Counters, Row, Severity, Subject};
use crate::model::{BySet, ClusterSet, MeshSnapshot, format_duration};

/// Names of proxies. What concerns the same ones shares them: a large mesh has thousands of findings about thousands of
/// proxies each.
pub type Names = Arc<[Arc<Name>]>;

/// A proxy's name.
#[derive(Debug)]
pub struct Name {
    /// `namespace/pod`.
    text: String,
    /// The same as JSON, where nothing but JSON is written: a large mesh's document has each name a thousand times.
    json: Option<Box<RawValue>>,
}

impl Name {
    fn text(text: String) -> Self {
        Self { text, json: None }
    }

    fn json(text: String) -> Self {
        let json = document::json_at(&text, 0).and_then(RawValue::from_string).ok();
        Self { text, json }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.json {
            Some(json) => json.serialize(serializer),
            None => self.text.serialize(serializer),
        }
    }
}

impl JsonSchema for Name {
    fn inline_schema() -> bool {
        str::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        str::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        str::json_schema(generator)
    }
}

/// An audit of connect timeouts.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeoutAudit {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `TimeoutAudit`.
    pub kind: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// When reading began (RFC 3339).
    pub started_at: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What was read, and what could not be.
    pub coverage: Coverage,
    /// The mesh's own values, one for each control plane.
    pub mesh: Vec<Mesh>,
    /// One for each distinct (cluster, value, origin).
    pub clusters: Vec<Cluster>,
    /// The sets of proxies that clusters refer to, by name.
    pub proxy_sets: BTreeMap<String, Names>,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// How many findings there are.
    pub summary: Summary,
}

/// The program.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl Default for Tool {
    fn default() -> Self {
        Self { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") }
    }
}

/// What was read, and what could not be.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Coverage {
    /// Pods, or inputs, that were selected: audited, skipped and failed.
    pub selected: usize,
    /// Proxies that were read.
    pub audited: usize,
    /// Pods that are no proxies to be audited.
    pub skipped: Vec<Skipped>,
    /// Proxies that could not be read.
    pub failed: Vec<Failed>,
}

/// A pod that is no proxy to be audited.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Skipped {
    /// `namespace/pod`.
    pub proxy: String,
    /// Why.
    pub reason: String,
}

/// A proxy that could not be read.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failed {
    /// `namespace/pod`, or the input's name.
    pub proxy: String,
    /// Why, in one word.
    pub cause: FailureCause,
    /// Why, in words.
    pub message: String,
}

/// The mesh's own value for one control plane.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mesh {
    /// The kubeconfig context; empty where only one cluster was audited.
    pub context: String,
    /// The control plane's revision; empty where unknown.
    pub revision: String,
    /// As protobuf writes durations: `10s`, `0.250s`.
    pub connect_timeout: String,
    /// The same in milliseconds.
    pub connect_timeout_ms: u64,
    /// What says so.
    pub source: String,
    /// How the control plane was installed; empty where unknown.
    pub install: String,
}

/// One distinct (cluster, value, origin).
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Envoy's whole name for it.
    pub name: String,
    /// `outbound`, `inbound`, `inbound-vip`, or empty for a cluster that is not a service's.
    pub direction: &'static str,
    /// The service's port; `null` for a cluster that is not a service's.
    pub port: Option<u16>,
    /// The subset; empty for none.
    pub subset: String,
    /// The service's host; empty where the name has none.
    pub host: String,
    /// Envoy's discovery type (`EDS`, `STRICT_DNS`, …), or an extension's name.
    #[serde(rename = "type")]
    pub discovery_type: String,
    /// The timeout in force, as protobuf writes durations.
    pub connect_timeout: String,
    /// The same in milliseconds.
    pub connect_timeout_ms: u64,
    /// Whether the field is there; otherwise it is Envoy's default of 5 s.
    pub explicit: bool,
    /// How many SYN retransmissions fit into it.
    pub syn_retransmissions: u32,
    /// Where the value came from.
    pub origin: Origin,
    /// How many proxies hold it.
    pub proxy_count: usize,
    /// Which, by the set's name in `proxySets`.
    pub proxy_set: String,
    /// What those proxies counted; `null` where they counted no attempt, or were not asked.
    pub evidence: Option<Evidence>,
}

/// Connection attempts, as Envoy counts them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Evidence {
    /// Connections that were begun.
    pub attempts: u64,
    /// Those that failed, timeouts among them.
    pub failures: u64,
    /// Those that timed out; `null` where no proxy keeps the counter.
    pub timeouts: Option<u64>,
}

/// Something that is wrong.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Finding {
    /// The rule's code.
    pub code: &'static str,
    /// The rule's name.
    pub rule: &'static str,
    /// `error`, `warning` or `info`.
    pub severity: &'static str,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The cluster's name; empty where it is a proxy's matter.
    pub cluster: String,
    /// The proxies concerned.
    pub proxies: Names,
    /// Where the value came from; `null` where it is not about one value.
    pub origin: Option<Origin>,
    /// What to do.
    pub remedy: String,
    /// The command that prints the rule's page.
    pub docs: String,
}

/// How many findings there are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Summary {
    /// Of severity `error`.
    pub error: usize,
    /// Of severity `warning`.
    pub warning: usize,
    /// Of severity `info`.
    pub info: usize,
    /// Left out by the policy.
    pub ignored: usize,
    /// Left out since the baseline has them.
    pub known: usize,
}

/// Milliseconds, to the nearest one; `connectTimeout` has the value as it is written.
pub(super) fn connect_timeout_ms(duration: Duration) -> u64 {
    u64::try_from((duration.as_nanos() + 500_000) / 1_000_000).unwrap_or(u64::MAX)
}

/// The v1 form of an audit.
#[must_use]
pub fn timeout_audit(snapshot: &MeshSnapshot, audit: &Audit, took: Duration) -> TimeoutAudit {
    let forms = Forms::new(snapshot, audit, Name::text);
    let clusters = audit.rows.iter().map(|row| forms.cluster(row)).collect();
    let findings = audit.findings.iter().map(|finding| forms.finding(finding)).collect();
    forms.audit(took, clusters, findings)
}

/// So many names of proxies are made into text at once.
const AT_ONCE: usize = 1 << 12;

/// Writes an audit as JSON, without holding its v1 form: a large mesh has thousands of findings about thousands of
/// proxies each.
pub fn write_json(snapshot: &MeshSnapshot, audit: &Audit, took: Duration, out: impl Write) -> io::Result<()> {
    let forms = Forms::new(snapshot, audit, Name::json);
    let mut document = document::Filled::new(&forms.audit(took, Vec::new(), Vec::new()), out)?;
    // A finding may be about every proxy.
    let at_once = (AT_ONCE / snapshot.proxies.len().max(1)).clamp(1, 256);
    document.fill("clusters", &audit.rows, at_once, |row| forms.cluster(row))?;
    document.fill("findings", &audit.findings, at_once, |finding| forms.finding(finding))?;
    document.finish()
}

/// What the v1 forms of a mesh's clusters and findings have in common.
struct Forms<'a> {
    snapshot: &'a MeshSnapshot,
    audit: &'a Audit,
    counters: Counters<'a>,
    /// The proxies' names.
    names: Vec<Arc<Name>>,
    /// The sets of proxies that rows have, in the order of rows, so that the same mesh gives the same document.
    sets: Vec<Names>,
    numbers: BySet<usize>,
}

impl<'a> Forms<'a> {
    fn new(snapshot: &'a MeshSnapshot, audit: &'a Audit, name: impl Fn(String) -> Name) -> Self {
        let names = snapshot.proxies.iter().map(|read| name(read.proxy.id.to_string()).into()).collect();
        let (sets, numbers) = (Vec::new(), BySet::default());
        let mut forms = Self { snapshot, audit, counters: Counters::new(snapshot), names, sets, numbers };
        for row in &audit.rows {
            if forms.numbers.get(&row.proxies).is_none() {
                forms.numbers.insert(&row.proxies, forms.sets.len());
                forms.sets.push(forms.list(&row.proxies));
            }
        }
        forms
    }

    fn list(&self, proxies: &ClusterSet) -> Names {
        proxies.iter().map(|proxy| Arc::clone(&self.names[proxy as usize])).collect()
    }

    fn cluster(&self, row: &Row) -> Cluster {
        let parts = row.parts();
        Cluster {
            name: row.name.to_string(),
            direction: parts.map_or("", |parts| parts.direction.as_str()),
            port: parts.map(|parts| parts.port),
            subset: parts.map_or("", |parts| parts.subset).to_owned(),
            host: parts.map_or("", |parts| parts.host).to_owned(),
            discovery_type: row.discovery_type.to_string(),
            connect_timeout: format_duration(row.effective_timeout()),
            connect_timeout_ms: connect_timeout_ms(row.effective_timeout()),
            explicit: row.connect_timeout.is_some(),
            syn_retransmissions: row.syn_retransmissions(),
            origin: (&row.origin).into(),
            proxy_count: row.proxies.len(),
            proxy_set: self.numbers.get(&row.proxies).copied().map(set_name).unwrap_or_default(),
            evidence: self.counters.summary(&row.name, &row.proxies).map(|summary| Evidence {
                attempts: summary.attempts,
                failures: summary.failures,
                timeouts: summary.timeouts,
            }),
        }
    }

    fn finding(&self, finding: &audit::Finding) -> Finding {
        let proxies = finding.proxies();
        let of_rows = self.numbers.get(proxies);
        Finding {
            code: finding.rule.code,
            rule: finding.rule.name,
            severity: finding.severity.as_str(),
            message: finding.message.clone(),
            cluster: finding.cluster().to_owned(),
            proxies: of_rows.map_or_else(|| self.list(proxies), |&set| Arc::clone(&self.sets[set])),
            origin: origin(finding),
            remedy: finding.remedy(),
            docs: format!("kubectl meshaudit explain {}", finding.rule.code),
        }
    }

    fn audit(&self, took: Duration, clusters: Vec<Cluster>, findings: Vec<Finding>) -> TimeoutAudit {
        let Self { snapshot, audit, sets, .. } = self;
        TimeoutAudit {
            api_version: "meshaudit/v1",
            kind: "TimeoutAudit",
            tool: Tool::default(),
            started_at: started_at(snapshot.taken_at),
            duration_ms: connect_timeout_ms(took),
            coverage: coverage(snapshot),
            mesh: audit
                .mesh
                .iter()
                .map(|mesh| Mesh {
                    context: mesh.context.clone(),
                    revision: mesh.revision.clone(),
                    connect_timeout: format_duration(mesh.connect_timeout),
                    connect_timeout_ms: connect_timeout_ms(mesh.connect_timeout),
                    source: mesh.source.clone(),
                    install: mesh.install.clone(),
                })
                .collect(),
            clusters,
            proxy_sets: (0..).zip(sets).map(|(number, set)| (set_name(number), Arc::clone(set))).collect(),
            findings,
            summary: Summary {
                error: audit.count(Severity::Error),
                warning: audit.count(Severity::Warning),
                info: audit.count(Severity::Info),
                ignored: audit.ignored,
                known: audit.known,
            },
        }
    }
}

fn set_name(number: usize) -> String {
    format!("s{}", number + 1)
}

/// Where the value came from that a finding is about; for one about mesh configuration, the key.
fn origin(finding: &audit::Finding) -> Option<Origin> {
    match &finding.subject {
        Subject::Row { row, .. } => Some((&row.origin).into()),
        Subject::MeshConfig { map, key, .. } => Some(Origin {
            kind: OriginKind::MeshConfig,
            namespace: map.namespace.clone(),
            name: map.name.clone(),
            part: key.as_str().to_owned(),
            certain: true,
            note: String::new(),
        }),
        Subject::Cluster { .. } | Subject::Proxies { .. } => None,
    }
}

fn started_at(time: Timestamp) -> String {
    time.round(jiff::Unit::Millisecond).unwrap_or(time).to_string()
}

/// What was read, and what could not be.
#[must_use]
pub fn coverage(snapshot: &MeshSnapshot) -> Coverage {
    Coverage {
        selected: snapshot.proxies.len() + snapshot.skipped.len() + snapshot.failed.len(),
        audited: snapshot.proxies.len(),
        skipped: snapshot
            .skipped
            .iter()
            .map(|skipped| Skipped { proxy: skipped.id.to_string(), reason: skipped.reason.clone() })
            .collect(),
        failed: snapshot
            .failed
            .iter()
            .map(|failed| Failed {
                proxy: failed.id.to_string(),
                cause: failed.cause.into(),
                message: failed.message.clone(),
            })
            .collect(),
    }
}

/// A line of an audit, told apart by its kind.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind")]
pub enum AuditLine<'a> {
    /// The first line.
    #[serde(rename_all = "camelCase")]
    TimeoutAudit {
        /// Always `meshaudit/v1`.
        api_version: &'static str,
        /// What wrote it.
        tool: &'a Tool,
        /// When reading began (RFC 3339).
        started_at: &'a str,
        /// How long it took, in milliseconds.
        duration_ms: u64,
        /// What was read, and what could not be.
        coverage: &'a Coverage,
        /// The mesh's own values, one for each control plane.
        mesh: &'a [Mesh],
    },
    /// A set of proxies that clusters refer to.
    ProxySet {
        /// Its name.
        name: &'a str,
        /// The proxies.
        proxies: &'a [Arc<Name>],
    },
    /// A distinct (cluster, value, origin).
    Cluster(&'a Cluster),
    /// Something that is wrong.
    Finding(&'a Finding),
    /// The last line.
    Summary(&'a Summary),
}

/// Writes an audit as lines: the head with coverage and mesh, then sets of proxies, clusters and findings, and the
/// summary at the end.
pub fn write_lines(audit: &TimeoutAudit, mut out: impl Write) -> Result<(), serde_json::Error> {
    let head = AuditLine::TimeoutAudit {
        api_version: audit.api_version,
        tool: &audit.tool,
        started_at: &audit.started_at,
        duration_ms: audit.duration_ms,
        coverage: &audit.coverage,
        mesh: &audit.mesh,
    };
    let sets = audit.proxy_sets.iter().map(|(name, proxies)| AuditLine::ProxySet { name, proxies });
    let mut lines = std::iter::once(head)
        .chain(sets)
        .chain(audit.clusters.iter().map(AuditLine::Cluster))
        .chain(audit.findings.iter().map(AuditLine::Finding))
        .chain(std::iter::once(AuditLine::Summary(&audit.summary)));
    lines.try_for_each(|line| document::write_json_line(&line, &mut out))
}
