//! `policy init`: a policy by which the mesh as it is passes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{ToSpan, Zoned};

use super::super::console::Console;
use super::super::convert::OutputFileArgs;
use super::super::exit::Exit;
use super::super::failure::Failure;
use super::super::kube_args::{SourceArgs, Wanted};
use crate::audit::{self, Audit, Filter, Policy, Severity, Subject, host};
use crate::model::format_duration;
use crate::report::document;
use crate::report::v1::policy::{Expectation, Ignore, Patterns, PolicyFile};

/// How long what is wrong today is ignored.
const DAYS: i64 = 90;

const HEAD: &str = "\
# yaml-language-server: $schema=policy.schema.json
# What is expected of this mesh; `kubectl meshaudit policy check` checks it.
";

pub(super) async fn run(source: &SourceArgs, to: &OutputFileArgs, console: &Console) -> Result<Exit, Failure> {
    let snapshot = source.collect(console, Wanted { objects: true, ..Wanted::default() }).await?;
    let audit = audit::audit(&snapshot, &Filter::default(), &Policy::default());
    let policy = policy(&audit);
    to.put(&format!("{HEAD}{}", document::yaml(&policy)?), console)?;
    if snapshot.failed.is_empty() {
        return Ok(Exit::Success);
    }
    console.warn("some proxies could not be read; what they hold is not in this policy");
    Ok(Exit::Incomplete)
}

fn policy(audit: &Audit) -> PolicyFile {
    PolicyFile {
        api_version: "meshaudit/v1".to_owned(),
        kind: "Policy".to_owned(),
        expectations: expectations(audit),
        ignores: ignores(audit),
        ..PolicyFile::default()
    }
}

/// What overrides the mesh and is in order was meant: another value later would be news.
fn expectations(audit: &Audit) -> Vec<Expectation> {
    let wrong: BTreeSet<&str> = audit.findings.iter().map(|finding| finding.cluster()).collect();
    let mut values: BTreeMap<&str, (Duration, Duration)> = BTreeMap::new();
    let mut overridden = BTreeSet::new();
    for row in audit.rows.iter().filter(|row| row.is_judged() && row.parts().is_some()) {
        let (host, value) = (host(&row.name), row.effective_timeout());
        // An expectation is of a host: one with a wrong value has none.
        let entry = values.entry(host).or_insert((value, value));
        *entry = (entry.0.min(value), entry.1.max(value));
        if row.origin.kind.is_override() {
            overridden.insert(host);
        }
    }
    for name in wrong {
        overridden.remove(host(name));
    }
    let of = |host: &&str| {
        let (min, max) = values[host];
        let exact = min == max;
        Expectation {
            host: Some(Patterns::One((*host).to_owned())),
            connect_timeout: exact.then(|| format_duration(min)),
            min: (!exact).then(|| format_duration(min)),
            max: (!exact).then(|| format_duration(max)),
            reason: Some("as it was when this policy was written".to_owned()),
            ..Expectation::default()
        }
    };
    overridden.iter().map(of).collect()
}

/// What is wrong with values and with the mesh configuration today. What proxies do, or failed to do, is no policy.
fn ignores(audit: &Audit) -> Vec<Ignore> {
    let mut hosts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for finding in audit.findings.iter().filter(|finding| finding.severity > Severity::Info && !finding.is_observed()) {
        match &finding.subject {
            Subject::Row { .. } | Subject::Cluster { .. } => {
                hosts.entry(finding.rule.name).or_default().insert(host(finding.cluster()));
            }
            Subject::MeshConfig { .. } => {
                hosts.entry(finding.rule.name).or_default();
            }
            Subject::Proxies { .. } => {}
        }
    }
    let today = Zoned::now().date();
    let expires = today.checked_add(DAYS.days()).ok().map(|day| day.to_string());
    let of = |(rule, hosts): (&str, BTreeSet<&str>)| Ignore {
        rule: Some(rule.to_owned()),
        host: (!hosts.is_empty()).then(|| Patterns::Several(hosts.into_iter().map(str::to_owned).collect())),
        namespace: None,
        workload: None,
        direction: None,
        reason: format!("as it was on {today}; to be mended"),
        expires: expires.clone(),
    };
    hosts.into_iter().map(of).collect()
}
