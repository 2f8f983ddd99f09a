//! What a write-up comes to, in a few sentences, each with the command that gives its figures.

use super::{About, Concerned, Fact, IncidentReport, concerned, failures, origin, step_in_words, upstream};
use crate::report::look::{count, grouped, some};

/// How many of a kind get a sentence of their own.
const SAID: usize = 3;

/// The facts of a report, whose own are not looked at.
#[must_use]
pub fn facts(report: &IncidentReport) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut say = |about, command: &str, sentences: Vec<String>| {
        facts.extend(sentences.into_iter().map(|sentence| Fact { about, sentence, command: command.to_owned() }));
    };
    say(About::Resets, &report.resets.command, resets(report));
    say(About::Cause, &report.diagnosis.command, causes(report));
    say(About::Timeout, &report.audit.command, timeouts(report));
    say(About::Change, &report.plan.command, change(report));
    say(About::Holders, &report.verification.command, holders(report));
    say(About::Effect, &report.resets.command, effect(report));
    facts
}

fn unknown(missing: &Option<String>) -> Vec<String> {
    missing.iter().map(|why| format!("Not known: {why}")).collect()
}

fn resets(report: &IncidentReport) -> Vec<String> {
    let Some(found) = &report.resets.document else { return unknown(&report.resets.missing) };
    if found.is_empty() {
        return vec![format!("No connection reset in {} records.", grouped(found.input.records))];
    }
    let services = found.services.iter().filter(|row| row.resets > 0).count() + found.other_services.saturating_sub(1);
    let span = match (found.buckets.first(), found.buckets.last()) {
        (Some(first), Some(last)) if first.label != last.label => format!(" from {} to {}", first.label, last.label),
        (Some(only), _) => format!(" on {}", only.label),
        _ => String::new(),
    };
    let most: Vec<String> = found
        .services
        .iter()
        .filter(|row| row.resets > 0)
        .map(|row| format!("{} {}", row.name, grouped(row.resets)))
        .collect();
    let mut said = vec![format!(
        "{} in {}{span} ({}): {}.",
        count(usize::try_from(found.total.resets).unwrap_or(usize::MAX), "connection reset", "connection resets"),
        count(services, "service", "services"),
        found.time_zone,
        some(most, SAID)
    )];
    said.extend(found.delay.iter().map(|delay| delay.sentence.clone()));
    said
}

fn causes(report: &IncidentReport) -> Vec<String> {
    let Some(found) = &report.diagnosis.document else { return unknown(&report.diagnosis.missing) };
    let items = failures(report);
    if items.is_empty() {
        let sentence =
            format!("No failed connection in {} records of the proxies' logs.", grouped(found.input.records));
        let unexplained = (found.input.unexplained > 0).then(|| {
            let speak = if found.input.unexplained == 1 { "speaks" } else { "speak" };
            format!("{} {speak} of a failure that is not understood.", count_u64(found.input.unexplained, "record"))
        });
        return std::iter::once(sentence).chain(unexplained).collect();
    }
    let mut said: Vec<String> = items
        .iter()
        .take(SAID)
        .map(|item| {
            let waited = match (item.seconds, item.attempts) {
                (Some(seconds), 0 | 1) => format!(", after {seconds:.2} s"),
                (Some(seconds), tries) => format!(", {tries} attempts of {seconds:.2} s each"),
                (None, _) => String::new(),
            };
            let timeout = item.connect_timeout.as_ref().map_or_else(String::new, |timeout| {
                let inferred = if item.connect_timeout_inferred { "concluded from the wait" } else { "known" };
                format!(", with a connect timeout of {timeout} ({inferred})")
            });
            format!(
                "{} ({}): {} to {}{waited}{timeout}.",
                item.cause,
                item.confidence,
                count_u64(item.occurrences, "failed connection"),
                upstream(item),
            )
        })
        .collect();
    if items.len() > SAID {
        said.push(format!("{} more kinds of failures.", items.len() - SAID));
    }
    said
}

fn count_u64(number: u64, one: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), one, &format!("{one}s"))
}

