//! `kind: Incident`: the write-up, made of the documents of the commands that it stands for.

use schemars::JsonSchema;
use serde::Serialize;

use super::audit::{TimeoutAudit, Tool};
use super::diagnosis::DiagnosisReport;
use super::fix::FixPlanJson;
use super::resets::ResetsReport;
use crate::report::verify::VerificationJson;

/// An incident from the first lost connection to the proof that it is over.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentReport {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `Incident`.
    pub kind: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// As given with `--title`.
    pub title: String,
    /// When it was written (RFC 3339).
    pub written_at: String,
    /// What it comes to, in the order in which it happened.
    pub facts: Vec<Fact>,
    /// Connection resets by time and service.
    pub resets: Part<ResetsReport>,
    /// Failed connections, with the lines that prove their cause.
    pub diagnosis: Part<DiagnosisReport>,
    /// The clusters' connect timeouts, and where they come from.
    pub audit: Part<TimeoutAudit>,
    /// The change that is to be made.
    pub plan: Part<FixPlanJson>,
    /// Who has what the objects give, or what was expected.
    pub verification: Part<VerificationJson>,
}

/// A command's document, or why there is none.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Part<T> {
    /// The command that gives the document with `-o json`.
    pub command: String,
    /// What it gives; null where it could not.
    pub document: Option<T>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// What could not be read: what is said is of the rest.
    pub unread: Vec<String>,
}

/// One thing that is known.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Fact {
    /// What it is about.
    pub about: About,
    /// In plain words.
    pub sentence: String,
    /// The command that gives its figures.
    pub command: String,
}

/// The questions that a write-up answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// What was seen.
    Resets,
    /// Why.
    Cause,
    /// With which connect timeouts.
    Timeout,
    /// What is to be changed.
    Change,
    /// Who has it.
    Holders,
    /// Whether it helped.
    Effect,
}

impl<T> Part<T> {
    /// A document.
    #[must_use]
    pub const fn of(command: String, document: T, unread: Vec<String>) -> Self {
        Self { command, document: Some(document), missing: None, unread }
    }

    /// None, and why.
    #[must_use]
    pub const fn missing(command: String, why: String) -> Self {
        Self { command, document: None, missing: Some(why), unread: Vec::new() }
    }
}
