//! Which DestinationRule a client's proxy uses for a host: Istio's index, merging and lookup
//! (`pilot/pkg/model/push_context.go`, `setDestinationRules` and `destinationRule`;
//! `pilot/pkg/model/destination_rule.go`, `mergeDestinationRule`; `pilot/pkg/model/config.go`, `MostSpecificHostMatch`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use foldhash::HashMap;

use super::behaviour::Behaviour;
use super::selection::Selected;
use crate::model::istio::{DestinationRule, Labels, Subset, TrafficPolicy};

/// DestinationRules for one host in one namespace, merged as Istio merges them.
#[derive(Debug, Clone)]
pub(super) struct MergedRule<'a> {
    /// The rule that came first: its name is what Envoy's metadata show.
    pub(super) first: &'a DestinationRule,
    /// The rules that were merged into it.
    pub(super) others: Vec<&'a DestinationRule>,
    export_to: BTreeSet<&'a str>,
    pub(super) selector: Option<&'a Labels>,
    /// The policies that count, and whose they are, weakest first: the first one alone, or, on top of what a Gateway API
    /// policy was made into (from 1.31), each with its blocks in place of those before.
    pub(super) policies: Vec<(&'a DestinationRule, &'a TrafficPolicy)>,
    /// What a Gateway API policy adds below it (from 1.31; before, it is a policy like any other).
    pub(super) backend: Option<(&'a DestinationRule, &'a TrafficPolicy)>,
    /// The subsets, and whose they are.
    pub(super) subsets: Vec<(&'a DestinationRule, &'a Subset)>,
}

impl<'a> MergedRule<'a> {
    fn new(rule: &'a DestinationRule, export_to: BTreeSet<&'a str>, users_first: bool) -> Self {
        let mut merged = Self {
            first: rule,
            others: Vec::new(),
            export_to,
            selector: rule.workload_selector.as_ref(),
            policies: Vec::new(),
            backend: None,
            subsets: rule.subsets.iter().map(|subset| (rule, subset)).collect(),
        };
        merged.add_policy(rule, users_first);
        merged
    }

    fn add_policy(&mut self, rule: &'a DestinationRule, users_first: bool) {
        let Some(policy) = &rule.traffic_policy else { return };
        if users_first && rule.made_of.is_some() {
            self.backend.get_or_insert((rule, policy));
        } else if self.policies.is_empty() || (users_first && self.first.made_of.is_some()) {
            self.policies.push((rule, policy));
        }
    }

    /// Whose policy gives the top level's `connectionPool`; without one, whose is the strongest.
    pub(super) fn policy_owner(&self) -> Option<&'a DestinationRule> {
        let with_pool = self.policies.iter().rfind(|(_, policy)| policy.connection_pool.is_some());
        with_pool.or(self.policies.last()).map(|(owner, _)| *owner)
    }

    /// Adds another rule's policy; subsets of new names are added.
    fn merge(&mut self, rule: &'a DestinationRule, users_first: bool) {
        for subset in &rule.subsets {
            if !self.subsets.iter().any(|(_, known)| known.name == subset.name) {
                self.subsets.push((rule, subset));
            }
        }
        self.add_policy(rule, users_first);
        self.others.push(rule);
    }

    /// Whether it has a `trafficPolicy`, of whatever origin.
    pub(super) fn has_policy(&self) -> bool {
        !self.policies.is_empty() || self.backend.is_some()
    }

    fn is_exported_to(&self, namespace: &str) -> bool {
        self.export_to.is_empty() || self.export_to.contains("*") || self.export_to.contains(namespace)
    }
}

#[derive(Debug, Default)]
struct HostIndex<'a> {
    /// By the whole host, wildcards too.
    exact: HashMap<String, Vec<MergedRule<'a>>>,
    /// The lengths of wildcards without their `*`, longest first.
    wildcards: Vec<usize>,
}

impl<'a> HostIndex<'a> {
    fn add(&mut self, host: &str, rule: &'a DestinationRule, export_to: &BTreeSet<&'a str>, behaviour: &Behaviour) {
        let users_first = behaviour.users_first;
        let Some(known) = self.exact.get_mut(host) else {
            self.exact.insert(host.to_owned(), vec![MergedRule::new(rule, export_to.clone(), users_first)]);
            if let Some(suffix) = host.strip_prefix('*')
                && let Err(at) = self.wildcards.binary_search_by(|length| suffix.len().cmp(length))
            {
                self.wildcards.insert(at, suffix.len());
            }
            return;
        };
        let mut separately = true;
        for merged in known.iter_mut() {
            let same_selector = merged.selector == rule.workload_selector.as_ref();
            let both_select = merged.selector.is_some() && rule.workload_selector.is_some();
            if behaviour.rules_apart {
                if *export_to == merged.export_to {
                    separately = false;
                } else {
                    separately = true;
                    if merged.export_to.is_empty() || !export_to.is_superset(&merged.export_to) {
                        continue;
                    }
                }
            }
            if both_select && !same_selector {
                separately = true;
                continue;
            }
            if same_selector {
                separately = false;
            }
            merged.merge(rule, users_first);
        }
        if separately {
            known.push(MergedRule::new(rule, export_to.clone(), users_first));
        }
    }

