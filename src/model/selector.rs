//! Label selectors, as Kubernetes reads them (`apimachinery/pkg/labels/selector.go`), for proxies that are not in a
//! cluster.

use std::collections::BTreeMap;
use std::str::FromStr;

/// A label selector: all of its requirements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    is: Is,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Is {
    There,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

/// Why a text is no label selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no label selector: {1}")]
pub struct SelectorError(String, &'static str);

impl LabelSelector {
    /// Whether an object with these labels is meant.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|Requirement { key, is }| {
            let value = labels.get(key);
            match is {
                Is::There => value.is_some(),
                Is::Absent => value.is_none(),
                Is::In(values) => value.is_some_and(|value| values.contains(value)),
                // A label that is not there is in no set.
                Is::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            }
        })
    }
}

/// What a label must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<'a> {
    /// There, whatever it is.
    There,
    /// Not there.
    Absent,
    /// One of these.
    In(&'a [String]),
    /// None of these.
    NotIn(&'a [String]),
}

impl LabelSelector {
    /// The labels that it is about, with what they must be.
    pub fn needs(&self) -> impl Iterator<Item = (&str, Need<'_>)> {
        self.0.iter().map(|Requirement { key, is }| {
            let need = match is {
                Is::There => Need::There,
                Is::Absent => Need::Absent,
                Is::In(values) => Need::In(values),
                Is::NotIn(values) => Need::NotIn(values),
            };
            (key.as_str(), need)
        })
    }
}

impl FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |why| SelectorError(text.to_owned(), why);
        let (mut parts, mut depth, mut part) = (Vec::new(), 0_u32, String::new());
        for letter in text.chars() {
            match letter {
                '(' => depth += 1,
                ')' => depth = depth.checked_sub(1).ok_or_else(|| error("a bracket is closed and none is open"))?,
                ',' if depth == 0 => {
                    parts.push(std::mem::take(&mut part));
                    continue;
                }
                _ => {}
            }
            part.push(letter);
        }
        if depth > 0 {
            return Err(error("a bracket is not closed"));
        }
        parts.push(part);
        let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
        parts.map(|part| requirement(part).map_err(error)).collect::<Result<_, _>>().map(Self)
    }
}

fn requirement(part: &str) -> Result<Requirement, &'static str> {
    let of = |key: &str, is: Is| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        let key = key.trim();
        if key.is_empty() || !key.chars().all(allowed) {
            return Err("a key has letters, digits and -_./ only");
        }
        Ok(Requirement { key: key.to_owned(), is })
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = part.split_once("!=") {
        return of(key, Is::NotIn(one(value)));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return of(key, Is::In(one(value)));
    }
    if let Some((head, set)) = part.split_once('(') {
        let values = set.trim_end().strip_suffix(')').ok_or("nothing may follow a set")?;
        let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => of(key, Is::In(values)),
            (Some(key), Some("notin"), None) => of(key, Is::NotIn(values)),
            _ => Err("a set follows `in` or `notin`"),
        };
    }
    match part.strip_prefix('!') {
        Some(key) => of(key, Is::Absent),
        None => of(part, Is::There),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_as_kubernetes_does() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), String::new())]);
        let selects = |text: &str| text.parse::<LabelSelector>().expect("a selector").matches(&labels);
        for text in
            ["app=web", "app==web,tier", "app!=db", "other!=x", "!other", "app in (db, web)", "app notin (db)", ""]
        {
            assert!(selects(text), "{text}");
        }
        for text in
            ["app=db", "app!=web", "!app", "other", "app in (db)", "app notin (web,x)", "tier=x", "app=web,other"]
        {
            assert!(!selects(text), "{text}");
        }
        for text in ["app in web", "app in (web", "a b", "=x", "app in (a) b", ")"] {
            assert!(text.parse::<LabelSelector>().is_err(), "{text}");
        }
    }
}
