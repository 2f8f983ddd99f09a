//! Why connections failed, for machines.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnose::{CauseSeverity, Diagnosis, Event, Evidence};
use crate::model::format_duration;

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisInput {
    /// Lines read.
    pub lines: u64,
    /// Records among them.
    pub records: u64,
    /// Lines that are neither a record of a proxy nor a part of one.
    pub unrecognized: u64,
    /// Records that speak of a failure and led to no diagnosis: with any, a log is not clean.
    pub unexplained: u64,
    /// Failures that are counted but not listed, because there were too many different ones.
    pub ungrouped: u64,
    /// Lines that were cut because they were longer than 1 MiB.
    pub cut_lines: u64,
    /// Open connections that were forgotten because there were too many at once.
    pub dropped_connections: u64,
}

/// Why connections failed: the object that `-o json` writes.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisReport {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `Diagnosis`.
    pub kind: &'static str,
    /// What was read.
    pub input: DiagnosisInput,
    /// One for each cause, cluster and upstream; empty where nothing failed.
    pub diagnoses: Vec<DiagnosisItem>,
}

/// One failure as it happened: a line of `-o ndjson`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisLine {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `DiagnosisEvent`.
    pub kind: &'static str,
    /// The failure.
    #[serde(flatten)]
    pub event: DiagnosisItem,
}

/// A cause, where it struck, and how often. What the lines do not tell is null.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisItem {
    /// One of the causes in docs/diagnose.md.
    pub cause: &'static str,
    /// `certain`, `probable` or `unknown`.
    pub confidence: &'static str,
    /// `error`, `warning` or `info`.
    pub severity: &'static str,
    /// The cluster's name.
    pub cluster: Option<String>,
    /// The address that was called.
    pub upstream: Option<String>,
    /// The cluster's host, or the request's authority.
    pub host: Option<String>,
    /// `outbound`, `inbound` or `inbound-vip`.
    pub direction: Option<&'static str>,
    /// `tcp`, `http` or `grpc`.
    pub protocol: Option<&'static str>,
    /// How long one attempt took, in seconds.
    pub seconds: Option<f64>,
    /// How many times it was tried.
    pub attempts: u32,
    /// How long the caller waited in all, in seconds.
    pub total_seconds: Option<f64>,
    /// How many times this happened.
    pub occurrences: u64,
    /// When it first happened (RFC 3339).
    pub first: Option<String>,
    /// When it last happened (RFC 3339).
    pub last: Option<String>,
    /// Response flags of the access log line.
    pub response_flags: Vec<String>,
    /// The cluster's connect timeout.
    pub connect_timeout: Option<String>,
    /// Whether that timeout is concluded from the wait, rather than known.
    pub connect_timeout_inferred: bool,
    /// Since when the cluster has been as it is (RFC 3339), where that is after this failure: which timeout it had then
    /// is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_since: Option<String>,
    /// Whether the connection was established.
    pub connected: Option<bool>,
    /// Whether a later try of the same request succeeded.
    pub rescued: bool,
    /// What happened, and what the application saw.
    pub explanation: String,
    /// What to do, and what not to.
    pub remedy: String,
    /// The log the lines are of, where more than one was read.
    pub source: Option<String>,
    /// What the proxy at the other end wrote.
    pub other_end: Option<OtherEndItem>,
    /// The line that names the cause; null where it is unknown.
    pub proof: Option<EvidenceItem>,
    /// The lines that belong to it, of the first occurrence.
    pub evidence: Vec<EvidenceItem>,
}

/// A line that proves something.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EvidenceItem {
    /// Its number in its input, from 1.
    pub line: u64,
    /// Its text, cut at 600 bytes.
    pub text: String,
}

/// What the proxy at the other end of the call wrote.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OtherEndItem {
    /// Its log.
    pub source: String,
    /// The line's number there.
    pub line: u64,
    /// Response code and flags.
    pub outcome: String,
    /// The cause its log has.
    pub cause: Option<&'static str>,
}

fn seconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// A severity's name.
#[must_use]
pub fn severity(severity: CauseSeverity) -> &'static str {
    match severity {
        CauseSeverity::Error => "error",
        CauseSeverity::Warning => "warning",
        CauseSeverity::Info => "info",
    }
}

fn item(event: &Event, occurrences: u64, first: Option<Timestamp>, last: Option<Timestamp>) -> DiagnosisItem {
    DiagnosisItem {
        cause: event.cause.as_str(),
        confidence: event.confidence.as_str(),
        severity: severity(event.cause.severity()),
        cluster: event.cluster.clone(),
        upstream: event.upstream.clone(),
        host: event.host.clone(),
        direction: event.direction.map(|direction| direction.as_str()),
        protocol: event.protocol,
        seconds: seconds(event.waited),
        attempts: event.attempts,
        total_seconds: seconds(event.total),
        occurrences,
        first: first.map(|time| time.to_string()),
        last: last.map(|time| time.to_string()),
        response_flags: event.flags.clone(),
        connect_timeout: event.connect_timeout.map(format_duration),
        connect_timeout_inferred: event.timeout_inferred,
        changed_since: event.changed.map(|(_, since)| since.to_string()),
        connected: event.connected,
        rescued: event.rescued,
        explanation: event.explanation.clone(),
        remedy: event.remedy.clone(),
        source: Some(event.source.clone()).filter(|source| !source.is_empty()),
        other_end: event.other_end.as_ref().map(|other| OtherEndItem {
            source: other.source.clone(),
            line: other.line,
            outcome: other.outcome.clone(),
            cause: other.cause.map(|cause| cause.as_str()),
        }),
        proof: event.proof.as_ref().map(evidence_item),
        evidence: event.evidence.iter().map(evidence_item).collect(),
    }
}

fn evidence_item(evidence: &Evidence) -> EvidenceItem {
    EvidenceItem { line: evidence.line, text: evidence.text.to_string() }
}

/// The whole as one object.
#[must_use]
pub fn report(diagnosis: &Diagnosis, input: DiagnosisInput) -> DiagnosisReport {
    let items = diagnosis.entries.iter().map(|entry| item(&entry.event, entry.occurrences, entry.first, entry.last));
    DiagnosisReport { api_version: "meshaudit/v1", kind: "Diagnosis", input, diagnoses: items.collect() }
}

/// One event as an object.
#[must_use]
pub fn line(event: &Event) -> DiagnosisLine {
    let event = item(event, 1, event.time, event.time);
    DiagnosisLine { api_version: "meshaudit/v1", kind: "DiagnosisEvent", event }
}
