//! What a request is about: verb, resource, namespace, name, subresource and query.

use http::{Method, Uri};

use crate::status::Status;
use crate::store::Resource;

/// The verb that RBAC sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Verb {
    pub(super) fn word(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
        }
    }
}

/// A request for a resource.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub verb: Verb,
    pub resource: &'static Resource,
    pub version: String,
    pub namespace: String,
    pub name: String,
    pub subresource: String,
    pub query: Query,
}

impl Target {
    /// Reads method and URI; `None` where the path is not one of a resource that is served.
    pub(super) fn parse(method: &Method, uri: &Uri) -> Option<Self> {
        let words: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        let (group, version, rest) = match words.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() && *rest != ["status"] => (*namespace, rest),
            _ => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return None,
        };
        let query = Query::parse(uri.query().unwrap_or_default());
        let verb = match *method {
            Method::GET | Method::HEAD if !name.is_empty() => Verb::Get,
            Method::GET | Method::HEAD if query.is_true("watch") => Verb::Watch,
            Method::GET | Method::HEAD => Verb::List,
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH => Verb::Patch,
            Method::DELETE => Verb::Delete,
            _ => return None,
        };
        Some(Self {
            verb,
            resource: Resource::find(group, version, plural)?,
            version: version.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
            query,
        })
    }

    pub(super) fn resource_and_subresource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.plural.to_owned()
        } else {
            format!("{}/{}", self.resource.plural, self.subresource)
        }
    }

    pub(super) fn counted(&self) -> String {
        format!("{} {}", self.verb.word(), self.resource_and_subresource())
    }

    /// 403 in the words of the RBAC authorizer.
    pub(super) fn forbidden(&self, user: &str, verb: &str) -> Status {
        let subject = if self.name.is_empty() {
            self.resource.qualified()
        } else {
            format!("{} \"{}\"", self.resource.qualified(), self.name)
        };
        let scope = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", self.namespace)
        };
        let message = format!(
            "{subject} is forbidden: User \"{user}\" cannot {verb} resource \"{}\" in API group \"{}\" {scope}",
            self.resource_and_subresource(),
            self.resource.group
        );
        Status::forbidden(&self.name, self.resource, message)
    }
}

/// A query string, decoded.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The first value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// Every value of a key.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_true(&self, key: &str) -> bool {
        matches!(self.get(key), Some("true" | "1"))
    }
}
