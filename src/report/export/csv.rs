//! CSV (RFC 4180): one row a finding.

use super::super::escape::escape;
use super::results::Results;

/// The table. What could not be read has rows too, with the code `unread`.
pub(super) fn csv(results: &Results) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["severity", "code", "name", "subject", "origin", "proxies", "message", "remedy"])?;
    for finding in &results.findings {
        writer.write_record([
            finding.level.as_str(),
            &harmless(&finding.code),
            &harmless(&finding.name),
            &harmless(&finding.subject),
            &harmless(&finding.origin),
            &harmless(&finding.proxies.join(" ")),
            &harmless(&finding.message),
            &harmless(&finding.remedy),
        ])?;
    }
    for failed in &results.coverage.failed {
        let (proxy, cause, message) = (harmless(&failed.proxy), harmless(&failed.cause), harmless(&failed.message));
        writer.write_record(["error", "unread", &cause, &proxy, "", &proxy, &message, ""])?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, CSV injection).
pub(in crate::report) fn harmless(text: &str) -> String {
    let text = escape(text);
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.into_owned() }
}
