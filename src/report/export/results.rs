//! What the formats have in common: what was read, and what was found.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;

use serde::Deserialize;
use serde_json::Value;

use super::super::look;
use crate::audit::rules;

/// Why a document cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// Not JSON, or not of the form that its kind has.
    #[error("it is no document of this program: line {line}, column {column}: {reason}")]
    Form {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong, without the text around it.
        reason: &'static str,
    },
    /// A list of more than any document has.
    #[error("it has more than {1} {0}")]
    Many(&'static str, usize),
    /// It cannot be read, or it is too large.
    #[error("{0}")]
    Io(std::io::Error),
    /// JSON, but of another kind.
    #[error("it is {0}; what can be converted is what `timeouts`, `diagnose`, `verify` and `diff` write with -o json")]
    Kind(String),
    /// The new document cannot be written.
    #[error("the document cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    /// The table cannot be written.
    #[error("the table cannot be written: {0}")]
    Csv(#[from] ::csv::Error),
}

/// The most elements of one list of a document: a byte or two of it cost some hundred in memory.
const MAX_ELEMENTS: usize = 100_000;

/// A document's content, whichever command wrote it.
#[derive(Debug, Clone)]
pub struct Results {
    /// `TimeoutAudit`, `Diagnosis`, `Verification` or `Diff`.
    pub kind: String,
    /// What the document is, for people.
    pub title: &'static str,
    /// The program's version.
    pub version: String,
    /// When reading began (RFC 3339); empty where the document does not say.
    pub started_at: String,
    /// How long it took.
    pub duration_ms: u64,
    /// What was read.
    pub coverage: Coverage,
    /// The meshes' own values.
    pub mesh: Vec<Mesh>,
    /// The clusters' values.
    pub clusters: Vec<Cluster>,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
}

/// What was read, and what could not be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Coverage {
    /// Selected pods or inputs.
    pub selected: usize,
    /// Read.
    pub audited: usize,
    /// No proxies to be audited.
    pub skipped: Vec<Skipped>,
    /// Not read.
    pub failed: Vec<Failed>,
}

/// A pod that is no proxy to be audited.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Skipped {
    /// Its name.
    pub proxy: String,
    /// Why.
    pub reason: String,
}

/// A proxy that could not be read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Failed {
    /// Its name.
    pub proxy: String,
    /// Why, in a word.
    pub cause: String,
    /// Why, in words.
    pub message: String,
}

/// A control plane's own value.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Mesh {
    /// The kubeconfig context; empty for the only one.
    pub context: String,
    /// The control plane's revision.
    pub revision: String,
    /// Its value, as protobuf writes it.
    pub connect_timeout: String,
    /// In milliseconds.
    pub connect_timeout_ms: u64,
    /// What says so.
    pub source: String,
}

/// A distinct (cluster, value, origin).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Cluster {
    /// Envoy's name.
    pub name: String,
    /// The value, as protobuf writes it.
    pub connect_timeout: String,
    /// In milliseconds.
    pub connect_timeout_ms: u64,
    /// How many SYN retransmissions fit.
    pub syn_retransmissions: u32,
    /// Where it came from.
    pub origin: Option<Origin>,
    /// How many proxies hold it.
    pub proxy_count: usize,
}

/// Where a value came from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// What kind of thing.
    pub kind: String,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// Which part of it.
    pub part: String,
    /// Whether it is proven.
    pub certain: bool,
}

impl Origin {
    /// `KIND NAMESPACE/NAME PART`, as far as there are any.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = self.kind.clone();
        if !self.name.is_empty() {
            out += &format!(" {}/{}", self.namespace, self.name);
        }
        if !self.part.is_empty() {
            out += &format!(" {}", self.part);
        }
        out
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// `error`.
    Error,
    /// `warning`.
    Warning,
    /// `info`.
    Info,
}

impl Level {
    /// All, worst first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Info];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "error" => Self::Error,
            "info" | "note" => Self::Info,
            _ => Self::Warning,
        }
    }
}