    /// The rules for the most specific host that covers this one: itself, then ever shorter wildcards.
    fn most_specific(&self, host: &str) -> Option<&[MergedRule<'a>]> {
        if let Some(rules) = self.exact.get(host) {
            return Some(rules);
        }
        // As a wildcard of its own, `*.a.b.c` is covered by what covers `.a.b.c`.
        let needle = host.strip_prefix('*').unwrap_or(host);
        let mut wildcard = String::new();
        for length in self.wildcards.iter().filter(|length| **length <= needle.len()) {
            let Some(suffix) = needle.get(needle.len() - length..) else { continue };
            wildcard.clear();
            wildcard.push('*');
            wildcard.push_str(suffix);
            if let Some(rules) = self.exact.get(&wildcard) {
                return Some(rules);
            }
        }
        None
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

/// All DestinationRules of a control plane, by namespace and host.
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
    pub(super) fn new(
        rules: impl Iterator<Item = &'a DestinationRule>,
        root: &str,
        rules_are_private: bool,
        domain: &str,
        behaviour: &Behaviour,
    ) -> Self {
        let mut index = Self { root: root.to_owned(), ..Self::default() };
        let mut order: Vec<&DestinationRule> = rules.collect();
        // Rules with a selector come first; then the oldest, then by name and namespace. What istiod makes of the
        // Gateway API's policies has no age, which is older than any.
        order.sort_by_key(|&rule| {
            let selecting = !behaviour.selecting_rules_first || rule.workload_selector.is_none();
            (selecting, rule.made_of.is_none(), rule.meta.created, &*rule.meta.name, &*rule.meta.namespace)
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
                index.local.entry(namespace).or_default().add(&host, rule, &export_to, behaviour);
            }
            let private = if export_to.is_empty() {
                rules_are_private
            } else {
                export_to.len() == 1 && (export_to.contains(".") || export_to.contains(namespace))
            };
            if !private {
                index.exported.entry(namespace).or_default().add(&host, rule, &export_to, behaviour);
            } else if namespace == root {
                index.root_local.add(&host, rule, &export_to, behaviour);
            }
        }
        index
    }

    /// The rule for a host as a client of `namespace` sees it. The first namespace that has a rule for the host wins,
    /// even when none of its rules is for this workload. `selected` says of a rule with a selector whether it is for
    /// the workload; `None` for inbound clusters, where selectors do not count (`SidecarScope.DestinationRule`).
    pub(super) fn find(
        &self,
        namespace: &str,
        host: &str,
        service_namespace: &str,
        selected: Option<&dyn Fn(&MergedRule<'a>) -> bool>,
    ) -> Option<(&MergedRule<'a>, Place)> {
        let own = if namespace == self.root {
            self.root_local.most_specific(host)
        } else {
            self.local.get(namespace).and_then(|hosts| hosts.most_specific(host))
        };
        if let Some(rules) = own {
            return select(rules.iter(), namespace, selected).map(|rule| (rule, Place::Client));
        }
        for (place, owner) in [(Place::Service, service_namespace), (Place::Root, self.root.as_str())] {
            if let Some(rules) = self.exported.get(owner).and_then(|hosts| hosts.most_specific(host)) {
                let mut visible = rules.iter().filter(|rule| rule.is_exported_to(namespace)).peekable();
                if visible.peek().is_some() {
                    return select(visible, namespace, selected).map(|rule| (rule, place));
                }
            }
        }
        None
    }
}

/// Of a namespace's rules for a host, the one for this workload.
fn select<'r, 'a: 'r>(
    rules: impl Iterator<Item = &'r MergedRule<'a>>,
    namespace: &str,
    selected: Option<&dyn Fn(&MergedRule<'a>) -> bool>,
) -> Option<&'r MergedRule<'a>> {
    let mut for_all = None;
    for rule in rules {
        match (rule.selector, selected) {
            (None, _) => for_all = Some(rule),
            (Some(_), Some(selected)) if rule.first.meta.namespace == namespace && selected(rule) => return Some(rule),
            _ => {}
        }
    }
    for_all
}

/// Whether a workload is selected, where that may depend on what is not known: Envoy's metadata name the rule that
/// was.
pub(super) fn is_named(rule: &MergedRule<'_>, selected: Selected, hint: Option<&str>) -> bool {
    match selected {
        Selected::Yes => true,
        Selected::No => false,
        Selected::Perhaps => hint.is_some_and(|hint| {
            hint.split_once('/') == Some((rule.first.meta.namespace.as_str(), rule.first.meta.name.as_str()))
        }),
    }
}

/// A short name stands for a service of the object's own namespace (`ResolveShortnameToFQDN`).
pub fn full_host(host: &str, namespace: &str, domain: &str) -> String {
    let whole = host.is_empty() || host.contains('.') || host == "*" || namespace.is_empty();
    if whole || host.parse::<IpAddr>().is_ok() { host.to_owned() } else { format!("{host}.{namespace}.svc.{domain}") }
}

/// Whether a rule's host is, or as a wildcard includes, this host.
pub(super) fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.strip_prefix('*').unwrap_or(host).ends_with(suffix),
        None => pattern == host,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
mod tests {
    use super::*;
    use crate::model::istio::ObjectMeta;

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
            rule("a", "inside", "*-api.example.com"),
            rule("a", "whole", "*example.net"),
        ];
        let index =
            RuleIndex::new(rules.iter(), "istio-system", false, "cluster.local", &Behaviour::possible(None, None)[0]);
        for (host, name) in [
            ("web.shop.svc.cluster.local", "web"),
            ("db.shop.svc.cluster.local", "svc"),
            ("shop.svc.cluster.local", "local"),
            ("x.other.svc.cluster.local", "local"),
            ("api.example.com", "all"),
            ("v1-api.example.com", "inside"),
            ("example.net", "whole"),
            ("a.example.net", "whole"),
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
        assert_eq!(full_host("::1", "shop", "cluster.local"), "::1");
        assert_eq!(full_host("web", "shop", "corp.example"), "web.shop.svc.corp.example");
    }
}