fn timeouts(report: &IncidentReport) -> Vec<String> {
    let Some(audit) = &report.audit.document else { return unknown(&report.audit.missing) };
    let mut said: Vec<String> = audit
        .mesh
        .iter()
        .take(SAID)
        .map(|mesh| {
            let of = if mesh.revision.is_empty() { String::new() } else { format!(" of revision {}", mesh.revision) };
            format!("The mesh's connect timeout{of} is {}, by {}.", mesh.connect_timeout, mesh.source)
        })
        .collect();
    let clusters = concerned(report);
    said.extend(clusters.iter().take(SAID).map(|Concerned { cluster, .. }| {
        let fit = match cluster.syn_retransmissions {
            0 => "a single lost SYN is a failed connection".to_owned(),
            1 => "one SYN retransmission fits into it".to_owned(),
            number => format!("{number} SYN retransmissions fit into it"),
        };
        format!(
            "{} has {} on {}, from {}: {fit}.",
            cluster.name,
            cluster.connect_timeout,
            count(cluster.proxy_count, "proxy", "proxies"),
            origin(cluster),
        )
    }));
    if clusters.len() > SAID {
        said.push(format!("{} more are concerned.", count(clusters.len() - SAID, "value", "values")));
    }
    let failed = audit.coverage.failed.len();
    if failed > 0 {
        let all = count(audit.coverage.audited + failed, "proxy", "proxies");
        said.push(format!("Incomplete: {failed} of {all} could not be read."));
    }
    said
}

fn change(report: &IncidentReport) -> Vec<String> {
    let made = report.resets.document.iter().flat_map(|found| &found.marks);
    let made = made.filter(|mark| !mark.label.is_empty()).map(|mark| format!("Made: {} ({}).", mark.label, mark.at));
    let mut said: Vec<String> = made.collect();
    let Some(plan) = &report.plan.document else {
        said.extend(unknown(&report.plan.missing));
        return said;
    };
    said.extend(plan.steps.iter().take(SAID).map(|step| format!("To be made: {}.", step_in_words(step))));
    if plan.steps.len() > SAID {
        said.push(format!("{} more.", count(plan.steps.len() - SAID, "change", "changes")));
    }
    if !plan.steps.is_empty() {
        said.push(format!(
            "That changes {} of {}.",
            count(plan.effect.clusters, "cluster", "clusters"),
            count(plan.effect.proxies, "proxy", "proxies")
        ));
    } else if plan.open.is_empty() {
        said.push("Nothing is left to be changed.".to_owned());
    }
    said.extend(
        plan.open.iter().take(SAID).map(|open| {
            format!("For {} no change does just what is needed: {}.", open.host, open.obstacles.join("; "))
        }),
    );
    said
}

fn holders(report: &IncidentReport) -> Vec<String> {
    let Some(found) = &report.verification.document else { return unknown(&report.verification.missing) };
    let without: std::collections::BTreeSet<&str> =
        found.stragglers.iter().map(|straggler| straggler.proxy.as_str()).collect();
    let mut said = vec![format!(
        "{} of {} {} {}.",
        found.good,
        count(found.coverage.audited, "proxy", "proxies"),
        if found.coverage.audited == 1 { "holds" } else { "hold" },
        found.expected
    )];
    if !without.is_empty() {
        let names = some(without.iter().map(|name| (*name).to_owned()), SAID);
        said.push(format!("Not yet: {names}."));
    }
    if found.unknown > 0 {
        said.push(format!("Of {} it can't be told.", count(found.unknown, "proxy", "proxies")));
    }
    said.extend(found.control_planes.iter().map(|plane| plane.message.clone()));
    said
}

fn effect(report: &IncidentReport) -> Vec<String> {
    let Some(found) = &report.resets.document else { return unknown(&report.resets.missing) };
    if found.marks.is_empty() {
        return vec![
            "Not known: `--mark TIME=LABEL` names the moment of a change, and compares before and after it.".to_owned(),
        ];
    }
    found.marks.iter().map(|mark| mark.sentence.clone()).collect()
}
