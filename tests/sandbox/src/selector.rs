//! Label and field selectors, as lists take them.

use serde_json::Value;

use crate::status::Status;

/// A label selector: every requirement must hold.
#[derive(Debug, Clone, Default)]
pub struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl LabelSelector {
    /// Parses equality (`a=b`, `a==b`, `a!=b`) and set (`a in (b,c)`, `a notin (b)`, `a`, `!a`) requirements.
    ///
    /// # Errors
    /// 400, in the API server's words.
    pub fn parse(text: &str) -> Result<Self, Status> {
        split_outside_parentheses(text)
            .into_iter()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(requirement)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object's labels satisfy the selector.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => label(key).is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Requirement::NotIn(key, values) => {
                label(key).is_none_or(|value| values.iter().all(|unwanted| unwanted != value))
            }
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
        })
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str) -> Result<Requirement, Status> {
    let owned = |text: &str| text.trim().to_owned();
    let values = |text: &str| text.trim().trim_matches(['(', ')']).split(',').map(owned).collect();
    if let Some((key, set)) = part.split_once(" notin ") {
        return Ok(Requirement::NotIn(owned(key), values(set)));
    }
    if let Some((key, set)) = part.split_once(" in ") {
        return Ok(Requirement::In(owned(key), values(set)));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(owned(key), vec![owned(value)]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement::In(owned(key), vec![owned(value)]));
    }
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement::Absent(owned(key)));
    }
    let plain = part.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    if !plain {
        return Err(Status::bad_request(format!(
            "unable to parse requirement: found '{part}', expected: in, notin, =, ==, !=, gt, lt"
        )));
    }
    Ok(Requirement::Exists(owned(part)))
}

/// A field selector: pairs of a path and the value it must, or must not, have.
#[derive(Debug, Clone, Default)]
pub struct FieldSelector(Vec<(String, bool, String)>);

impl FieldSelector {
    /// Parses `path=value`, `path==value` and `path!=value`, for objects of a plural.
    ///
    /// # Errors
    /// 400 for a field that the API server does not index.
    pub fn parse(text: &str, plural: &str) -> Result<Self, Status> {
        const INDEXED: [&str; 7] = [
            "metadata.name",
            "metadata.namespace",
            "status.phase",
            "spec.nodeName",
            "spec.serviceAccountName",
            "spec.restartPolicy",
            "status.podIP",
        ];
        let mut pairs = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (path, equal, value) = if let Some((path, value)) = part.split_once("!=") {
                (path, false, value)
            } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (path, true, value)
            } else {
                return Err(Status::bad_request(format!("invalid selector: '{part}'; can't understand '{part}'")));
            };
            if !INDEXED.contains(&path) && (plural, path) != ("secrets", "type") {
                return Err(Status::bad_request(format!("field label not supported: {path}")));
            }
            pairs.push((format!("/{}", path.replace('.', "/")), equal, value.to_owned()));
        }
        Ok(Self(pairs))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object's fields satisfy the selector; a missing field is empty.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(path, equal, value)| {
            let found = object.pointer(path).and_then(Value::as_str).unwrap_or_default();
            (found == value) == *equal
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors_match_as_kubernetes_matches_them() {
        let object = json!({"metadata": {"labels": {"app": "web", "version": "v2"}}});
        for (selector, matches) in [
            ("", true),
            ("app=web", true),
            ("app==web,version=v2", true),
            ("app=cart", false),
            ("app!=cart", true),
            ("tier!=x", true),
            ("app in (web,cart)", true),
            ("app in (web, cart),version notin (v2)", false),
            ("app", true),
            ("!app", false),
            ("!tier", true),
            ("tier", false),
            ("version notin (v1,v3)", true),
        ] {
            let parsed = LabelSelector::parse(selector).expect("a valid selector");
            assert_eq!(parsed.matches(&object), matches, "{selector}");
        }
        assert_eq!(LabelSelector::parse("app ~ web").expect_err("no such operator").code, 400);
    }
}
