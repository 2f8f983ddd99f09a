//! Which clusters an audit looks at.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{ClusterKind, ClusterName, Direction, MeshSnapshot, format_duration};

/// Which clusters an audit looks at.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A part of the host.
    pub host: Option<String>,
    /// The service's port.
    pub port: Option<u16>,
    /// The direction.
    pub direction: Option<Direction>,
    /// The subset, whole.
    pub subset: Option<String>,
    /// Timeouts below this.
    pub below: Option<Duration>,
    /// Timeouts above this.
    pub above: Option<Duration>,
    /// Bootstrap and internal clusters too.
    pub all_clusters: bool,
}

/// A filter that no cluster passes: what was asked for, and what there is that is near it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    /// `has "pay" in its host`, for a sentence about clusters.
    pub asked: String,
    /// The nearest there are, best first; what there is at all where nothing is near.
    pub nearest: Vec<String>,
}

/// How many names are suggested.
const SUGGESTED: usize = 3;

impl Filter {
    /// Whether clusters of a kind are looked at at all.
    #[must_use]
    pub fn shows(&self, kind: ClusterKind) -> bool {
        self.all_clusters || !matches!(kind, ClusterKind::Bootstrap | ClusterKind::Internal)
    }

    /// Whether a cluster with this name and timeout is looked at.
    #[must_use]
    pub fn keeps(&self, name: &str, timeout: Duration) -> bool {
        let part = |test: &dyn Fn(ClusterName<'_>) -> bool| ClusterName::parse(name).is_some_and(test);
        self.host.as_ref().is_none_or(|wanted| host(name).contains(wanted.as_str()))
            && self.port.is_none_or(|wanted| part(&|parts| parts.port == wanted))
            && self.direction.is_none_or(|wanted| part(&|parts| parts.direction == wanted))
            && self.subset.as_ref().is_none_or(|wanted| part(&|parts| parts.subset == wanted))
            && self.below.is_none_or(|below| timeout < below)
            && self.above.is_none_or(|above| timeout > above)
    }

    /// What is asked for that no cluster of a snapshot has; `None` where one passes, or nothing is asked for. Each part
    /// of the filter is looked at by itself: the first that alone matches nothing is the one that is wrong.
    #[must_use]
    pub fn unmatched(&self, snapshot: &MeshSnapshot) -> Option<Unmatched> {
        let clusters = || snapshot.clusters.iter().filter(|cluster| self.shows(cluster.kind()));
        let any = |filter: &Self| clusters().any(|cluster| filter.keeps(&cluster.name, cluster.effective_timeout()));
        if any(self) {
            return None;
        }
        let parts = || clusters().filter_map(|cluster| cluster.parts());
        let timeouts: BTreeSet<Duration> = clusters().map(|cluster| cluster.effective_timeout()).collect();
        let alone = |filter: Self| !any(&filter);
        let none = Self::default;
        if let Some(wanted) = self.host.as_ref().filter(|_| alone(Self { host: self.host.clone(), ..none() })) {
            let hosts: BTreeSet<&str> = clusters().map(|cluster| host(&cluster.name)).collect();
            return Some(Unmatched { asked: format!("has {wanted:?} in its host"), nearest: nearest(wanted, hosts) });
        }
        if let Some(wanted) = self.port.filter(|_| alone(Self { port: self.port, ..none() })) {
            let ports: BTreeSet<u16> = parts().map(|parts| parts.port).collect();
            let mut ports: Vec<u16> = ports.into_iter().collect();
            ports.sort_by_key(|port| port.abs_diff(wanted));
            let nearest = ports.iter().take(SUGGESTED).map(u16::to_string).collect();
            return Some(Unmatched { asked: format!("is of port {wanted}"), nearest });
        }
        if let Some(wanted) = self.direction.filter(|_| alone(Self { direction: self.direction, ..none() })) {
            let known: BTreeSet<Direction> = parts().map(|parts| parts.direction).collect();
            let nearest = known.into_iter().map(|direction| direction.to_string()).collect();
            return Some(Unmatched { asked: format!("is {wanted}"), nearest });
        }
        if let Some(wanted) = self.subset.as_ref().filter(|_| alone(Self { subset: self.subset.clone(), ..none() })) {
            let subsets: BTreeSet<&str> = parts().map(|parts| parts.subset).filter(|name| !name.is_empty()).collect();
            return Some(Unmatched { asked: format!("is of subset {wanted:?}"), nearest: nearest(wanted, subsets) });
        }
        if let Some(below) = self.below.filter(|_| alone(Self { below: self.below, ..none() })) {
            let nearest = timeouts.first().copied().map(format_duration).into_iter().collect();
            return Some(Unmatched { asked: format!("has a timeout below {}", format_duration(below)), nearest });
        }
        if let Some(above) = self.above.filter(|_| alone(Self { above: self.above, ..none() })) {
            let nearest = timeouts.last().copied().map(format_duration).into_iter().collect();
            return Some(Unmatched { asked: format!("has a timeout above {}", format_duration(above)), nearest });
        }
        let asked = self.asks_for_something().then(|| "matches all of the filter at once".to_owned())?;
        Some(Unmatched { asked, nearest: Vec::new() })
    }

    fn asks_for_something(&self) -> bool {
        self.host.is_some()
            || self.port.is_some()
            || self.direction.is_some()
            || self.subset.is_some()
            || self.below.is_some()
            || self.above.is_some()
    }
}

/// The host of a cluster, by its name. One that is not a service's has none; its name stands for it.
#[must_use]
pub fn host(name: &str) -> &str {
    ClusterName::parse(name).map_or(name, |parts| if parts.host.is_empty() { name } else { parts.host })
}

/// The names that are most like what was asked for: a service's first label counts as much as the whole.
#[must_use]
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let likeness = |name: &str| {
        let label = name.split('.').next().unwrap_or(name);
        strsim::jaro_winkler(wanted, name).max(strsim::jaro_winkler(wanted, label))
    };
    let mut known: Vec<(f64, &str)> = known.into_iter().map(|name| (likeness(name), name)).collect();
    known.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    known.into_iter().take(SUGGESTED).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{ClusterSet, EnvoyCluster, Proxy, ProxyId, ProxySnapshot, SnapshotBuilder};

