//! SARIF 2.1.0 (OASIS), within what GitHub code scanning takes: 5,000 results shown of a run, 100 locations of a result.

use serde_json::{Value, json};

use super::super::document;
use super::results::{Finding, Level, Results, page};

/// GitHub shows the first 5,000 results of a run.
const RESULTS: usize = 5_000;

/// GitHub shows 100 locations of a result.
const LOCATIONS: usize = 100;

/// The document.
pub(super) fn sarif(results: &Results) -> Result<String, serde_json::Error> {
    let mut codes: Vec<&Finding> = Vec::new();
    for finding in &results.findings {
        if codes.iter().all(|known| known.code != finding.code) {
            codes.push(finding);
        }
    }
    codes.sort_by(|a, b| a.code.cmp(&b.code));
    let index = |code: &str| codes.iter().position(|known| known.code == code);
    let mut findings: Vec<&Finding> = results.findings.iter().collect();
    findings.sort_by_key(|finding| finding.level);
    let left_out = findings.len().saturating_sub(RESULTS);
    let shown: Vec<Value> =
        findings.iter().take(RESULTS).map(|finding| result(finding, index(&finding.code))).collect();
    let mut notifications: Vec<Value> = results
        .coverage
        .failed
        .iter()
        .take(RESULTS)
        .map(|failed| {
            json!({
                "level": "error",
                "message": {"text": format!("{} could not be read: {}", failed.proxy, failed.message)},
                "descriptor": {"id": format!("unread/{}", failed.cause)},
            })
        })
        .collect();
    if left_out > 0 {
        notifications.push(json!({
            "level": "warning",
            "message": {"text": format!("{left_out} more results are left out, the least severe ones; `convert -o json` has all")},
        }));
    }
    let mut invocation = json!({
        "executionSuccessful": results.coverage.failed.is_empty(),
        "toolExecutionNotifications": notifications,
    });
    if !results.started_at.is_empty() {
        invocation["startTimeUtc"] = json!(results.started_at);
    }
    document::json(&json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "kubectl-meshaudit",
                "version": version(results),
                "informationUri": env!("CARGO_PKG_HOMEPAGE"),
                "rules": codes.iter().map(|finding| rule(finding)).collect::<Vec<_>>(),
            }},
            "invocations": [invocation],
            "results": shown,
        }],
    }))
}

fn version(results: &Results) -> &str {
    if results.version.is_empty() { env!("CARGO_PKG_VERSION") } else { &results.version }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "note",
    }
}

fn rule(finding: &Finding) -> Value {
    let page = page(&finding.code);
    let mut rule = json!({
        "id": finding.code,
        "name": finding.name,
        "shortDescription": {"text": finding.name.replace(['-', '_'], " ")},
        "help": {"text": format!("kubectl meshaudit explain {}", finding.code)},
        "defaultConfiguration": {"level": level(finding.level)},
    });
    if !page.is_empty() {
        rule["help"] = json!({"text": page, "markdown": page});
    }
    rule
}

fn result(finding: &Finding, rule: Option<usize>) -> Value {
    let mut text = finding.message.clone();
    if !finding.remedy.is_empty() {
        text = format!("{text}. Remedy: {}", finding.remedy);
    }
    let subject = if finding.subject.is_empty() { finding.origin.as_str() } else { &finding.subject };
    let mut logical = vec![json!({"fullyQualifiedName": subject, "kind": "resource"})];
    for proxy in finding.proxies.iter().take(LOCATIONS - 1) {
        logical.push(json!({"fullyQualifiedName": proxy, "kind": "module"}));
    }
    if subject.is_empty() {
        logical.remove(0);
    }
    json!({
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": level(finding.level),
        "message": {"text": text},
        // GitHub asks for a file: what is concerned, as a path.
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": path(finding)},
                "region": {"startLine": 1},
            },
            "logicalLocations": logical,
        }],
        "partialFingerprints": {"meshaudit/v1": finding.identity()},
        "properties": {"proxies": finding.proxies.len(), "origin": finding.origin},
    })
}

/// What a finding is about, as a relative URI.
fn path(finding: &Finding) -> String {
    let what = if !finding.origin.is_empty() && finding.origin.contains('/') {
        finding.origin.split(' ').take(2).collect::<Vec<_>>().join("/")
    } else if !finding.subject.is_empty() {
        format!("cluster/{}", finding.subject)
    } else {
        format!("proxy/{}", finding.proxies.first().map_or("unknown", String::as_str))
    };
    const KEEP: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(&what, KEEP).to_string()
}
