//! The types of the v1 documents: frozen, apart from the types inside the program. A field is never renamed or removed;
//! whatever changes inside, `From` gives it the form that is published.

pub mod audit;
mod cause;
mod debug_log;
pub mod diagnosis;
pub mod diff;
pub mod explanation;
pub mod fix;
pub mod incident;
mod origin;
pub mod policy;
pub mod resets;

pub use cause::FailureCause;
pub use debug_log::{DebugLogReport, LevelBasis, LevelState, LoggerLevel, ProxyLevels};
pub use origin::{Origin, OriginKind};

use schemars::{JsonSchema, Schema, schema_for};

/// The documents that are written, by the names under which their JSON Schemas stand in docs/schema.
pub const SCHEMAS: &[(&str, SchemaOf)] = &[
    ("timeout-audit", of::<audit::TimeoutAudit>),
    ("origin-explanation", of::<explanation::OriginExplanation>),
    ("fix-plan", of::<fix::FixPlanJson>),
    ("verification", of::<super::verify::VerificationJson>),
    ("diagnosis", of::<diagnosis::DiagnosisReport>),
    ("resets", of::<resets::ResetsReport>),
    ("debug-log", of::<DebugLogReport>),
    ("policy", of::<policy::PolicyFile>),
    ("diff", of::<diff::DiffReport>),
    ("incident", of::<incident::IncidentReport>),
    ("snapshot", of::<crate::model::SnapshotDocument<'static>>),
    ("ndjson", of::<Line<'static>>),
    ("audit-log", of::<crate::model::ChangeRecord>),
];

/// A line of `-o ndjson`, of whichever command: only to describe it.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "no value is ever made of it")]
enum Line<'a> {
    /// Of `timeouts`.
    Audit(audit::AuditLine<'a>),
    /// Of `timeouts --explain-origin`.
    Explanation(explanation::ExplanationLine<'a>),
    /// Of `diagnose` and `debug-log`: a failure as it is found.
    Failure(Box<diagnosis::DiagnosisLine>),
    /// Of `debug-log`: what was done, at the end.
    DebugLog(Box<DebugLogReport>),
}

/// Makes a document's schema.
pub type SchemaOf = fn() -> Schema;

fn of<T: JsonSchema>() -> Schema {
    schema_for!(T)
}

/// The JSON Schema of a document, as it is published; `None` for a name that is none.
pub fn schema(name: &str) -> Option<Result<String, serde_json::Error>> {
    let (_, schema) = SCHEMAS.iter().find(|(known, _)| *known == name)?;
    let mut schema = schema();
    // There is no address that it could be fetched from; a name is enough for one schema to refer to another.
    schema.insert("$id".to_owned(), format!("urn:kubectl-meshaudit:v1:{name}").into());
    Some(serde_json::to_string_pretty(&schema).map(|text| text + "\n"))
}
