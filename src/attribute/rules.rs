//! Which DestinationRule a client's proxy uses for a host: Istio's index, merging and lookup
//! (`pilot/pkg/model/push_context.go`, `setDestinationRules` and `destinationRule`;
//! `pilot/pkg/model/destination_rule.go`, `mergeDestinationRule`).

use std::collections::{BTreeSet, HashMap};

use crate::model::objects::{DestinationRule, Labels, Subset, TrafficPolicy};

/// DestinationRules for one host in one namespace, merged as Istio merges them.
#[derive(Debug, Clone)]
pub(super) struct MergedRule<'a> {
    /// The rule that came first: its name is what Envoy's metadata show.
    pub(super) first: &'a DestinationRule,
    /// The rules that were merged into it.
    pub(super) others: Vec<&'a DestinationRule>,
    export_to: BTreeSet<&'a str>,
    selector: Option<&'a Labels>,
    /// The policy, and whose it is.
    pub(super) policy: Option<(&'a DestinationRule, &'a TrafficPolicy)>,
    /// The subsets, and whose they are.
    pub(super) subsets: Vec<(&'a DestinationRule, &'a Subset)>,
}

impl<'a> MergedRule<'a> {
    fn new(rule: &'a DestinationRule, export_to: BTreeSet<&'a str>) -> Self {
        Self {
            first: rule,
            others: Vec::new(),
            export_to,
            selector: rule.workload_selector.as_ref(),
            policy: rule.traffic_policy.as_ref().map(|policy| (rule, policy)),
            subsets: rule.subsets.iter().map(|subset| (rule, subset)).collect(),
        }
    }

    /// The first policy wins whole; subsets of new names are added.
    fn merge(&mut self, rule: &'a DestinationRule) {
        for subset in &rule.subsets {
            if !self.subsets.iter().any(|(_, known)| known.name == subset.name) {
                self.subsets.push((rule, subset));
            }
        }
        if self.policy.is_none() {
            self.policy = rule.traffic_policy.as_ref().map(|policy| (rule, policy));
        }
        self.others.push(rule);
    }

    fn is_exported_to(&self, namespace: &str) -> bool {
        self.export_to.is_empty() || self.export_to.contains("*") || self.export_to.contains(namespace)
    }
}

#[derive(Debug, Default)]
struct HostIndex<'a>(HashMap<String, Vec<MergedRule<'a>>>);

impl<'a> HostIndex<'a> {
    fn add(&mut self, host: &str, rule: &'a DestinationRule, export_to: &BTreeSet<&'a str>) {
        let Some(known) = self.0.get_mut(host) else {
            self.0.insert(host.to_owned(), vec![MergedRule::new(rule, export_to.clone())]);
            return;
        };
        let mut separately = true;
        for merged in known.iter_mut() {
            let same_selector = merged.selector == rule.workload_selector.as_ref();
            let both_select = merged.selector.is_some() && rule.workload_selector.is_some();
            let same_export = *export_to == merged.export_to;
            if !same_export && (merged.export_to.is_empty() || !export_to.is_superset(&merged.export_to)) {
                separately = true;
                continue;
            }
            if both_select && !same_selector {
                separately = true;
                continue;
            }
            separately = !same_selector;
            merged.merge(rule);
        }
        if separately {
            known.push(MergedRule::new(rule, export_to.clone()));
        }
    }

    /// The rules for the most specific host that covers this one: itself, then ever shorter wildcards.
    fn most_specific(&self, host: &str) -> Option<&[MergedRule<'a>]> {
        if let Some(rules) = self.0.get(host) {
            return Some(rules);
        }
        // `*.b.c` covers `a.b.c` and, as a wildcard of its own, `*.a.b.c`, but not `b.c`.
        let mut rest = host.strip_prefix('*').unwrap_or(host);
        while let Some(dot) = rest.find('.') {
            let suffix = &rest[dot..];
            if let Some(rules) = self.0.get(&format!("*{suffix}")) {
                return Some(rules);
            }
            rest = &rest[dot + 1..];
        }
        self.0.get("*").map(Vec::as_slice)
    }
}

/// Where in the order of lookup a rule was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the namespace of the client.
    Client,
    /// In the namespace of the service.
    Service,
    /// In the root namespace.
    Root,
}

impl Place {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "the client's namespace",
            Self::Service => "the service's namespace",
            Self::Root => "the root namespace",
        }
    }
}

/// All DestinationRules of a mesh, by namespace and host.
#[derive(Debug, Default)]
pub(super) struct RuleIndex<'a> {
    /// What proxies of a namespace see of their own.
    local: HashMap<&'a str, HostIndex<'a>>,
    /// What others may see of a namespace.
    exported: HashMap<&'a str, HostIndex<'a>>,
    /// Private rules of the root namespace.
    root_local: HostIndex<'a>,
    root: String,
}

