//! The v1 form of a policy file, as `policy init` writes it and its JSON Schema describes it to editors.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

/// What an operator expects of a mesh: `.meshaudit.yaml`.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PolicyFile {
    /// Always `meshaudit/v1`.
    #[schemars(extend("const" = "meshaudit/v1"))]
    pub api_version: String,
    /// Always `Policy`.
    #[schemars(extend("const" = "Policy"))]
    pub kind: String,
    /// What rules compare timeouts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
    /// Severities of rules, by code or name; `off` switches a rule off.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub severities: BTreeMap<String, RuleSeverity>,
    /// What is right in place of the thresholds. Of several that match, the first counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expectations: Vec<Expectation>,
    /// What is known and let be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignores: Vec<Ignore>,
}

/// What rules compare timeouts with, as durations: `10s`, `250ms`.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Thresholds {
    /// Timeouts up to this are too short (MA001); 1s unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub too_short: Option<String>,
    /// Timeouts up to this are thin (MA002); 3s unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thin: Option<String>,
    /// Timeouts above this are too long (MA003); 30s unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub too_long: Option<String>,
}

/// How bad what a rule finds is.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleSeverity {
    /// Hurts.
    Error,
    /// Likely to hurt.
    Warning,
    /// Worth knowing.
    Info,
    /// Not looked for.
    Off,
}

/// One pattern or several; `*` stands for any text.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Patterns {
    /// One.
    One(String),
    /// Any of these.
    Several(Vec<String>),
}

/// A value that is right: exactly `connectTimeout`, or within `min` and `max`.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Expectation {
    /// The cluster's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Patterns>,
    /// The proxy's namespace; `*` stands for any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The proxy's workload, without its kind; `*` stands for any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// The cluster's direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The value, exactly: `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<String>,
    /// The least that is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// The most that is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// How bad another value is; `error` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<FindingSeverity>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FindingSeverity {
    /// Hurts.
    Error,
    /// Likely to hurt.
    Warning,
    /// Worth knowing.
    Info,
}

/// A cluster's direction.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To a service.
    Outbound,
    /// To the proxy's own workload.
    Inbound,
    /// Of a waypoint.
    InboundVip,
}

/// Something that is known and let be.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ignore {
    /// The rule, by code or name; all rules unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The cluster's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Patterns>,
    /// The proxy's namespace; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The proxy's workload, without its kind; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// The cluster's direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Why.
    pub reason: String,
    /// The last day on which it holds: `2027-01-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}
