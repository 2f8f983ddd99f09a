//! Who may do what: users, their credentials, and rules as RBAC would add them up.

use std::sync::Arc;

use crate::store::Resource;

/// A rule: all of it must match, and `*` matches everything.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Verbs, as RBAC names them.
    pub verbs: &'static [&'static str],
    /// Resources with their subresource, such as `pods/portforward`.
    pub resources: &'static [&'static str],
    /// Namespaces; `*` also allows the cluster scope.
    pub namespaces: &'static [&'static str],
}

/// A user and what the user may do.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// The name, which is also the common name of its client certificate and its context's name.
    pub name: &'static str,
    /// Rules; one that matches is enough.
    pub rules: &'static [Rule],
}

const ANYWHERE: &[&str] = &["*"];
const READ: &[&str] = &["get", "list", "watch"];
const READABLE: &[&str] = &[
    "pods",
    "pods/log",
    "services",
    "configmaps",
    "namespaces",
    "nodes",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "jobs.batch",
    "destinationrules.networking.istio.io",
    "sidecars.networking.istio.io",
    "envoyfilters.networking.istio.io",
    "virtualservices.networking.istio.io",
    "serviceentries.networking.istio.io",
    "gateways.gateway.networking.k8s.io",
];
const READ_ALL: Rule = Rule { verbs: READ, resources: READABLE, namespaces: ANYWHERE };

/// The users of every sandbox. Each has a bearer token, and a context in the kubeconfig.
pub const USERS: &[User] = &[
    // The context `sandbox`: may do everything.
    User { name: "admin", rules: &[Rule { verbs: &["*"], resources: &["*"], namespaces: ANYWHERE }] },
    // May read, but not open a tunnel.
    User { name: "viewer", rules: &[READ_ALL] },
    // May get a pod it knows by name, and open a tunnel to it, but not list.
    User {
        name: "nolist",
        rules: &[
            Rule { verbs: &["get"], resources: READABLE, namespaces: ANYWHERE },
            Rule { verbs: &["get", "create"], resources: &["pods/portforward"], namespaces: ANYWHERE },
        ],
    },
    // The two halves of the permission that a tunnel needs.
    User {
        name: "createonly",
        rules: &[READ_ALL, Rule { verbs: &["create"], resources: &["pods/portforward"], namespaces: ANYWHERE }],
    },
    User {
        name: "getonly",
        rules: &[READ_ALL, Rule { verbs: &["get"], resources: &["pods/portforward"], namespaces: ANYWHERE }],
    },
    // The least that an audit needs: pods and tunnels, and no Istio objects.
    User {
        name: "least",
        rules: &[
            Rule { verbs: &["get", "list"], resources: &["pods"], namespaces: ANYWHERE },
            Rule { verbs: &["get", "create"], resources: &["pods/portforward"], namespaces: ANYWHERE },
        ],
    },
    // At home in one namespace.
    User {
        name: "shop",
        rules: &[
            Rule { verbs: READ, resources: READABLE, namespaces: &["shop"] },
            Rule { verbs: &["get", "create"], resources: &["pods/portforward"], namespaces: &["shop"] },
        ],
    },
];

/// Who a request comes from.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user's name in messages.
    pub name: Arc<str>,
    rules: &'static [Rule],
}

impl Identity {
    /// The user of that name; one who is not listed may do nothing.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let rules = USERS.iter().find(|user| user.name == name).map_or(&[][..], |user| user.rules);
        Self { name: name.into(), rules }
    }

    /// The user that a bearer token belongs to.
    #[must_use]
    pub fn by_token(token: &str) -> Option<Self> {
        USERS.iter().find(|user| self::token(user.name) == token).map(|user| Self::named(user.name))
    }

    /// Whether the rules allow `verb` on `resource` with its subresource in `namespace` (empty for the
    /// cluster scope).
    #[must_use]
    pub fn may(&self, verb: &str, resource: &Resource, subresource: &str, namespace: &str) -> bool {
        let mut wanted = resource.qualified();
        if !subresource.is_empty() {
            wanted = format!("{wanted}/{subresource}");
        }
        let has = |list: &[&str], wanted: &str| list.iter().any(|given| *given == "*" || *given == wanted);
        self.rules
            .iter()
            .any(|rule| has(rule.verbs, verb) && has(rule.resources, &wanted) && has(rule.namespaces, namespace))
    }
}

/// A user's bearer token. It opens nothing but a sandbox on loopback.
#[must_use]
pub fn token(user: &str) -> String {
    format!("sandbox-token-of-{user}")
}
