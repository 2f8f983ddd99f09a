//! JUnit's XML, as Jenkins, GitLab and others read it: a case a finding, and one for each rule that found nothing.

use std::fmt::Write;

use super::markup;
use super::results::{Level, Results};
use crate::audit::rules;

/// The document. Findings of severity info pass, with their message as output; a proxy that could not be read is an
/// error, so that an incomplete audit never looks clean.
pub(super) fn junit(results: &Results) -> String {
    let mut cases = String::new();
    let (mut tests, mut failures) = (0usize, 0usize);
    for finding in &results.findings {
        tests += 1;
        let subject = if finding.subject.is_empty() { finding.proxies.join(", ") } else { finding.subject.clone() };
        let subject = if subject.is_empty() { finding.origin.clone() } else { subject };
        let _ = write!(
            cases,
            "    <testcase classname=\"{}\" name=\"{}\"",
            markup(&format!("{}.{}", finding.code, finding.name)),
            markup(&subject)
        );
        let detail = markup(&detail(finding));
        if finding.level == Level::Info {
            let _ = writeln!(cases, ">\n      <system-out>{detail}</system-out>\n    </testcase>");
        } else {
            failures += 1;
            let _ = writeln!(
                cases,
                ">\n      <failure type=\"{}\" message=\"{}\">{detail}</failure>\n    </testcase>",
                finding.level.as_str(),
                markup(&finding.message)
            );
        }
    }
    if results.kind == "TimeoutAudit" {
        // Of a rule that only a policy's expectations can break, nothing found says nothing.
        for info in rules::ALL.iter().map(|rule| rule.info()).filter(|info| info.code != rules::EXPECTATION_UNMET) {
            if results.findings.iter().all(|finding| finding.code != info.code) {
                tests += 1;
                let _ = writeln!(
                    cases,
                    "    <testcase classname=\"{0}.{1}\" name=\"nothing found\"/>",
                    markup(info.code),
                    markup(info.name)
                );
            }
        }
    }
    let errors = results.coverage.failed.len();
    for failed in &results.coverage.failed {
        tests += 1;
        let _ = writeln!(
            cases,
            "    <testcase classname=\"coverage\" name=\"{}\">\n      <error type=\"{}\" message=\"{}\"/>\n    </testcase>",
            markup(&failed.proxy),
            markup(&failed.cause),
            markup(&failed.message)
        );
    }
    let skipped = results.coverage.skipped.len();
    for one in &results.coverage.skipped {
        tests += 1;
        let _ = writeln!(
            cases,
            "    <testcase classname=\"coverage\" name=\"{}\">\n      <skipped message=\"{}\"/>\n    </testcase>",
            markup(&one.proxy),
            markup(&one.reason)
        );
    }
    let seconds = std::time::Duration::from_millis(results.duration_ms).as_secs_f64();
    let when = match results.started_at.get(..19) {
        // JUnit's schema has no zone; Istio's clocks and ours are UTC.
        Some(when) => format!(" timestamp=\"{}\"", markup(when)),
        None => String::new(),
    };
    let counts = format!(
        "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{seconds:.3}\""
    );
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"kubectl-meshaudit\" {}>\n  <testsuite name=\"{}\" {counts}{when}>\n{cases}  </testsuite>\n</testsuites>\n",
        counts.replace(&format!(" skipped=\"{skipped}\""), ""),
        markup(results.title),
    )
}

fn detail(finding: &super::results::Finding) -> String {
    let mut text = finding.message.clone();
    for (what, value) in [("Origin", &finding.origin), ("Remedy", &finding.remedy)] {
        if !value.is_empty() {
            let _ = write!(text, "\n{what}: {value}");
        }
    }
    if !finding.proxies.is_empty() {
        let _ = write!(text, "\nProxies: {}", finding.proxies.join(", "));
    }
    for line in &finding.evidence {
        let _ = write!(text, "\n{line}");
    }
    text
}
