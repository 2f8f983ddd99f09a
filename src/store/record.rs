//! A record of a store, and who wrote it.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// A record as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When, by the store.
    pub time: Timestamp,
    /// Its place among records of the same time, where the store has one.
    pub order: u64,
    /// Its members: nested, or flat with points in their names.
    pub fields: Map<String, Value>,
}

impl Record {
    /// The value of a field, whose path has points: `kubernetes.labels.app.kubernetes.io/name` finds the member however
    /// it is nested.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Value> {
        within(&self.fields, path)
    }

    /// The same, where it is a text.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.get(path)?.as_str()
    }

    /// The paths of all members that are no objects.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        gather(&self.fields, "", &mut found);
        found
    }
}

fn within<'v>(fields: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    if let Some(value) = fields.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(at, _)| match fields.get(&path[..at])? {
        Value::Object(inner) => within(inner, &path[at + 1..]),
        _ => None,
    })
}

fn gather(fields: &Map<String, Value>, before: &str, found: &mut Vec<String>) {
    for (name, value) in fields {
        let path = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
        match value {
            Value::Object(inner) if !inner.is_empty() => gather(inner, &path, found),
            _ => found.push(path),
        }
    }
}

/// Who wrote records: a container, as far as the records tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Its namespace, or nothing.
    pub namespace: String,
    /// Its pod.
    pub pod: String,
    /// Its name.
    pub container: String,
    /// What a label says of the service.
    pub service: String,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [&self.namespace, &self.pod, &self.container].map(String::as_str);
        let known: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        f.write_str(if known.is_empty() { &self.service } else { "" })?;
        f.write_str(&known.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_members_however_they_are_nested() {
        let fields = serde_json::json!({"kubernetes": {"labels": {"app.kubernetes.io/name": "a"}}, "k8s.pod": "b"});
        let Value::Object(fields) = fields else { return };
        let record = Record { time: Timestamp::UNIX_EPOCH, order: 0, fields };
        assert_eq!(record.text("kubernetes.labels.app.kubernetes.io/name"), Some("a"));
        assert_eq!(record.text("k8s.pod"), Some("b"));
        assert_eq!(record.text("kubernetes.labels"), None);
        assert_eq!(record.paths(), ["kubernetes.labels.app.kubernetes.io/name", "k8s.pod"]);
    }
}
