//! `--baseline`: only what an earlier audit does not have.

use std::path::Path;

use super::failure::Failure;
use super::given;
use crate::audit::Audit;
use crate::input::Until;
use crate::model::MeshSnapshot;
use crate::report::compare::Known;
use crate::report::export::Results;
use crate::report::v1;

/// An earlier audit.
pub(super) struct Baseline(Results);

impl Baseline {
    /// Reads it.
    pub(super) fn load(file: &Path, until: Until) -> Result<Self, Failure> {
        let hint = "`kubectl meshaudit timeouts -o json` writes one";
        let unusable = |why: String| Failure::cannot_run(format!("baseline {}: {why}", file.display())).hint(hint);
        let document = given::document(file, until).map_err(|error| unusable(error.to_string()))?;
        let results = Results::read(document).map_err(|error| unusable(error.to_string()))?;
        if results.kind != "TimeoutAudit" {
            return Err(unusable(format!("it is a {}, not a TimeoutAudit", results.kind)));
        }
        Ok(Self(results))
    }

    /// Leaves of an audit what is new.
    pub(super) fn leave_out_what_is_known(&self, snapshot: &MeshSnapshot, audit: &mut Audit) -> Result<(), Failure> {
        let document = v1::audit::timeout_audit(snapshot, audit, std::time::Duration::ZERO);
        let now = Results::of(serde_json::to_value(document)?)?;
        let known = Known::new(&self.0);
        // The document has the findings in the audit's order.
        let mut new = now.findings.iter().map(|finding| !known.has(finding));
        let before = audit.findings.len();
        audit.findings.retain(|_| new.next().unwrap_or(true));
        audit.known = before - audit.findings.len();
        Ok(())
    }
}