/// Something that was found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// A rule's code, a cause, or a reason.
    pub code: String,
    /// A rule's name; the code again where there is none.
    pub name: String,
    /// How bad.
    pub level: Level,
    /// In a sentence.
    pub message: String,
    /// What to do; empty for nothing that is known.
    pub remedy: String,
    /// What it is about: a cluster, a host, a proxy.
    pub subject: String,
    /// Where the value came from.
    pub origin: String,
    /// Whether that is proven.
    pub origin_certain: bool,
    /// The proxies concerned.
    pub proxies: Vec<String>,
    /// Lines that prove it.
    pub evidence: Vec<String>,
}

/// Findings that say the same of several subjects.
#[derive(Debug)]
pub struct Alike<'r> {
    /// The first of them.
    pub finding: &'r Finding,
    /// What they are about.
    pub subjects: Vec<&'r str>,
    /// The proxies that any of them concerns.
    pub proxies: BTreeSet<&'r str>,
}

impl Finding {
    /// What stays the same when the same thing is found again: no counts, no values.
    #[must_use]
    pub fn identity(&self) -> String {
        let proxies = if self.subject.is_empty() { self.proxies.join(",") } else { String::new() };
        format!("{}:{}:{}{proxies}", self.code, self.subject, self.origin)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Audit {
    #[serde(default)]
    tool: Tool,
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    duration_ms: u64,
    coverage: Coverage,
    #[serde(default)]
    mesh: Vec<Mesh>,
    #[serde(default)]
    clusters: Vec<Cluster>,
    findings: Vec<RawFinding>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tool {
    version: String,
}

#[derive(Deserialize)]
struct RawFinding {
    code: String,
    rule: String,
    severity: String,
    message: String,
    #[serde(default)]
    cluster: String,
    #[serde(default)]
    proxies: Vec<String>,
    #[serde(default)]
    origin: Option<Origin>,
    #[serde(default)]
    remedy: String,
}

#[derive(Deserialize)]
struct Diagnosis {
    #[serde(default)]
    tool: Tool,
    diagnoses: Vec<RawDiagnosis>,
}

#[derive(Deserialize)]
struct RawDiagnosis {
    cause: String,
    #[serde(default)]
    confidence: String,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    cluster: Option<String>,
    #[serde(default)]
    upstream: Option<String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    occurrences: u64,
    #[serde(default)]
    explanation: String,
    #[serde(default)]
    remedy: String,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    evidence: Vec<RawEvidence>,
}

#[derive(Deserialize)]
struct RawEvidence {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Verification {
    #[serde(default)]
    tool: Tool,
    #[serde(default)]
    coverage: Coverage,
    stragglers: Vec<RawStraggler>,
}

#[derive(Deserialize)]
struct RawStraggler {
    proxy: String,
    reason: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Diff {
    #[serde(default)]
    tool: Tool,
    after: RawSide,
    #[serde(default)]
    clusters: Vec<RawChange>,
    findings: RawFindings,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSide {
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    audited: usize,
}

#[derive(Deserialize)]
struct RawFindings {
    appeared: Vec<RawDiffFinding>,
    vanished: Vec<RawDiffFinding>,
}

#[derive(Deserialize)]
struct RawDiffFinding {
    code: String,
    rule: String,
    severity: String,
    message: String,
    cluster: String,
    origin: String,
    proxies: Vec<String>,
    remedy: String,
}

#[derive(Deserialize)]
struct RawChange {
    name: String,
    change: String,
    before: Vec<RawHeld>,
    after: Vec<RawHeld>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHeld {
    connect_timeout: String,
    origin: String,
}

impl Results {
    /// Reads a v1 document.
    ///
    /// # Errors
    /// When it cannot be read, is no JSON, no document of a kind that has findings, or has more than any that this
    /// program writes.
    pub fn read(reader: impl Read) -> Result<Self, ConvertError> {
        let document: Value = serde_json::from_reader(reader).map_err(form)?;
        for list in ["clusters", "findings", "diagnoses", "stragglers", "mesh"] {
            if document.get(list).and_then(Value::as_array).is_some_and(|list| list.len() > MAX_ELEMENTS) {
                return Err(ConvertError::Many(list, MAX_ELEMENTS));
            }
        }
        Self::of(document)
    }

    /// Takes a v1 document apart.
    ///
    /// # Errors
    /// When it is of a kind that has no findings, or not of the form that its kind has.
    pub fn of(document: Value) -> Result<Self, ConvertError> {
        let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let ours = document.get("apiVersion").and_then(Value::as_str) == Some("meshaudit/v1");
        match kind.as_str() {
            "TimeoutAudit" if ours => Ok(audit(serde_json::from_value(document).map_err(form)?)),
            "Diagnosis" if ours => Ok(diagnosis(serde_json::from_value(document).map_err(form)?)),
            "Diff" if ours => Ok(diff(serde_json::from_value(document).map_err(form)?)),
            "Verification" if ours => Ok(verification(serde_json::from_value(document).map_err(form)?)),
            _ if ours => Err(ConvertError::Kind(format!("of kind {kind:?}"))),
            _ => Err(ConvertError::Kind("no document of this program".to_owned())),
        }
    }

    /// How many findings there are of a level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// How many findings there are of a level, in words: `2 errors`.
    #[must_use]
    pub fn counted(&self, level: Level) -> String {
        let word = level.as_str();
        let many = if level == Level::Info { word.to_owned() } else { format!("{word}s") };
        look::count(self.count(level), word, &many)
    }

    /// The findings in their order; those that say the same of several subjects stand together.
    #[must_use]
    pub fn alike(&self) -> Vec<Alike<'_>> {
        let mut all: Vec<Alike<'_>> = Vec::new();
        let mut places = HashMap::new();
        for finding in &self.findings {
            let said =
                (finding.level, &finding.code, &finding.message, &finding.remedy, &finding.origin, &finding.evidence);
            // What is about proxies alone names each in its own row.
            let place = if finding.subject.is_empty() { all.len() } else { *places.entry(said).or_insert(all.len()) };
            match all.get_mut(place) {
                Some(alike) => {
                    alike.subjects.push(&finding.subject);
                    alike.proxies.extend(finding.proxies.iter().map(String::as_str));
                }
                None => all.push(Alike {
                    finding,
                    subjects: vec![&finding.subject],
                    proxies: finding.proxies.iter().map(String::as_str).collect(),
                }),
            }
        }
        all
    }

    /// What was read, in a sentence. An incomplete audit says so.
    #[must_use]
    pub fn covered(&self) -> String {
        let of = &self.coverage;
        match (of.audited + of.failed.len(), of.failed.len()) {
            (0, _) => String::new(),
            (all, 0) => format!("{} read.", super::super::look::count(all, "proxy", "proxies")),
            (all, failed) => {
                format!(
                    "Incomplete: {failed} of {} could not be read.",
                    super::super::look::count(all, "proxy", "proxies")
                )
            }
        }
    }
}

/// serde_json's own words can hold parts of the text.
fn form(error: serde_json::Error) -> ConvertError {
    if error.is_io() {
        return ConvertError::Io(error.into());
    }
    let reason = if error.is_eof() {
        "it ends too early"
    } else if error.is_syntax() {
        "no JSON"
    } else {
        "a field is missing, or of another type"
    };
    ConvertError::Form { line: error.line(), column: error.column(), reason }
}

fn audit(audit: Audit) -> Results {
    Results {
        kind: "TimeoutAudit".to_owned(),
        title: "Connect timeouts",
        version: audit.tool.version,
        started_at: audit.started_at,
        duration_ms: audit.duration_ms,
        coverage: audit.coverage,
        mesh: audit.mesh,
        clusters: audit.clusters,
        findings: audit
            .findings
            .into_iter()
            .map(|raw| Finding {
                code: raw.code,
                name: raw.rule,
                level: Level::parse(&raw.severity),
                message: raw.message,
                remedy: raw.remedy,
                subject: raw.cluster,
                origin_certain: raw.origin.as_ref().is_none_or(|origin| origin.certain),
                origin: raw.origin.map(|origin| origin.text()).unwrap_or_default(),
                proxies: raw.proxies,
                evidence: Vec::new(),
            })
            .collect(),
    }
}

fn diagnosis(document: Diagnosis) -> Results {
    let findings = document.diagnoses.into_iter().map(|raw| {
        let named = |text: Option<String>| text.filter(|text| !text.is_empty());
        let to = named(raw.host).or_else(|| named(raw.cluster.clone())).or_else(|| named(raw.upstream));
        let times = if raw.occurrences > 1 { format!(" ({} times)", raw.occurrences) } else { String::new() };
        let certain = if raw.confidence == "certain" { String::new() } else { format!("{}: ", raw.confidence) };
        Finding {
            name: raw.cause.replace('_', "-"),
            level: Level::parse(raw.severity.as_deref().unwrap_or("error")),
            message: format!("{certain}{}{times}", raw.explanation),
            remedy: raw.remedy,
            subject: named(raw.cluster).or(to).unwrap_or_default(),
            origin: String::new(),
            origin_certain: true,
            proxies: named(raw.source).into_iter().collect(),
            evidence: raw.evidence.into_iter().map(|line| line.text).collect(),
            code: raw.cause,
        }
    });
    Results {
        kind: "Diagnosis".to_owned(),
        title: "Failed upstream connections",
        version: document.tool.version,
        started_at: String::new(),
        duration_ms: 0,
        coverage: Coverage::default(),
        mesh: Vec::new(),
        clusters: Vec::new(),
        findings: findings.collect(),
    }
}

fn verification(document: Verification) -> Results {
    let findings = document.stragglers.into_iter().map(|raw| Finding {
        name: raw.reason.clone(),
        level: Level::Error,
        message: raw.message,
        remedy: String::new(),
        subject: raw.proxy.clone(),
        origin: String::new(),
        origin_certain: true,
        proxies: vec![raw.proxy],
        evidence: Vec::new(),
        code: raw.reason,
    });
    Results {
        kind: "Verification".to_owned(),
        title: "Proxies without the expected connect timeout",
        version: document.tool.version,
        started_at: String::new(),
        duration_ms: 0,
        coverage: document.coverage,
        mesh: Vec::new(),
        clusters: Vec::new(),
        findings: findings.collect(),
    }
}

/// A rule's page; empty for what is no rule's.
pub(super) fn page(code: &str) -> &'static str {
    rules::find(code).map_or("", |info| info.page)
}

/// What is new is a finding as it is; what is gone, and values that differ, are worth knowing.
fn diff(diff: Diff) -> Results {
    let mut findings: Vec<Finding> = diff.findings.appeared.into_iter().map(new_finding).collect();
    findings.extend(diff.clusters.into_iter().map(|raw| {
        let held = |all: &[RawHeld]| {
            let all: Vec<String> = all.iter().map(|one| format!("{} by {}", one.connect_timeout, one.origin)).collect();
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        };
        Finding {
            name: format!("value-{}", raw.change),
            message: format!("{}: {} → {}", raw.change, held(&raw.before), held(&raw.after)),
            code: raw.change,
            level: Level::Info,
            remedy: String::new(),
            subject: raw.name,
            origin: String::new(),
            origin_certain: true,
            proxies: Vec::new(),
            evidence: Vec::new(),
        }
    }));
    findings.extend(diff.findings.vanished.into_iter().map(|raw| {
        let gone = new_finding(raw);
        Finding {
            name: "finding-gone".to_owned(),
            message: format!("gone: {} {}: {}", gone.code, gone.name, gone.message),
            code: format!("gone-{}", gone.code),
            level: Level::Info,
            remedy: String::new(),
            ..gone
        }
    }));
    Results {
        kind: "Diff".to_owned(),
        title: "What differs",
        version: diff.tool.version,
        started_at: diff.after.started_at,
        duration_ms: 0,
        coverage: Coverage { selected: diff.after.audited, audited: diff.after.audited, ..Coverage::default() },
        mesh: Vec::new(),
        clusters: Vec::new(),
        findings,
    }
}

fn new_finding(raw: RawDiffFinding) -> Finding {
    Finding {
        code: raw.code,
        name: raw.rule,
        level: Level::parse(&raw.severity),
        message: raw.message,
        remedy: raw.remedy,
        subject: raw.cluster,
        origin: raw.origin,
        origin_certain: true,
        proxies: raw.proxies,
        evidence: Vec::new(),
    }
}
