//! What a proxy holds, held against what it should.

use std::time::Duration;

use super::classes::ProxyClass;
use super::layers::{Answer, Named, Question};
use super::resolution::{Candidate, Layer, Outcome, Resolution};
use super::words::describe;
use super::{Attribution, Attributor, Expected, Verdict};
use crate::model::istio::{Coverage, ObjectKind};
use crate::model::{ClusterKind, EnvoyCluster, MeshSource, Origin, OriginKind, format_duration};

/// Where a cluster of a class has its timeout from, and with `trail` every layer that was asked.
pub(super) fn compare<'a>(
    attributor: &Attributor<'a>,
    class: &ProxyClass<'a>,
    row: u32,
    trail: bool,
) -> (Attribution, Vec<Candidate>) {
    let cluster = &attributor.snapshot.clusters[row as usize];
    let kind = cluster.kind();
    let plain = |kind: OriginKind| {
        let origin = Origin::new(kind, true);
        (Attribution { origin, expected: None, verdict: Verdict::Explained }, Vec::new())
    };
    if kind == ClusterKind::Bootstrap {
        return plain(OriginKind::Bootstrap);
    }
    if kind == ClusterKind::Internal && cluster.connect_timeout.is_none() {
        return plain(OriginKind::EnvoyDefault);
    }
    let Some(Answer { mut resolution, named }) = answer(attributor, class, row, trail) else {
        let origin = attributor.guess(class, cluster, kind);
        let suggested = if trail { vec![suggested(cluster, kind, &origin)] } else { Vec::new() };
        return (Attribution { origin, expected: None, verdict: Verdict::Unknown }, suggested);
    };
    if let Some(doubt) = contradiction(attributor, class, cluster, &named, resolution.value) {
        resolution.doubt(doubt);
    }
    let Resolution { value: timeout, mut origin, dropped, perhaps, doubt, trail, .. } = resolution;
    if let Some(doubt) = &doubt {
        origin.certain = false;
        if !origin.note.ends_with(doubt.as_str()) {
            origin.note = join(&origin.note, doubt);
        }
    }
    let expected = Expected { timeout, origin, dropped, perhaps };
    (attributor.judge(class, cluster, expected, doubt), trail.unwrap_or_default())
}

/// What the dump alone suggests as a candidate: no other is known, so it is the one that won.
fn suggested(cluster: &EnvoyCluster, kind: ClusterKind, origin: &Origin) -> Candidate {
    let layer = match (kind, &cluster.destination_rule_hint) {
        (ClusterKind::Other, _) => Layer::EnvoyFilter,
        (ClusterKind::Service, Some(_)) => Layer::DestinationRule,
        _ => Layer::Mesh,
    };
    let reason = "it is all that the proxy's own configuration tells".to_owned();
    let value = cluster.connect_timeout;
    Candidate { layer, origin: Some(origin.clone()), value, outcome: Outcome::Won, reason }
}

/// What a cluster should hold. Where the control plane's version is not known, it is worked out for each way in which it
/// may read its configuration, and is only certain where all of those that agree with Envoy's metadata agree.
fn answer<'a>(attributor: &Attributor<'a>, class: &ProxyClass<'a>, row: u32, trail: bool) -> Option<Answer> {
    let cluster = &attributor.snapshot.clusters[row as usize];
    let plane = attributor.plane(class)?;
    let of =
        |behaviour: usize, trail: bool| Question::new(attributor, class, behaviour, cluster, Some(row))?.answer(trail);
    if plane.behaviours.len() == 1 {
        return of(0, trail);
    }
    let mut answers: Vec<Option<Answer>> = (0..plane.behaviours.len()).map(|behaviour| of(behaviour, false)).collect();
    let agrees =
        |answer: &Answer| contradiction(attributor, class, cluster, &answer.named, answer.resolution.value).is_none();
    let possible: Vec<usize> =
        (0..answers.len()).filter(|&index| answers[index].as_ref().is_some_and(agrees)).collect();
    let holds = |index: &&usize| {
        answers[**index].as_ref().is_some_and(|answer| answer.resolution.value == cluster.connect_timeout)
    };
    let chosen = possible.iter().find(holds).or(possible.first()).copied().unwrap_or(0);
    let says =
        |index: usize| answers[index].as_ref().map(|answer| (answer.resolution.value, &answer.resolution.origin.kind));
    let differs = possible.iter().any(|&index| says(index) != says(chosen));
    let mut answer = if trail { of(chosen, true) } else { answers.swap_remove(chosen) }?;
    if differs {
        answer.resolution.doubt("it depends on the control plane's version, which is unknown");
    }
    Some(answer)
}

/// What Envoy's own metadata say against the rule that was found: then the search went another way than Istio's.
fn contradiction<'a>(
    attributor: &Attributor<'a>,
    class: &ProxyClass<'a>,
    cluster: &EnvoyCluster,
    named: &Named,
    value: Option<Duration>,
) -> Option<String> {
    if !class.has_metadata(attributor.snapshot) {
        return None;
    }
    let hint = cluster.destination_rule_hint.as_deref();
    match (named, hint) {
        (Named::Untold, _) | (Named::Nothing, None) => None,
        (Named::Rule(rule), Some(hint)) if hint == format!("{}/{}", rule.namespace, rule.name) => None,
        (Named::Rule(rule), Some(hint)) => {
            Some(format!("Envoy's metadata name DestinationRule {hint}, and by the objects it is {rule}"))
        }
        // A dump may have the services of clusters and not their rules.
        (Named::Rule(_), None) if value == cluster.connect_timeout && !class.has_hints(attributor.snapshot) => None,
        (Named::Rule(rule), None) => {
            Some(format!("Envoy's metadata name no DestinationRule, and by the objects it is {rule}"))
        }
        (Named::Nothing, Some(hint)) => {
            Some(format!("Envoy's metadata name DestinationRule {hint}, and by the objects there is none"))
        }
    }
}