    fn snapshot() -> MeshSnapshot {
        let mut builder = SnapshotBuilder::default();
        let mut clusters = ClusterSet::default();
        for (name, seconds) in [
            ("outbound|443||api.example.com", 1),
            ("outbound|8080|v1|payments.billing.svc.cluster.local", 10),
            ("inbound|9080||", 5),
        ] {
            clusters.insert(builder.intern(EnvoyCluster {
                name: Arc::from(name),
                discovery_type: Arc::from("EDS"),
                connect_timeout: Some(Duration::from_secs(seconds)),
                source: crate::model::ClusterSource::Active,
                error: None,
                destination_rule_hint: None,
                services: Vec::new(),
            }));
        }
        builder.read(ProxySnapshot { clusters, ..ProxySnapshot::named(Proxy::named(ProxyId::new("shop", "web"))) });
        builder.finish(jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn says_what_no_cluster_has_and_what_is_near() {
        let snapshot = snapshot();
        let asked = |filter: Filter| filter.unmatched(&snapshot).map(|unmatched| (unmatched.asked, unmatched.nearest));
        let host = |host: &str| Filter { host: Some(host.into()), ..Filter::default() };
        assert_eq!(asked(host("api")), None);
        let (said, near) = asked(host("paymnets")).expect("a typo");
        assert_eq!(
            (said.as_str(), near[0].as_str()),
            ("has \"paymnets\" in its host", "payments.billing.svc.cluster.local")
        );
        let (said, near) = asked(Filter { port: Some(8081), ..Filter::default() }).expect("no such port");
        assert_eq!((said.as_str(), near[0].as_str()), ("is of port 8081", "8080"));
        let (_, near) = asked(Filter { subset: Some("v2".into()), ..Filter::default() }).expect("no such subset");
        assert_eq!(near, ["v1"]);
        let (_, near) = asked(Filter { below: Some(Duration::from_secs(1)), ..Filter::default() }).expect("none below");
        assert_eq!(near, ["1s"]);
        let both = Filter { port: Some(443), subset: Some("v1".into()), ..Filter::default() };
        assert_eq!(asked(both).expect("not both").0, "matches all of the filter at once");
        assert_eq!(asked(Filter::default()), None);
    }
}