impl<'a> RuleIndex<'a> {
    /// Indexes the rules. `rules_are_private` is what rules without `exportTo` get.
    pub(super) fn new(rules: &'a [DestinationRule], root: &str, rules_are_private: bool, domain: &str) -> Self {
        let mut index = Self { root: root.to_owned(), ..Self::default() };
        let mut order: Vec<&DestinationRule> = rules.iter().collect();
        // Rules with a selector come first; then the oldest, then by name and namespace.
        order.sort_by_key(|&rule| {
            (rule.workload_selector.is_none(), rule.meta.created, &*rule.meta.name, &*rule.meta.namespace)
        });
        for rule in order {
            let namespace = rule.meta.namespace.as_str();
            let host = full_host(&rule.host, namespace, domain);
            let export_to: BTreeSet<&str> = if rule.workload_selector.is_some() {
                BTreeSet::from(["."])
            } else {
                rule.export_to.iter().map(String::as_str).collect()
            };
            if export_to.is_empty() || ["*", ".", namespace].iter().any(|target| export_to.contains(target)) {
                index.local.entry(namespace).or_default().add(&host, rule, &export_to);
            }
            let private = if export_to.is_empty() {
                rules_are_private
            } else {
                export_to.len() == 1 && (export_to.contains(".") || export_to.contains(namespace))
            };
            if !private {
                index.exported.entry(namespace).or_default().add(&host, rule, &export_to);
            } else if namespace == root {
                index.root_local.add(&host, rule, &export_to);
            }
        }
        index
    }

    /// The rule for a host as a client of `namespace` sees it. The first namespace that has a rule for the host wins,
    /// even when none of its rules is for this workload.
    pub(super) fn find(
        &self,
        namespace: &str,
        host: &str,
        service_namespace: &str,
        labels: Option<&Labels>,
    ) -> Option<(&MergedRule<'a>, Place)> {
        let own = if namespace == self.root {
            self.root_local.most_specific(host)
        } else {
            self.local.get(namespace).and_then(|hosts| hosts.most_specific(host))
        };
        if let Some(rules) = own {
            return select(rules.iter(), namespace, labels).map(|rule| (rule, Place::Client));
        }
        for (place, owner) in [(Place::Service, service_namespace), (Place::Root, self.root.as_str())] {
            if let Some(rules) = self.exported.get(owner).and_then(|hosts| hosts.most_specific(host)) {
                let mut visible = rules.iter().filter(|rule| rule.is_exported_to(namespace)).peekable();
                if visible.peek().is_some() {
                    return select(visible, namespace, labels).map(|rule| (rule, place));
                }
            }
        }
        None
    }

    /// The rules for a host, in whatever namespace and however hidden, for explanations.
    pub(super) fn all_for<'b>(
        rules: &'a [DestinationRule],
        host: &'b str,
        domain: &'b str,
    ) -> impl Iterator<Item = &'a DestinationRule> + 'b
    where
        'a: 'b,
    {
        rules.iter().filter(move |rule| covers(&full_host(&rule.host, &rule.meta.namespace, domain), host))
    }
}

/// Of a namespace's rules for a host, the one for this workload (`SidecarScope.DestinationRule`). `labels` is `None`
/// for inbound clusters, where selectors do not count.
fn select<'r, 'a: 'r>(
    rules: impl Iterator<Item = &'r MergedRule<'a>>,
    namespace: &str,
    labels: Option<&Labels>,
) -> Option<&'r MergedRule<'a>> {
    let mut for_all = None;
    for rule in rules {
        match (rule.selector, labels) {
            (None, _) => for_all = Some(rule),
            (Some(selector), Some(labels)) if rule.first.meta.namespace == namespace && selects(selector, labels) => {
                return Some(rule);
            }
            _ => {}
        }
    }
    for_all
}

/// Whether labels have all that a selector asks for.
pub(super) fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// A short name stands for a service of the object's own namespace (`ResolveShortnameToFQDN`).
pub fn full_host(host: &str, namespace: &str, domain: &str) -> String {
    if host.is_empty() || host.contains('.') || host.starts_with('*') || namespace.is_empty() {
        host.to_owned()
    } else {
        format!("{host}.{namespace}.svc.{domain}")
    }
}

/// Whether a rule's host is, or as a wildcard includes, this host.
fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() >= suffix.len() && host.ends_with(suffix),
        None => pattern == host,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
mod tests {
    use super::*;
    use crate::model::objects::ObjectMeta;

    fn rule(namespace: &str, name: &str, host: &str) -> DestinationRule {
        DestinationRule {
            meta: ObjectMeta { namespace: namespace.into(), name: name.into(), created: None },
            host: host.into(),
            ..DestinationRule::default()
        }
    }

    #[test]
    fn the_most_specific_host_wins() {
        let rules = [
            rule("a", "all", "*"),
            rule("a", "local", "*.local"),
            rule("a", "svc", "*.shop.svc.cluster.local"),
            rule("a", "web", "web.shop.svc.cluster.local"),
        ];
        let index = RuleIndex::new(&rules, "istio-system", false, "cluster.local");
        for (host, name) in [
            ("web.shop.svc.cluster.local", "web"),
            ("db.shop.svc.cluster.local", "svc"),
            ("shop.svc.cluster.local", "local"),
            ("x.other.svc.cluster.local", "local"),
            ("api.example.com", "all"),
            ("*.shop.svc.cluster.local", "svc"),
            ("*.x.shop.svc.cluster.local", "svc"),
        ] {
            assert_eq!(index.find("a", host, "", None).unwrap().0.first.meta.name, name, "{host}");
        }
    }

    #[test]
    fn full_hosts() {
        assert_eq!(full_host("web", "shop", "cluster.local"), "web.shop.svc.cluster.local");
        assert_eq!(full_host("web.shop", "shop", "cluster.local"), "web.shop");
        assert_eq!(full_host("*", "shop", "cluster.local"), "*");
    }
}