/// Whether two timeouts are one to Envoy, which counts them in whole milliseconds (`PROTOBUF_GET_MS_REQUIRED` of
/// `connect_timeout` in `source/common/upstream/upstream_impl.cc`).
fn same(one: Option<Duration>, other: Option<Duration>) -> bool {
    one.map(|value| value.as_millis()) == other.map(|value| value.as_millis())
}

pub(super) fn join(note: &str, more: &str) -> String {
    if note.is_empty() { more.to_owned() } else { format!("{note}; {more}") }
}

impl<'a> Attributor<'a> {
    /// What the dump alone suggests, where not even the mesh value is known.
    fn guess(&self, class: &ProxyClass<'a>, cluster: &EnvoyCluster, kind: ClusterKind) -> Origin {
        if cluster.connect_timeout.is_none() {
            return Origin::new(OriginKind::EnvoyDefault, true);
        }
        let unknown = |note: String| Origin::new(OriginKind::Unknown, false).with_note(note);
        match (kind, &cluster.destination_rule_hint) {
            (ClusterKind::BlackHole | ClusterKind::Passthrough | ClusterKind::Internal, _) => {
                Origin::new(OriginKind::MeshConfig { source: MeshSource::Inferred }, false)
                    .with_note("no DestinationRule reaches this cluster")
            }
            (ClusterKind::Other, _) => {
                unknown("not one of Istio's own names: an EnvoyFilter or another control plane".to_owned())
            }
            (_, Some(rule)) => unknown(format!("DestinationRule {rule} matched, which may or may not set it")),
            (_, None) => unknown(format!("the mesh's value is not in the dump; {}", self.missing(class))),
        }
    }

    fn judge(
        &self,
        class: &ProxyClass<'a>,
        cluster: &EnvoyCluster,
        expected: Expected,
        doubt: Option<String>,
    ) -> Attribution {
        let held = cluster.connect_timeout;
        if same(held, expected.timeout) {
            let mut origin = expected.origin.clone();
            if expected.perhaps.iter().any(|(_, value)| same(held, Some(*value))) {
                origin.certain = false;
                origin.note = join(&origin.note, "an EnvoyFilter that may apply sets the same");
            }
            return Attribution { origin, expected: Some(expected), verdict: Verdict::Explained };
        }
        let mut perhaps = expected.perhaps.iter().filter(|(_, value)| same(held, Some(*value)));
        if let Some((origin, _)) = perhaps.next() {
            // What is held settles whether a filter applies, if only one can have given it.
            let mut origin = origin.clone();
            origin.certain = expected.origin.certain && perhaps.next().is_none();
            return Attribution { origin, expected: Some(expected), verdict: Verdict::Explained };
        }
        let should = expected.timeout.map_or_else(|| "nothing".to_owned(), format_duration);
        let from = describe(&expected.origin);
        if let Some(error) = &cluster.error {
            let note = format!("expected {should}; the proxy rejected an update: {error}");
            let origin = Origin::new(OriginKind::Stale, true).with_note(note);
            return Attribution { origin, expected: Some(expected), verdict: Verdict::Stale };
        }
        if class.lags || (doubt.is_none() && class.holds(self.snapshot, &cluster.name, expected.timeout)) {
            let origin = Origin::new(OriginKind::Stale, class.lags && doubt.is_none())
                .with_note(format!("expected {should} from {from}"));
            return Attribution { origin, expected: Some(expected), verdict: Verdict::Stale };
        }
        let certain = expected.origin.certain;
        if held.is_none() {
            let origin =
                Origin::new(OriginKind::EnvoyDefault, true).with_note(format!("expected {should} from {from}"));
            let verdict = if certain { Verdict::Unexplained } else { Verdict::Unknown };
            return Attribution { origin, expected: Some(expected), verdict };
        }
        let (verdict, note) = if certain {
            let note = format!("no readable object accounts for it; expected {should} from {from}");
            (Verdict::Unexplained, note)
        } else {
            let matched = cluster.destination_rule_hint.as_ref();
            let matched =
                matched.map_or_else(|| "no DestinationRule".to_owned(), |rule| format!("DestinationRule {rule}"));
            let why = doubt.unwrap_or_else(|| self.missing(class));
            (Verdict::Unknown, format!("{matched} matched, and {from} gives {should}; {why}"))
        };
        let origin = Origin::new(OriginKind::Unknown, false).with_note(note);
        Attribution { origin, expected: Some(expected), verdict }
    }

    /// What stands in the way of knowing, in words.
    pub(super) fn missing(&self, class: &ProxyClass<'a>) -> String {
        let Some(objects) = self.objects(class).filter(|objects| !objects.is_empty()) else {
            return "the mesh configuration and DestinationRules were not read".to_owned();
        };
        let mut missing = Vec::new();
        for kind in [ObjectKind::MeshConfig, ObjectKind::DestinationRule, ObjectKind::Sidecar, ObjectKind::EnvoyFilter]
        {
            match objects.coverage(kind) {
                Coverage::Read => {}
                Coverage::Partly(reason) => missing.push(format!("{kind} partly read ({reason})")),
                Coverage::Denied(reason) => missing.push(format!("{kind} not readable ({reason})")),
                Coverage::NotRead => missing.push(format!("{kind} not read")),
            }
        }
        if missing.is_empty() {
            return "the control plane of this proxy was not found".to_owned();
        }
        missing.join(", ")
    }
}
