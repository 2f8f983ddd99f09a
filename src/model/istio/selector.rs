//! Kubernetes' label selectors (`k8s.io/apimachinery/pkg/apis/meta/v1`, `LabelSelectorAsSelector`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Labels;

/// A selector with expressions. An empty one selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that have to be there with these values.
    #[serde(alias = "match_labels", skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: Labels,
    /// Conditions that have to hold.
    #[serde(alias = "match_expressions", skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelExpression>,
}

/// A condition on one label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct LabelExpression {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// The values of `In` and `NotIn`.
    pub values: Vec<String>,
}

impl LabelSelector {
    /// Whether labels fulfil it. An operator that Kubernetes does not have is never fulfilled.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        let equal = self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        equal
            && self.match_expressions.iter().all(|expression| {
                let value = labels.get(&expression.key);
                let listed = value.is_some_and(|value| expression.values.contains(value));
                match expression.operator.as_str() {
                    "In" => listed,
                    "NotIn" => !listed,
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_as_kubernetes_does() {
        let labels = Labels::from([("mesh".to_owned(), "on".to_owned())]);
        let with = |operator: &str, key: &str, values: &[&str]| LabelSelector {
            match_expressions: vec![LabelExpression {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values: values.iter().map(|&value| value.to_owned()).collect(),
            }],
            ..LabelSelector::default()
        };
        assert!(LabelSelector::default().selects(&labels));
        assert!(LabelSelector { match_labels: labels.clone(), ..LabelSelector::default() }.selects(&labels));
        for (operator, key, values, selected) in [
            ("In", "mesh", &["on", "off"][..], true),
            ("In", "mesh", &["off"], false),
            ("In", "team", &["on"], false),
            ("NotIn", "mesh", &["on"], false),
            ("NotIn", "team", &["on"], true),
            ("Exists", "mesh", &[], true),
            ("Exists", "team", &[], false),
            ("DoesNotExist", "team", &[], true),
            ("DoesNotExist", "mesh", &[], false),
            ("Matches", "mesh", &["on"], false),
        ] {
            assert_eq!(with(operator, key, values).selects(&labels), selected, "{operator} {key} {values:?}");
        }
    }
}
